"""`farmctl deadman`: the second process that takes the fleet to the firm level when the controller is gone."""

from __future__ import annotations

import asyncio

import click

from farmctl.cli.figures import Figure
from farmctl.cli.output import config_option


@click.command()
@config_option
@click.option(
    "--after",
    "after_s",
    type=Figure(min=10.0, max=600.0),
    default=60.0,
    show_default=True,
    help="Seconds without a fresh cycle of the controller.",
)
def deadman(config_path: str | None, after_s: float) -> int:
    """Watch the controller; lower the fleet to the firm level when it is gone. Only ever lowers."""
    from farmctl.wiring.deadman import dead_man  # noqa: PLC0415 - only what runs pays for it
    from farmctl.wiring.logs import configure_logs  # noqa: PLC0415 - see above

    configure_logs()
    watcher = dead_man(config_path, after_s=after_s)
    try:
        asyncio.run(watcher.run())
    except KeyboardInterrupt:
        return 0
    return 0
