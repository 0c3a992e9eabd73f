"""`farmctl tui`: the glass of a running controller, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from farmctl.cli.asking import ClientVerb, Door, asking


@click.command(cls=ClientVerb)
@asking
@click.option("--read-only", is_flag=True, help="Look only; nothing can be ordered.")
def tui(*, door: Door, read_only: bool) -> int:
    """Watch the site and act on it, at a terminal of at least 100x30."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("expected a terminal; without one, farmctl status -w shows the site")
    # Textual and aiohttp cost 0.6 s to import: only who looks through the glass pays.
    from farmctl.control.feed import SocketFeed  # noqa: PLC0415 - see above
    from farmctl.tui.app import run_tui  # noqa: PLC0415 - see above

    feed = SocketFeed(door.client().where, os.environ.get("SSH_CLIENT", ""))
    asyncio.run(run_tui(feed, read_only=read_only))
    return 0
