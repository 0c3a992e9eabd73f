"""`farmctl tui`: the glass of a running controller, in a process of its own, at a terminal or in a browser."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import say


@click.command(cls=ClientVerb)
@asking
@click.option("--read-only", is_flag=True, help="Look only; nothing can be ordered.")
@click.option("--serve", is_flag=True, help="Show it to browsers, on loopback and read-only unless told otherwise.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --serve: address to listen at.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8_480, show_default=True, help="With --serve.")
@click.option("--allow-orders", is_flag=True, help="With --serve: whoever reaches the port may give orders.")
@click.option("--allow-network", is_flag=True, help="With --serve: an address that others can reach is meant.")
def tui(*, door: Door, read_only: bool, serve: bool, host: str, port: int, **allowed: bool) -> int:
    """Watch the site and act on it, at a terminal of at least 100x30, or in a browser."""
    if serve:
        return _serve(
            door, host, port, orders=allowed["allow_orders"] and not read_only, abroad=allowed["allow_network"]
        )
    in_browser = "TEXTUAL_DRIVER" in os.environ
    if not in_browser and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("expected a terminal; without one, farmctl status -w shows the site")
    # Textual and aiohttp cost 0.6 s to import: only who looks through the glass pays.
    from farmctl.control.feed import SocketFeed  # noqa: PLC0415 - see above
    from farmctl.tui.app import run_tui  # noqa: PLC0415 - see above
    from farmctl.tui.settings import load_settings, settings_path  # noqa: PLC0415 - see above

    settings = load_settings(settings_path(os.environ))
    feed = SocketFeed(door.client().where, os.environ.get("SSH_CLIENT", ""))
    asyncio.run(run_tui(feed, read_only=read_only, settings=settings))
    return Exit.OK


def _serve(door: Door, host: str, port: int, *, orders: bool, abroad: bool) -> int:
    """One glass per browser, until ctrl+c."""
    try:
        from farmctl.tui.browser import GlassServer, is_loopback  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        say(f"farmctl: --serve needs {error.name}: pip install 'farmctl[serve]'")
        return Exit.USAGE
    if not is_loopback(host) and not abroad:
        raise click.UsageError(
            f"--host {host}: the page asks nobody for a password; expected a loopback address, such as behind "
            "ssh -L or a proxy that authenticates, or --allow-network"
        )
    GlassServer(door.client().socket_path, host=host, port=port, read_only=not orders).serve()
    return Exit.OK
