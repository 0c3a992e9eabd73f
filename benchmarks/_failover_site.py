"""A site of two `farmctl run` on the database that is lost: its miners hear whether anything is raised meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from benchmarks import _crew_site as site
from benchmarks._crew_recorder import Recorder, Sent
from farmctl.store.leases import Terms
from simulators.broker import free_port
from simulators.faults import Fault
from simulators.world import World

NETWORK = "127.87"
SIZE = site.Size(shards=8, miners=4)
PROCESSES = 2
LEASE_S = 6.0
READY_S = 240.0
ON_THE_WAY_S = 0.25
"""From the last look at a lease to where the miner's end hears the bytes, in this process."""
ORDER_S = 60.0
"""A raise without a primary was written no longer before: a set-point is dead by then."""
SLACK_W = 1.0
SLOW_S, SLOWEST_S = 0.15, 1.7
"""Of an answer; every second miner takes the longer: the third request of its conversation is past the deadline."""
RAISING_S = 15.0
"""So long a loss waits for the begin of such a conversation that raises, to hit the site there."""

_ORDERED = """
SELECT miner_id FROM command
WHERE action <> 'sleep' AND issued_at BETWEEN to_timestamp($1 - $2::float8) AND to_timestamp($1::float8)
"""
_PLAN = "SELECT cap_w FROM plan WHERE valid_from <= to_timestamp($1::float8) ORDER BY rev DESC LIMIT 1"


@dataclass(slots=True, kw_only=True)
class Without:
    """The time without a primary."""

    from_s: float
    to_s: float = float("inf")
    before_w: float
    highest_w: float
    """Set-points of all miners: when it was lost, and the most that they were since."""
    raises: list[Sent] = field(default_factory=list)
    """What raised meanwhile."""
    ordered: frozenset[str] = frozenset()
    """Miners that had a raise of theirs written before the loss, as the promoted server has it."""
    plan_w: float = 0.0
    """Cap of the plan that was in force, as the promoted server has it."""

    @property
    def deadline_s(self) -> float:
        """When the last lease is past its deadline: it was renewed before the loss, and ends a guard early."""
        terms = Terms.of(LEASE_S)
        return self.from_s + terms.ttl_s - terms.guard_s

    @property
    def late(self) -> int:
        """Raises after that."""
        return sum(sent.at_s > self.deadline_s + ON_THE_WAY_S for sent in self.raises)

    @property
    def unwritten(self) -> int:
        """Raises that the promoted server knows nothing of."""
        return sum(sent.miner not in self.ordered for sent in self.raises)

    @property
    def is_above_plan(self) -> bool:
        """True where the set-points together went up, and above the plan that all raises are proved against."""
        return self.highest_w > max(self.before_w, self.plan_w) + SLACK_W


def judged(times: Sequence[Without]) -> dict[str, object]:
    """What was raised without a primary, and whether it may have been."""
    return {
        "raises_without_primary": sum(len(each.raises) for each in times),
        "raises_after_deadline": sum(each.late for each in times),
        "raises_unwritten": sum(each.unwritten for each in times),
        "above_plan": sum(each.is_above_plan for each in times),
        "raised_without_primary_w": round(max(each.highest_w - each.before_w for each in times), 1),
        "raised_after_s": [round(sent.at_s - each.from_s, 2) for each in times for sent in each.raises],
        "without_primary_s": [round(each.to_s - each.from_s, 2) for each in times],
        "past_deadline_s": round(sum(max(each.to_s - each.deadline_s, 0.0) for each in times), 2),
    }


class Site:
    """The running processes, and what their miners are told."""

    def __init__(self, folder: Path, made: World, recorder: Recorder) -> None:
        self._folder, self._made, self._recorder = folder, made, recorder
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

    async def raising(self) -> None:
        """Wait until a worker begins to talk to a slow miner while the site's target is up; for a while."""
        slow = [miner.identity.mac.lower() for miner in self._made.miners[::2]]
        with suppress(TimeoutError):
            async with asyncio.timeout(RAISING_S):
                while True:
                    since_s = time.time()
                    await asyncio.sleep(0.01)
                    if any(self._recorder.begun.get(miner, 0.0) >= since_s for miner in slow) and self._is_up():
                        return

    def _is_up(self) -> bool:
        return site.target_kw(self._folder) > max(site.MOVES) * site.full_w(self._made) / 1e3 - 1.0

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
        last.raises = [each for each in self._recorder.sent if each.raises and last.from_s <= each.at_s < last.to_s]

    async def proved(self, dsn: str) -> None:
        """Read from the promoted server what had been written before the loss."""
        last, connection = self.times[-1], await asyncpg.connect(dsn)
        last.ordered = frozenset(row[0] for row in await connection.fetch(_ORDERED, last.from_s, ORDER_S))
        last.plan_w = await connection.fetchval(_PLAN, last.from_s) or 0.0
        await connection.close()

    async def _watch(self, last: Without) -> None:
        while True:
            last.highest_w = max(last.highest_w, self._recorder.setpoints_w())
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_site(dsn: str, folder: Path, *, unchecked: bool = False) -> AsyncIterator[Site]:
    """The site, under its cap and following its schedule."""
    made = site.world(SIZE, NETWORK)
    cap_w = site.CAP * site.full_w(made)
    recorder = Recorder({}, cap_w)
    await made.start()
    processes: list[subprocess.Popen[bytes]] = []
    moving = asyncio.create_task(site.moving(folder, made))
    try:
        await site.stocked(dsn, made)
        site.schedule(folder, made)
        for slot in range(PROCESSES):
            config = site.configured(folder, slot, made, dsn=dsn, lease_s=LEASE_S, metrics_port=free_port())
            words = [sys.executable, "-m", "benchmarks._crew_worker", *(["--unchecked"] if unchecked else [])]
            words += ["run", "--config", str(config)]
            with (folder / f"w-{slot}.log").open("ab") as log:
                processes.append(await asyncio.to_thread(subprocess.Popen, words, stdout=log, stderr=log))
        with recorder.listening(made.miners):
            async with asyncio.timeout(READY_S):
                while recorder.setpoints_w() > cap_w:  # noqa: ASYNC110 - the miners tell nobody
                    await asyncio.sleep(0.2)
            rows = list(range(len(made.miners)))
            made.put_fault(rows, Fault.SLOW, params={"delay_s": SLOW_S})
            made.put_fault(rows[::2], Fault.SLOW, params={"delay_s": SLOWEST_S})
            recorder.begin()
            yield Site(folder, made, recorder)
    finally:
        moving.cancel()
        for process in processes:
            process.kill()
            process.wait()
        await made.stop()
