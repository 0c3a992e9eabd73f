"""The controller of a site of workers: columns from their live pages, commands to them as set-points."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from typing_extensions import override

from farmctl.core.fleet import UNKNOWN_STEP
from farmctl.core.model import Command, Fate, MinerId
from farmctl.core.units import MS_PER_S
from farmctl.engine import beside, pages
from farmctl.engine.actuator import CommandFate, CommandWatch, Sender
from farmctl.engine.cycle import Picture
from farmctl.engine.fleet import FleetKeeper
from farmctl.engine.link import Link
from farmctl.engine.poller import Poller
from farmctl.errors import MalformedReplyError, StoreError
from farmctl.ports.shards import Member, SetPoint, SitePost
from farmctl.ports.site import Clock

log = structlog.get_logger(__name__)

LOOK_S = 0.5
MEMBERS_S = 2.0
BESIDE_S = 3.0
TIDY_S = 3600.0
PLAN_S = 60.0
"""A plan holds so long after its controller was heard last; then the workers go to the firm level."""
RENEW_S = 5.0
FRESH_S = 5.0
"""A step that was read longer ago does not prove that a command lowers."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LeadingParts:
    """What the controller works with; filled by wiring."""

    keeper: FleetKeeper
    links: Mapping[MinerId, Link]
    shard_of: Mapping[MinerId, str]
    post: SitePost
    clock: Clock
    watch: CommandWatch
    hub: Poller
    """Polls nobody here; whoever listens to it hears what the workers' polls have told."""
    keep_days: int
    """Of telemetry pages in the database."""
    ceiling_w: float
    """Cap before the first decision: the site's rating."""
    failsafe_w: float
    directly: Callable[[Sequence[Command]], None] | None = None
    """The worker in this process, for what lowers while the database is gone."""


class Leading(Sender):
    """Assembles the site, writes set-points and the plan; ends where another leads."""

    def __init__(self, parts: LeadingParts) -> None:
        self._p = parts
        self._rows = pages.rows_of(parts.keeper, parts.shard_of)
        self._queue: dict[MinerId, Command] = {}
        self._work = asyncio.Event()
        self._fates: list[CommandFate] = []
        self._cap_w = parts.ceiling_w
        self._mark_ms = 0
        self._strange: set[str] = set()
        self.first_sent_s: float | None = None
        self.members: Sequence[Member] = ()
        """Who was there at the last look."""

    async def run(self) -> None:
        """Until cancelled. Raises RefusedError where another leads."""
        async with asyncio.TaskGroup() as tasks:
            for part in (
                self._introduce,
                self._assemble,
                self._listen,
                self._order,
                self._plan,
                self._count,
                self._tidy,
            ):
                tasks.create_task(part())

    def see(self, picture: Picture) -> None:
        """One more decision: its ceiling is what the workers may share."""
        ceiling_w = picture.decision.budget.ceiling_w
        self._cap_w = min(ceiling_w, self._p.ceiling_w) if np.isfinite(ceiling_w) else self._p.ceiling_w

    @override
    def mark(self) -> None:
        self.first_sent_s, self._mark_ms = None, self._p.clock.now_ms()

    @override
    def submit(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if (old := self._queue.get(command.miner)) is not None:
                self._fate(old, Fate.SUPERSEDED, "")
            self._queue[command.miner] = command
        self._work.set()

    @override
    def drain_fates(self) -> list[CommandFate]:
        fates, self._fates = self._fates, []
        return fates

    @property
    @override
    def open_commands(self) -> int:
        return len(self._queue)

    async def _introduce(self) -> None:
        """Make the shards known, once."""
        while True:
            try:
                await self._p.post.known(sorted(self._rows))
            except StoreError as error:
                log.debug("shards_not_made_known", error=str(error))
                await self._p.clock.sleep(LOOK_S)
            else:
                return

    async def _order(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            commands, self._queue = list(self._queue.values()), {}
            points = [
                SetPoint(shard=self._p.shard_of[each.miner], command=each, raises=self._raises(each))
                for each in commands
            ]
            try:
                await self._p.post.order(points)
            except StoreError as error:
                self._without_database(points, str(error))

    def _without_database(self, points: Sequence[SetPoint], why: str) -> None:
        """What lowers goes to the miners of the worker in this process; the rest is tried again by the core."""
        down = [point.command for point in points if not point.raises]
        if self._p.directly is not None and down:
            self._p.directly(down)
        log.warning("setpoints_not_written", miners=len(points), lowered_directly=len(down), error=why)
        now_ms = self._p.clock.now_ms()
        for point in points:
            self._p.keeper.refused(self._p.links[point.command.miner].row, now_ms)
            self._fate(point.command, Fate.FAILED, "the site's database does not answer")

    def _raises(self, command: Command) -> bool:
        """True unless telemetry has just shown that this is less than now."""
        if command.step == 0:
            return False
        table, row = self._p.keeper.table, self._p.links[command.miner].row
        fresh = self._p.clock.now_ms() - int(table.seen_ms[row]) <= FRESH_S * MS_PER_S
        step = int(table.step[row])
        return not (fresh and step != UNKNOWN_STEP and command.step < step)

    async def _plan(self) -> None:
        """The cap follows the decisions at once, and lives a while longer than we do."""
        told_s, told_w = 0.0, float("nan")
        while True:
            now_s = self._p.clock.monotonic_s()
            if self._cap_w != told_w or now_s - told_s >= RENEW_S:
                try:
                    await self._p.post.publish(self._cap_w, self._p.failsafe_w, PLAN_S)
                    told_s, told_w = now_s, self._cap_w
                except StoreError as error:
                    log.debug("plan_not_published", error=str(error))
            await self._p.clock.sleep(LOOK_S)

    async def _assemble(self) -> None:
        after = 0
        while True:
            try:
                for page in await self._p.post.pages(after):
                    after = page.rev
                    self._put(page.shard, page.packed)
            except StoreError as error:
                log.debug("no_pages", error=str(error))
            await self._p.clock.sleep(LOOK_S)

    async def _listen(self) -> None:
        """What stands beside the columns: slower, and nothing is decided by it."""
        after = 0
        while True:
            try:
                for page in await self._p.post.beside(after):
                    after = page.rev
                    if (rows := self._rows.get(page.shard)) is not None:
                        beside.take(self._p.hub, self._p.keeper, rows, page.kind, page.packed)
            except (StoreError, MalformedReplyError) as error:
                log.debug("nothing_beside", error=str(error))
            await self._p.clock.sleep(BESIDE_S)

    async def _tidy(self) -> None:
        while True:
            try:
                await self._p.post.tidy(self._p.keep_days)
            except StoreError as error:
                log.debug("not_tidied", error=str(error))
                await self._p.clock.sleep(PLAN_S)
            else:
                await self._p.clock.sleep(TIDY_S)

    def _put(self, shard: str, packed: bytes) -> None:
        rows = self._rows.get(shard)
        if rows is None:
            return
        try:
            pages.unpack(self._p.keeper, rows, packed)
        except MalformedReplyError as error:
            if shard not in self._strange:
                log.warning("page_passed_over", shard=shard, error=str(error))
            self._strange.add(shard)
            return
        self._strange.discard(shard)
        table = self._p.keeper.table
        if self.first_sent_s is None and self._mark_ms:
            sent = table.sent_ms[rows][table.sent_ms[rows] >= self._mark_ms]
            if len(sent):
                now_ms, now_s = self._p.clock.now_ms(), self._p.clock.monotonic_s()
                self.first_sent_s = now_s - max(now_ms - int(sent.min()), 0) / MS_PER_S

    async def _count(self) -> None:
        while True:
            try:
                self.members = await self._p.post.members()
            except StoreError as error:
                log.debug("members_not_known", error=str(error))
            await self._p.clock.sleep(MEMBERS_S)

    def _fate(self, command: Command, fate: Fate, detail: str) -> None:
        self._p.watch.fated(command, fate, 0.0)
        self._fates.append(CommandFate(command=command, fate=fate, at_ms=self._p.clock.now_ms(), detail=detail))
