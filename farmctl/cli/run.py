"""`farmctl run`: the controller of a site, in the foreground."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from farmctl.cli.output import config_option, say


@click.command()
@config_option
@click.option("--observe", is_flag=True, help="Poll and decide, send no command to any miner.")
@click.option(
    "--role",
    type=click.Choice(["all", "worker", "controller"]),
    default="all",
    show_default=True,
    help="On PostgreSQL: poll and command shards, stand for the seat of the controller, or both.",
)
def run(config_path: str | None, role: str, *, observe: bool) -> int:
    """Run the controller until SIGTERM; the fleet stays as it is when it stops."""
    import uvloop  # noqa: PLC0415 - only what runs a loop pays for it

    from farmctl.config.load import load, search  # noqa: PLC0415 - see above

    path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
    flags = {("control", "observe"): ("--observe", True)} if observe else {}
    loaded = load(path, environment=os.environ, flags=flags)

    async def serve() -> None:
        from farmctl.engine.supervisor import stop_on_signals  # noqa: PLC0415 - see above
        from farmctl.wiring import run_farm  # noqa: PLC0415 - see above
        from farmctl.wiring.logs import configure_logs  # noqa: PLC0415 - see above

        configure_logs()
        stop, said = asyncio.Event(), list[str]()
        stop_on_signals(stop, said)
        mode = "observing: nothing is sent" if loaded.config.control.observe else "armed"
        say(f"farmctl: {loaded.config.site.name} from {path}, {mode}")
        await run_farm(loaded, stop, role)
        say(f"farmctl: stopped by {', '.join(said) or 'request'}; the fleet stays as it is")

    uvloop.run(serve())
    return 0
