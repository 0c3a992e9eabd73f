"""A worker: polls and commands the shards that it holds, under leases; shows what it sees, asks nobody to lower power.

The controller's set-points come through the site's database.  What raises is written there first, with the proof that
lease, plan and share are alive, and the lease's deadline is looked at once more right before each socket write.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from farmctl.core.model import Command, Lane, MinerId
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S
from farmctl.engine import pages
from farmctl.engine.actuator import Actuator
from farmctl.engine.beside import Beside
from farmctl.engine.burden import Burden
from farmctl.engine.fleet import FleetKeeper
from farmctl.engine.gate import ShardGate
from farmctl.engine.link import Link
from farmctl.engine.poller import Poller
from farmctl.engine.records import fate_records
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.shards import Held, Leases, Outcome, Plan, SetPoint, ShardPost
from farmctl.ports.site import Clock
from farmctl.ports.store import Store

log = structlog.get_logger(__name__)

BEAT_S = 0.5
LOOK_S = 0.5
"""Set-points come with a wake-up; this is for the one that was lost."""
SHOW_S = 1.0
ASIDE_S = 5.0
SETTLE_S = 2.0
GONE_S = 3.0
"""Silence of the database after which lowering goes by this process alone."""
SLEEP_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WorkerParts:
    """What a worker works with; filled by wiring."""

    keeper: FleetKeeper
    links: Mapping[MinerId, Link]
    shard_of: Mapping[MinerId, str]
    poller: Poller
    leases: Leases
    post: ShardPost
    store: Store
    clock: Clock
    wake: asyncio.Event
    """Set when set-points were written."""
    beside: Beside
    keep_s: float = 10.0
    """Between two pages of the history; 0: none is kept."""


@dataclass(slots=True, eq=False)
class _Shard:
    """One shard while it is held."""

    held: Held
    after: int = 0
    """Highest `rev` of a set-point that was taken."""


class Worker:
    """One process's share of the site; `actuator` comes with `arm`."""

    def __init__(self, parts: WorkerParts, gate: ShardGate, actuator: Actuator) -> None:
        self._p = parts
        self._gate = gate
        self._actuator = actuator
        self._mine: dict[str, _Shard] = {}
        self._rows = pages.rows_of(parts.keeper, parts.shard_of)
        self._burden = Burden(parts.keeper)
        self._plan: Plan | None = None
        self._plan_ends_s = float("inf")
        """Monotonic: when the newest plan that was read runs out."""
        self._heard_s = parts.clock.monotonic_s()
        self._failed_safe = False

    @property
    def shards(self) -> tuple[str, ...]:
        """Those held now, sorted."""
        return tuple(sorted(self._mine))

    @property
    def database_gone(self) -> bool:
        """True while the database has not answered for some seconds."""
        return self._p.clock.monotonic_s() - self._heard_s > GONE_S

    async def run(self) -> None:
        """Until cancelled; then the shards are let go."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (self._beat, self._obey, self._show, self._show_beside, self._settle, self._watch):
                    tasks.create_task(part())
        finally:
            self._p.poller.drop(self._p.links.values())
            try:
                await asyncio.shield(self._p.leases.leave())
            except StoreError as error:
                log.info("leases_left_to_expire", error=str(error))

    def lower_directly(self, commands: Sequence[Command]) -> None:
        """Send what lowers without the database: for the controller in this process, and for the fail-safe."""
        mine = [command for command in commands if self._p.shard_of.get(command.miner) in self._mine]
        self._gate.admit(mine)
        self._actuator.submit(mine)

    async def _beat(self) -> None:
        while True:
            try:
                await self._p.leases.beat()
            except StoreError as error:
                log.debug("lease_not_renewed", error=str(error))
            else:
                self._back()
                self._take()
            await self._p.clock.sleep(BEAT_S)

    async def _watch(self) -> None:
        """A task of its own: the others may hang on a database that answers nothing."""
        while True:
            if self.database_gone:
                self._fail_safe()
            await self._p.clock.sleep(BEAT_S)

    def _take(self) -> None:
        """Begin with what was claimed, stop with what was lost."""
        held, poller = self._p.leases.held(), self._p.poller
        for shard in self._mine.keys() - held.keys():
            del self._mine[shard]
            poller.drop(self._links(shard))
            log.info("shard_let_go", shard=shard)
        for shard, lease in held.items():
            mine = self._mine.get(shard)
            if mine is not None and mine.held.epoch == lease.epoch:
                mine.held = lease
                continue
            # Another epoch of our own is a new claim as well: somebody may have commanded in between.
            self._mine[shard] = _Shard(held=lease)
            self._burden.forget(self._rows[shard])
            self._p.beside.forget(shard)
            poller.add(self._links(shard))
            log.info("shard_claimed", shard=shard, epoch=lease.epoch)
            self._p.wake.set()

    async def _obey(self) -> None:
        while True:
            try:
                await self._orders()
            except StoreError as error:
                log.debug("no_setpoints", error=str(error))
            await self._tell()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._p.wake.wait()
            except TimeoutError:
                continue
            finally:
                self._p.wake.clear()

    async def _orders(self) -> None:
        if not self._mine:
            return
        plan = await self._p.post.plan()
        points = await self._p.post.setpoints({shard: mine.after for shard, mine in self._mine.items()})
        self._back()
        if plan is not None:
            self._plan, self._plan_ends_s = plan, self._p.clock.monotonic_s() + plan.left_s
        by_shard: dict[str, list[SetPoint]] = defaultdict(list)
        for point in points:
            by_shard[point.shard].append(point)
        for shard, wanted in by_shard.items():
            mine = self._mine.get(shard)
            if mine is not None:
                mine.after = wanted[-1].rev
                await self._pass_on(mine.held, wanted)

    async def _pass_on(self, held: Held, points: Sequence[SetPoint]) -> None:
        """Note the orders, lowering first, and give them to the wire."""
        now_ms, rev = self._p.clock.now_ms(), self._plan.rev if self._plan is not None else 0
        live = [point for point in points if point.command.deadline_ms > now_ms]
        down = [point.command for point in live if not point.raises]
        up = [point.command for point in live if point.raises]
        if down:
            self._actuator.submit(down)
            await self._p.post.lower(held, rev, down)
        if up:
            worst_w = self._burden.worst_w(self._rows[held.shard], up)
            try:
                await self._p.post.raise_power(held, rev, up, worst_w)
            except RefusedError as error:
                log.info("not_raised", shard=held.shard, epoch=held.epoch, miners=len(up), why=str(error))
                for command in up:
                    self._p.keeper.refused(self._p.links[command.miner].row, now_ms)
                return
            self._burden.raised(up)
            self._actuator.submit(up)

    async def _tell(self) -> None:
        """What became of commands: into their rows, and into the journal."""
        fates = self._actuator.drain_fates()
        self._gate.forget([fate.command for fate in fates])
        if not fates:
            return
        told = []
        for fate in fates:
            shard = self._p.shard_of[fate.command.miner]
            mine = self._mine.get(shard)
            if mine is not None:
                told.append(
                    Outcome(
                        miner=fate.command.miner, shard=shard, epoch=mine.held.epoch, fate=fate.fate, detail=fate.detail
                    )
                )
        try:
            await self._p.store.append(fate_records(fates))
            if told:
                await self._p.post.tell(told)
        except StoreError as error:
            log.warning("fates_not_told", fates=len(fates), error=str(error))

    async def _show(self) -> None:
        kept_ms = 0
        while True:
            await self._p.clock.sleep(SHOW_S)
            mine = [shard.held for shard in self._mine.values()]
            packed = [(held, pages.pack(self._p.keeper, self._rows[held.shard])) for held in mine]
            now_ms = self._p.clock.now_ms()
            try:
                if packed:
                    await self._p.post.show(packed)
                if packed and self._p.keep_s and now_ms - kept_ms >= self._p.keep_s * MS_PER_S:
                    kept_ms = now_ms
                    await self._p.post.keep(now_ms, packed)
            except StoreError as error:
                log.debug("not_shown", error=str(error))

    async def _show_beside(self) -> None:
        while True:
            await self._p.clock.sleep(ASIDE_S)
            for shard, kind, page in self._p.beside.changed(self.shards):
                try:
                    await self._p.post.show_beside([(self._mine[shard].held, kind, page)])
                except (StoreError, KeyError) as error:  # let go of meanwhile
                    self._p.beside.again(shard, kind)
                    log.debug("not_shown_beside", shard=shard, error=str(error))

    async def _settle(self) -> None:
        """Bring each share to what the shard's miners draw at worst, once all of them were looked at."""
        while True:
            await self._p.clock.sleep(SETTLE_S)
            for shard in list(self._mine.values()):
                rows = self._rows[shard.held.shard]
                if not self._burden.is_known(rows):
                    continue
                try:
                    await self._p.post.settle(shard.held, self._burden.worst_w(rows))
                except RefusedError as error:
                    log.debug("share_not_settled", shard=shard.held.shard, why=str(error))
                except StoreError as error:
                    log.debug("share_not_settled", shard=shard.held.shard, error=str(error))
                    break

    def _back(self) -> None:
        if self.database_gone:
            log.info("database_back")
        self._heard_s, self._failed_safe = self._p.clock.monotonic_s(), False

    def _fail_safe(self) -> None:
        """The plan has run out and nobody can tell a new one: this process's part of the firm level."""
        if self._failed_safe or self._plan is None or self._p.clock.monotonic_s() < self._plan_ends_s:
            return
        self._failed_safe = True
        rows = np.concatenate([self._rows[shard] for shard in self._mine] or [np.zeros(0, dtype=np.int64)])
        sleepers = self._burden.beyond(rows, self._plan.failsafe_w)
        log.error("plan_ended_without_database", effect="own shards to the firm level", asleep=len(sleepers))
        deadline_ms = self._p.clock.now_ms() + int(SLEEP_DEADLINE_S * MS_PER_S)
        self.lower_directly([self._sleep(row, deadline_ms) for row in sleepers])

    def _sleep(self, row: int, deadline_ms: int) -> Command:
        seat = self._p.keeper.seat_of(row)
        assert seat.ladder is not None, "only rows with a ladder are put to sleep"  # noqa: S101 - told by `beyond`
        return Command(
            miner=seat.row.miner_id, step=0, point=seat.ladder.points[0], lane=Lane.URGENT, deadline_ms=deadline_ms,
            reason=Reason.SHED, attempt=1, cycle=0,
        )  # fmt: skip

    def _links(self, shard: str) -> list[Link]:
        return [self._p.links[self._p.keeper.seat_of(row).row.miner_id] for row in self._rows[shard].tolist()]
