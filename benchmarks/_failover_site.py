"""A site of two `farmctl run` on the database that is lost: its miners hear whether anything is raised meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _crew_site as site
from benchmarks._crew_recorder import Recorder
from simulators.broker import free_port
from simulators.world import World

NETWORK = "127.87"
SIZE = site.Size(shards=8, miners=4)
PROCESSES = 2
LEASE_S = 6.0
READY_S = 240.0


@dataclass(slots=True, kw_only=True)
class Without:
    """The time without a primary."""

    from_s: float
    to_s: float = float("inf")
    before_w: float
    highest_w: float
    """Set-points of all miners: when it was lost, and the most that they were since."""
    raises: int = 0


class Site:
    """The running processes, and what their miners are told."""

    def __init__(self, made: World, recorder: Recorder) -> None:
        self._made, self._recorder = made, recorder
        self._watching: asyncio.Task[None] | None = None
        self.times: list[Without] = []

    @property
    def commands(self) -> int:
        """Heard by the miners since the site was ready."""
        return len(self._recorder.sent)

    @property
    def raises(self) -> int:
        """Those of them that raised."""
        return sum(sent.raises for sent in self._recorder.sent)

    @property
    def over_cap(self) -> int:
        """Moments above the site's cap."""
        return self._recorder.over_cap

    def lost(self) -> None:
        """The primary is gone from now on."""
        now_w = self._recorder.setpoints_w()
        self.times.append(Without(from_s=time.time(), before_w=now_w, highest_w=now_w))
        self._watching = asyncio.create_task(self._watch(self.times[-1]))

    async def found(self) -> None:
        """From now on there may be one again."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        last = self.times[-1]
        last.to_s = time.time()
        last.raises = sum(sent.raises and last.from_s <= sent.at_s < last.to_s for sent in self._recorder.sent)

    async def _watch(self, last: Without) -> None:
        while True:
            last.highest_w = max(last.highest_w, self._recorder.setpoints_w())
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_site(dsn: str, folder: Path) -> AsyncIterator[Site]:
    """The site, under its cap and following its schedule."""
    made = site.world(SIZE, NETWORK)
    full_w = sum(miner.personality.full_w for miner in made.miners)
    recorder = Recorder({}, site.CAP * full_w)
    await made.start()
    processes: list[subprocess.Popen[bytes]] = []
    moving = asyncio.create_task(site.moving(folder, made))
    try:
        await site.stocked(dsn, "public", made)
        recorder.watch(made.miners)
        site.schedule(folder, made)
        for slot in range(PROCESSES):
            config = site.configured(folder, slot, made, dsn=dsn, lease_s=LEASE_S, metrics_port=free_port())
            words = [sys.executable, "-m", "benchmarks._crew_worker", "run", "--config", str(config)]
            with (folder / f"w-{slot}.log").open("ab") as log:
                processes.append(await asyncio.to_thread(subprocess.Popen, words, stdout=log, stderr=log))
        async with asyncio.timeout(READY_S):
            while recorder.setpoints_w() > site.CAP * full_w:  # noqa: ASYNC110 - the miners tell nobody
                await asyncio.sleep(0.2)
        recorder.begin()
        yield Site(made, recorder)
    finally:
        moving.cancel()
        for process in processes:
            process.kill()
            process.wait()
        await made.stop()
