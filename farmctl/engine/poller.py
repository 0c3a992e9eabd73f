"""The sweep: every miner in its own slot, bounded in flight; a dead miner costs its own slot and nothing else."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog

from farmctl.core.units import MS_PER_S, MaskColumn
from farmctl.engine.fleet import FleetKeeper
from farmctl.engine.journey import Journey
from farmctl.engine.link import LOST_AFTER, Link
from farmctl.engine.slow import SlowFacts
from farmctl.errors import FarmError
from farmctl.ports.devices import Facts, Prepares, Reading, ReadsLadder
from farmctl.ports.site import Clock

log = structlog.get_logger(__name__)

PREPARE_SPREAD_MS = 120_000
"""A fleet of 10,000 logs in over two minutes after a start: 2 ms of CPU each."""
RENEW_AT = 0.9
NEVER_DUE_MS = 2**62
TAKEN_PER_S = 500.0
"""Whoever takes miners over looks at them at once: until then nobody knows where they are. No faster than this: a
hundred polls begun in one turn of the loop would hold up the lease that they are taken over with."""
NOT_DUE_MS = -1
"""Of a link that nobody polls here: what the schedule still holds of it is passed over."""
FAST_PER_S = 3_000.0
"""Miners with an open command are looked at no faster than this in all: 40 % of a core, the rest is for commands."""
CATCH_UP = 3.0
LEAST_STARTS = 10
"""What was held up is made good at three times the usual rate: 10,000 polls begun at once stall the loop for seconds
(SCALE section 2.2)."""
LOOKS_A_TICK = 60
"""Begun at least while so many commands are open, for miners that are all due at the same time after one signal: 8 ms
of CPU in 20."""
TICK_S = 0.02
"""Grain of the schedule: 1/250 of a 5 s sweep, coarse enough to cost nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRules:
    """How the fleet is polled."""

    interval_s: float
    in_flight: int
    fast_interval_s: float
    """For miners with an open command."""
    backoff_max_s: float
    facts_interval_s: float
    deadline_s: float
    """Backstop above the device's own deadlines."""
    prepares: bool = True
    """Tokens are kept ready for urgent commands; False where nothing is commanded."""


class PollWatch(Protocol):
    """Who wants to know how polling goes; called on the loop, must not wait."""

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended."""
        ...

    def overrun(self) -> None:
        """A due poll had to wait because the bound on polls in flight was reached."""
        ...


class Poller:
    """Polls every link for ever; the only writer of readings."""

    def __init__(self, keeper: FleetKeeper, clock: Clock, rules: PollRules, watch: PollWatch) -> None:
        """`links` come with `take`."""
        self._keeper = keeper
        self._clock = clock
        self._rules = rules
        self._watch = watch
        self._heap: list[tuple[int, int, Link]] = []
        self._entries = 0
        self.in_flight = 0
        self.facts = SlowFacts()
        self._expecting: MaskColumn = np.zeros(0, dtype=np.bool_)
        self._fast_s = rules.fast_interval_s
        self._least_starts = LEAST_STARTS
        self.gives_way: Callable[[], bool] = lambda: False
        """True while urgent commands need the loop: no poll is begun then."""
        self.on_impostor: Callable[[Link, Facts], None] = lambda _link, _facts: None
        self.on_reading: Callable[[int, Reading], None] = lambda _row, _reading: None
        """Told of every good poll, for what is not in the columns; must not wait."""
        self.on_facts: Callable[[int, Facts], None] = lambda _row, _facts: None

    def take(self, links: Iterable[Link]) -> None:
        """Schedule these links, each first polled within one interval."""
        now_ms = self._now_ms()
        self._heap.clear()
        spread_ms = max(int(self._rules.interval_s * MS_PER_S), 1)
        for link in links:
            self._schedule(link, now_ms + link.offset_ms % spread_ms)

    def add(self, links: Iterable[Link]) -> None:
        """Schedule these beside the others, soon: they are this process's own from now on."""
        now_ms, taken = self._now_ms(), list(links)
        spread_ms = max(int(min(self._rules.interval_s, len(taken) / TAKEN_PER_S) * MS_PER_S), 1)
        for link in taken:
            link.ours = True
            self._schedule(link, now_ms + link.offset_ms % spread_ms)

    def drop(self, links: Iterable[Link]) -> None:
        """Poll these no more; a poll under way ends by itself. Whoever is taken back proves who it is."""
        for link in links:
            link.ours, link.proved, link.due_ms = False, False, NOT_DUE_MS

    def expect(self, pending: MaskColumn) -> None:
        """Rows whose command is not confirmed: they are polled fast until it is."""
        self._expecting = pending
        open_commands = int(pending.sum())
        self._fast_s = max(self._rules.fast_interval_s, open_commands / FAST_PER_S)
        self._least_starts = max(LEAST_STARTS, min(open_commands, LOOKS_A_TICK))

    def hasten(self, link: Link, within_s: float | None = None) -> None:
        """Poll this link soon: it has an open command."""
        wait_s = self._rules.fast_interval_s if within_s is None else within_s
        due_ms = self._now_ms() + int(wait_s * MS_PER_S)
        if due_ms < link.due_ms:
            self._schedule(link, due_ms)

    def follow(self, link: Link, way: Journey) -> None:
        """Poll this link when it may have got somewhere, and not before."""
        link.way = way
        self._schedule(link, self._now_ms() + int(way.first_look_s * MS_PER_S))

    def overdue(self) -> int:
        """Polls that are due and wait for a place."""
        now_ms = self._now_ms()
        return sum(due_ms <= now_ms for due_ms, _, _ in self._heap)

    @property
    def late_s(self) -> float:
        """By how much the poll that is due longest is late, s."""
        return max((self._now_ms() - self._heap[0][0]) / MS_PER_S, 0.0) if self._heap else 0.0

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._start_due(tasks)
                await self._clock.sleep(TICK_S)

    def _start_due(self, tasks: asyncio.TaskGroup) -> None:
        if self.gives_way():
            return
        now_ms = self._now_ms()
        heap = self._heap
        most = max(int(CATCH_UP * len(heap) * TICK_S / self._rules.interval_s), self._least_starts)
        while heap and heap[0][0] <= now_ms and most:
            if self.in_flight >= self._rules.in_flight:
                self._watch.overrun()
                return
            most -= 1
            due_ms, _, link = heapq.heappop(heap)
            if due_ms != link.due_ms:
                continue
            if link.polling is not None or link.commanding:
                self._schedule(link, now_ms + int(self._rules.fast_interval_s * MS_PER_S))
                continue
            self.in_flight += 1
            link.polling = tasks.create_task(self._poll(link))

    def _schedule(self, link: Link, due_ms: int) -> None:
        if not link.ours:
            return
        link.due_ms = due_ms
        self._entries += 1
        heapq.heappush(self._heap, (due_ms, self._entries, link))

    def _now_ms(self) -> int:
        """The schedule's time: it never jumps, or a clock that is put back would stop the sweep for as long."""
        return int(self._clock.monotonic_s() * MS_PER_S)

    async def _poll(self, link: Link) -> None:
        started = self._clock.monotonic_s()
        ok = False
        try:
            async with asyncio.timeout(self._rules.deadline_s):
                if not link.proved or self._now_ms() >= link.facts_due_ms:
                    await self._prove(link)
                reading = await link.device.poll()
                if reading.uptime_s + 1.0 < link.uptime_s:
                    # Rebooted, or another one: who it is comes before what it says is believed.
                    await self._prove(link)
            link.uptime_s = reading.uptime_s
            self._keeper.seen(link.row, reading, self._clock.now_ms())
            self.on_reading(link.row, reading)
            ok = True
            await self._prepare(link)
        except (FarmError, TimeoutError) as error:
            self._failed(link, error)
        except Exception:
            log.exception("poll_crashed", miner=link.miner_id)
            self._failed(link, None)
        else:
            self._answered(link)
        finally:
            self.in_flight -= 1
            link.polling = None
            self._watch.polled(self._clock.monotonic_s() - started, ok=ok)
            self._again(link)

    async def _prove(self, link: Link) -> None:
        """Read the slow facts; the miner must be who the inventory says before it is commanded."""
        facts = await link.device.facts()
        link.facts_due_ms = self._now_ms() + int(self._rules.facts_interval_s * MS_PER_S)
        same = facts.identity.miner_id == link.miner_id
        if not same:
            link.proved = False
            self._keeper.allow(link.row, commandable=False)
            self.on_impostor(link, facts)
            message = f"{link.miner_id}: its address is answered by {facts.identity.miner_id}; not commanded"
            raise FarmError(message)
        self.facts.keep(link.row, link.miner_id, facts)
        self.on_facts(link.row, facts)
        if not link.proved and isinstance(link.device, ReadsLadder):
            ladder = await link.device.ladder()
            if ladder is not None:
                self._keeper.learn_ladder(link.row, ladder)
        link.proved = True
        self._keeper.allow(link.row, commandable=self._keeper.seat_of(link.row).commandable)

    async def _prepare(self, link: Link) -> None:
        """Keep a token ready: a Whatsminer login costs more than its command (SCALE section 3)."""
        now_ms = self._now_ms()
        device = link.device
        if not self._rules.prepares or now_ms < link.prepare_due_ms or not isinstance(device, Prepares):
            return
        # First spread over the fleet by the miner's own slot, then renewed before it dies.
        first = link.prepare_due_ms == 0
        wait_s = link.offset_ms % PREPARE_SPREAD_MS / MS_PER_S if first else RENEW_AT * device.prepared_s
        link.prepare_due_ms = now_ms + int(wait_s * MS_PER_S) if device.prepared_s > 0 else NEVER_DUE_MS
        if first or device.prepared_s <= 0:
            return
        try:
            async with asyncio.timeout(self._rules.deadline_s):
                await device.prepare()
        except (FarmError, TimeoutError) as error:
            log.debug("not_prepared", miner=link.miner_id, error=str(error))

    def _answered(self, link: Link) -> None:
        if link.lost:
            log.info("miner_back", miner=link.miner_id, after_failures=link.failures)
        link.failures = 0

    def _failed(self, link: Link, error: BaseException | None) -> None:
        link.failures += 1
        self._keeper.missed(link.row, self._clock.now_ms())
        log.debug("poll_failed", miner=link.miner_id, failures=link.failures, error=str(error))
        if link.failures == LOST_AFTER:
            # Whoever answers here next proves first who it is: addresses change hands while a miner is away.
            link.facts_due_ms = 0
            log.info("miner_lost", miner=link.miner_id, error=str(error))

    def _again(self, link: Link) -> None:
        now_ms = self._now_ms()
        rules = self._rules
        if link.failures:
            self._schedule(link, link.backed_off_ms(now_ms, rules.interval_s, rules.backoff_max_s))
        elif link.due_ms <= now_ms:
            self._schedule(link, self._next_ms(link, now_ms))

    def _next_ms(self, link: Link, now_ms: int) -> int:
        """The slot of a miner, or sooner while its command is not confirmed."""
        slot_ms = link.next_slot_ms(now_ms, self._rules.interval_s)
        if not (link.row < len(self._expecting) and self._expecting.item(link.row)):
            link.way = None
            return slot_ms
        if link.way is not None:
            wait_s = link.way.next_look_s(self._clock.monotonic_s(), self._keeper.drawn_w(link.row))
            if wait_s is not None:
                return now_ms + int(wait_s * MS_PER_S)
            link.way = None
        return min(slot_ms, now_ms + int(self._fast_s * MS_PER_S))
