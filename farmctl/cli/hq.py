"""`farmctl hq`: headquarters, in the foreground: one figure in, a share to every site out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from farmctl.cli.output import config_option, say


@click.command()
@config_option
@click.option("--observe", is_flag=True, help="Listen and split; tell no site anything.")
def hq(config_path: str | None, *, observe: bool) -> int:
    """Split the figure of [site] and [[signal]] over the sites of [programme] until SIGTERM.

    Sites keep their last share until its validity ends, then fall to their own fail-safe level.
    `farmctl sites list` and `farmctl why SITE` tell what each is told, and why.
    """
    import uvloop  # noqa: PLC0415 - only what runs a loop pays for it

    from farmctl.config.load import load, search  # noqa: PLC0415 - see above
    from farmctl.config.unsigned import unsigned_sites  # noqa: PLC0415 - see above
    from farmctl.errors import ConfigError  # noqa: PLC0415 - see above

    path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
    loaded = load(path, environment=os.environ, flags={("control", "observe"): ("--observe", True)} if observe else {})
    programme = loaded.config.programme
    if programme is None:
        raise ConfigError(f"{path}: expected a table [programme] with [[programme.site]]; a site runs with farmctl run")

    async def serve() -> None:
        from farmctl.engine.supervisor import stop_on_signals  # noqa: PLC0415 - see above
        from farmctl.wiring import run_farm  # noqa: PLC0415 - see above
        from farmctl.wiring.logs import configure_logs  # noqa: PLC0415 - see above

        configure_logs()
        stop, said = asyncio.Event(), list[str]()
        stop_on_signals(stop, said)
        mode = "observing: no site is told anything" if observe else "armed"
        say(f"farmctl: {loaded.config.site.name}, {len(programme.site)} sites by {programme.rule}, from {path}, {mode}")
        if keyless := unsigned_sites(loaded.config):
            say(f"farmctl: believed unsigned, for want of a key: {', '.join(keyless)}")
        await run_farm(loaded, stop)
        say(f"farmctl: stopped by {', '.join(said) or 'request'}; each share holds until its validity ends")

    uvloop.run(serve())
    return 0
