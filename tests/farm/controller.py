"""The controller of a story: in this process with its parts in view, or as `farmctl run` in one of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from farmctl.core.grid import SiteMode
from farmctl.core.model import Ladder
from farmctl.engine.cycle import Picture
from farmctl.wiring.farm import Farm, Listeners, built
from tests.farm.setting import TIME_SCALE
from tests.farm.site import Site

ROOT = Path(__file__).parents[2]
ENDS_S = 20.0


@dataclass(slots=True, kw_only=True)
class Watcher:
    """What the controller said in its pictures."""

    modes: list[SiteMode] = field(default_factory=list)
    """Changes only."""
    alarms: set[str] = field(default_factory=set)
    latest: Picture | None = None

    def see(self, picture: Picture) -> None:
        mode = picture.decision.mode
        if not self.modes or self.modes[-1] is not mode:
            self.modes.append(mode)
        self.alarms.update(alarm.alarm for alarm in picture.alarms)
        self.latest = picture

    @property
    def mode(self) -> SiteMode | None:
        return self.modes[-1] if self.modes else None

    @property
    def picture(self) -> Picture:
        assert self.latest is not None
        return self.latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A running controller in this process."""

    farm: Farm
    seen: Watcher

    def row_of(self, there: Site, row: int) -> int:
        """The controller's row of a simulated miner."""
        host = there.world.miners[row].endpoint.host
        keeper = self.farm.fleet.keeper
        return next(r for r in range(len(keeper.table)) if keeper.seat_of(r).row.host == host)


@asynccontextmanager
async def controller(there: Site) -> AsyncIterator[Controller]:
    """Run the real controller in this process until the story ends."""
    stop, seen = asyncio.Event(), Watcher()
    async with built(there.loaded, stop=stop, listeners=Listeners(pictures=(seen.see,))) as farm:
        _hurried(farm)
        running = asyncio.ensure_future(farm.run())
        try:
            yield Controller(farm=farm, seen=seen)
        finally:
            stop.set()
            await running


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """`farmctl run` as a child process."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    async def said(self) -> str:
        """Everything it has written so far."""
        return await asyncio.to_thread(self.log.read_text, errors="replace")

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(ENDS_S):
            return await self.process.wait()


@asynccontextmanager
async def daemon(there: Site, *flags: str) -> AsyncIterator[Daemon]:
    """Run `farmctl run` beside the story; killed on leaving if it still runs."""
    log = there.folder / f"run-{len(list(there.folder.glob('run-*.log')))}.log"
    command = (sys.executable, "-m", "farmctl", "run", "--config", str(there.config_path), *flags)
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(*command, stdout=stream, stderr=stream, cwd=ROOT)
    try:
        yield Daemon(process=process, log=log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _hurried(farm: Farm) -> None:
    """Ladders state how long devices take; these devices live `TIME_SCALE` times faster."""
    keeper = farm.fleet.keeper
    keeper.seat([replace(seat, ladder=_faster(seat.ladder)) for seat in map(keeper.seat_of, range(len(keeper.table)))])
    for link in farm.fleet.links.values():
        keeper.allow(link.row, commandable=False)


def _faster(ladder: Ladder | None) -> Ladder | None:
    if ladder is None:
        return None
    return replace(
        ladder,
        down_s=ladder.down_s / TIME_SCALE,
        up_s=ladder.up_s / TIME_SCALE,
        trim_s=ladder.trim_s / TIME_SCALE,
    )
