"""`farmctl tui`: the glass of a running controller, in a process of its own, at a terminal or in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import say
from farmctl.cli.places import JOURNAL, configuration, journal_of
from farmctl.errors import FarmError

if TYPE_CHECKING:
    from farmctl.ports.replay import PastFeed
    from farmctl.store.places import Place
    from farmctl.tui.rewind import Opener
    from farmctl.tui.screens.system import Doctor
    from farmctl.tui.settings import Settings


@click.command(cls=ClientVerb)
@asking
@click.option("--read-only", is_flag=True, help="Look only; nothing can be ordered.")
@click.option("--serve", is_flag=True, help="Show it to browsers, on loopback and read-only unless told otherwise.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --serve: address to listen at.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8_480, show_default=True, help="With --serve.")
@click.option("--allow-orders", is_flag=True, help="With --serve: whoever reaches the port may give orders.")
@click.option("--allow-network", is_flag=True, help="With --serve: an address that others can reach is meant.")
@click.option(
    "--replay", "wanted", default=None, help="Show the past: an event, a moment, or a journal from its start."
)
@click.option(
    "--journal", type=click.Path(path_type=Path), default=None, help="The journal that replays are read from."
)
def tui(
    *,
    door: Door,
    read_only: bool,
    serve: bool,
    host: str,
    port: int,
    wanted: str | None,
    journal: Path | None,
    **allowed: bool,
) -> int:
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
    if wanted is not None:
        asyncio.run(_replayed(door, wanted, journal, settings))
        return Exit.OK
    feed = SocketFeed(door.client().where, os.environ.get("SSH_CLIENT", ""))
    asyncio.run(
        run_tui(feed, read_only=read_only, settings=settings, past=opener(door, journal), doctor=doctor_of(door))
    )
    return Exit.OK


def doctor_of(door: Door) -> Doctor:
    """What `farmctl doctor --quick` finds, for the System screen."""

    async def examined() -> list[dict[str, str]]:
        from farmctl.cli.doctor import examine  # noqa: PLC0415 - it imports what it checks

        found = await asyncio.to_thread(examine, door, quick=True)
        return [{"check": each.check, "level": each.level, "found": each.found, "fix": each.fix} for each in found]

    return examined


def opener(door: Door, journal: Path | None) -> Opener:
    """What finds a recording when `T` asks for it."""

    async def opened(wanted: str) -> PastFeed:
        from farmctl.wiring.replaying import open_replay  # noqa: PLC0415 - the whole engine comes with it

        place, folder = await asyncio.to_thread(_journal, door, journal)
        return await open_replay(place, folder, wanted)

    return opened


async def _replayed(door: Door, wanted: str, journal: Path | None, settings: Settings) -> None:
    """The past alone, without a controller."""
    from farmctl.tui.app import run_tui  # noqa: PLC0415 - Textual

    path = Path(wanted)
    whole = await asyncio.to_thread(path.exists)
    find = opener(door, path if whole else journal)
    feed = await find("" if whole else wanted)
    await run_tui(feed, read_only=True, settings=settings, past=find, player=feed)


def _journal(door: Door, journal: Path | None) -> tuple[Place, Path]:
    """The journal that was named, else the controller's, else the configuration's; and the recording's folder."""
    if journal is not None:
        file = journal / JOURNAL if journal.is_dir() else journal
        return file, file.parent
    with contextlib.suppress(FarmError):
        rows = door.client().get("/v1/config")["rows"]
        folder = Path(next((str(row["value"]) for row in rows if row["key"] == "store.dir"), ""))
        if (folder / JOURNAL).is_file():
            return folder / JOURNAL, folder
    loaded = configuration(door.config_path, door)
    return journal_of(loaded), loaded.config.store.dir


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
