"""A site of several processes on PostgreSQL: this one's worker, and its candidate for the controller's seat."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from farmctl.config.build import circuit_tree
from farmctl.config.load import Loaded
from farmctl.control.standby import StandbyDoor
from farmctl.engine.actuator import Actuator
from farmctl.engine.beside import Beside as Heard
from farmctl.engine.clock import SystemClock
from farmctl.engine.gate import ShardGate
from farmctl.engine.leading import Leading, LeadingParts
from farmctl.engine.pages import rows_of
from farmctl.engine.poller import Poller
from farmctl.engine.supervisor import supervise
from farmctl.engine.tally import Tally
from farmctl.engine.watchdog import Watchdog
from farmctl.engine.worker import Worker, WorkerParts
from farmctl.errors import ConfigError, RefusedError, StoreError
from farmctl.metrics.server import MetricsAddressError
from farmctl.ports.shards import Crew, Held, Role
from farmctl.ports.store import InventoryRow
from farmctl.store.crew import ControllerPost, ShardLeases, WorkerPost, members, woken
from farmctl.store.leases import About, LeaseKeeper, Terms
from farmctl.store.places import Database, open_store
from farmctl.store.postgres import open_postgres, pool_of
from farmctl.store.sqlite import open_sqlite
from farmctl.store.sqlstore import SqlStore
from farmctl.store.standin import StandIn
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.farm import Farm, built
from farmctl.wiring.fleet import Fleet, follower, gather, shard_of
from farmctl.wiring.metrics import MetricsWatch, counts_of
from farmctl.wiring.stores import keep_copy, place_of
from farmctl.wiring.wire import Lead, Wire, actuator_rules, poll_rules

if TYPE_CHECKING:
    import asyncpg

    from farmctl.metrics.controller import ControllerMetrics

log = structlog.get_logger(__name__)

POOL = 6
LOCAL, LEAD = "local.db", "lead.db"
"""Journals of this process for the time without a database: of its worker, and of its lead."""
BEAT_S = 0.5
ENDS_S = 10.0
"""For the last records of a lead; systemd waits longer."""
STANDBY_LOOK_S = 1.0
WATTS_PER_KW = 1e3


class RoleError(ConfigError):
    """A role that this configuration cannot have."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Process:
    """What both halves of one process share."""

    loaded: Loaded
    role: Role
    dsn: str
    name: str
    holder: str
    terms: Terms
    pool: asyncpg.Pool
    stop: asyncio.Event
    counts: ControllerMetrics

    @property
    def site(self) -> str:
        """The site's name."""
        return self.loaded.config.site.name

    @property
    def door(self) -> str:
        """Where others reach the control API of this process."""
        api = self.loaded.config.api
        return f"https://{api.listen}" if api.listen is not None else str(api.socket)

    def keeper(self, role: Role) -> LeaseKeeper:
        """Leases of one role."""
        about = About(role=role.value, name=self.name, door=self.door)
        return LeaseKeeper(self.pool, f"{self.holder}/{role.value}", self.terms, about=about)


async def run_crew(loaded: Loaded, role: Role, stop: asyncio.Event) -> None:
    """Run this process's part of a site until `stop` is set. Raises RoleError, StoreError."""
    config, place = loaded.config, place_of(loaded.config)
    if not isinstance(place, Database):
        raise RoleError(f"--role {role.value}: several processes need [store] kind = 'postgres'")
    lease_s = config.workers.lease_s
    name = config.workers.name or socket.gethostname()
    terms = Terms.of(lease_s)
    async with AsyncExitStack() as stack:
        store = await open_store(place)
        stack.push_async_callback(store.close)
        pool = await pool_of(place.dsn, POOL, terms.guard_s)
        stack.callback(pool.terminate)
        rows = await store.inventory()
        await keep_copy(config, rows)
        process = Process(
            loaded=loaded, role=role, dsn=place.dsn, name=name, holder=f"{name}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            terms=terms, pool=pool, stop=stop, counts=counts_of(config),
        )  # fmt: skip
        parts: dict[str, Callable[[], Awaitable[None]]] = {}
        worker: Worker | None = None
        if role is not Role.CONTROLLER:
            worker, parts = await _worker(process, await _beside(process, LOCAL, stack), rows, stack)
        lead = await _beside(process, LEAD, stack)
        seat = _Seat(process, worker, lead)
        parts["seat"] = seat.run
        parts["systemd"] = Watchdog(SystemClock(), seat.alive_ms, os.environ).run
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_in_order(stop, seat.ended, over))
            await supervise(parts, over)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Beside:
    """A local journal of this process, and the site's without a fence, to merge into."""

    local: SqlStore
    store: StandIn


async def _beside(process: Process, file: str, stack: AsyncExitStack) -> Beside:
    local = await open_sqlite(Path(process.loaded.config.store.dir) / file)
    stack.push_async_callback(local.close)
    # A deadline as short as a lease's: whoever waits longer has lost it meanwhile.
    database = await open_postgres(process.dsn, deadline_s=process.terms.guard_s)
    stack.push_async_callback(database.close)
    store = StandIn(database, local, process.name, SystemClock().now_ms)
    await store.settle()
    return Beside(local=local, store=store)


async def _worker(
    process: Process, beside: Beside, rows: tuple[InventoryRow, ...], stack: AsyncExitStack
) -> tuple[Worker, dict[str, Callable[[], Awaitable[None]]]]:
    """The half that polls and commands, and what runs of it."""
    config, clock = process.loaded.config, SystemClock()
    fleet = gather(config, rows, circuit_tree(config), load_drivers(sorted({row.driver for row in rows})))
    watch = MetricsWatch(config, clock, process.counts, decides=False)
    watch.seat(fleet)
    tally = Tally(watch)
    stack.push_async_callback(_close, fleet)
    shards = {row.miner_id: shard_of(config.workers.shard, row) for row in rows}
    keeper = process.keeper(Role.WORKER)
    post, leases = WorkerPost(process.pool, process.site), ShardLeases(keeper)
    await keeper.add_shards(sorted(set(shards.values())))
    await post.open_shares(sorted(set(shards.values())))
    poller = Poller(fleet.keeper, clock, poll_rules(config), tally)
    poller.drop(fleet.links.values())
    gate = ShardGate(shards, leases, fleet.keeper, clock)
    actuator = Actuator(fleet.keeper, poller, clock, actuator_rules(config), tally, gate)
    actuator.take(fleet.links)
    poller.gives_way = actuator.presses
    wake = asyncio.Event()
    parts = WorkerParts(
        keeper=fleet.keeper, links=fleet.links, shard_of=shards, poller=poller, leases=leases, post=post,
        store=beside.store, clock=clock, wake=wake,
        beside=Heard(fleet.keeper, poller, rows_of(fleet.keeper, shards)),
        keep_s=float(config.history.step_s) if config.history.enabled else 0.0,
    )  # fmt: skip
    worker = Worker(parts, gate, actuator)
    following = follower(config, fleet, poller, beside.store, clock)
    return worker, {
        "worker": worker.run,
        "poller": poller.run,
        "actuator": actuator.run,
        "wake-ups": lambda: woken(process.pool, wake),
        **({"follower": following.run} if following is not None else {}),
    }


class _Seat:
    """Stands by, leads while the seat is this process's, stands by again."""

    def __init__(self, process: Process, worker: Worker | None, beside: Beside) -> None:
        self._process = process
        self._worker = worker
        self._beside = beside
        self._seat = f"controller/{process.site}"
        self._looked_ms = 0
        self._farm: Farm | None = None
        self.ended = asyncio.Event()
        """Set when this process was asked to stop and leads no more."""

    def alive_ms(self) -> int:
        """When this process last decided, or looked whether it should; 0: not yet."""
        return self._farm.last_cycle_ms() if self._farm is not None else self._looked_ms

    async def run(self) -> None:
        """Until cancelled."""
        process = self._process
        if process.role is Role.WORKER:
            await self._standing_by(None)
            self.ended.set()
            return
        keeper = process.keeper(Role.CONTROLLER)
        known = False
        try:
            while not process.stop.is_set():
                with suppress(StoreError):
                    if not known:
                        await keeper.add_shards([self._seat])
                        known = True
                    await keeper.beat()
                lease = keeper.held.get(self._seat)
                if lease is not None and keeper.may_send(lease):
                    log.info("leading", site=process.site, name=process.name, epoch=lease.epoch)
                    await self._leading(keeper, lease)
                    log.info("leading_no_more", site=process.site, name=process.name)
                else:
                    await self._standing_by(keeper)
        finally:
            with suppress(StoreError):
                await asyncio.shield(keeper.leave())
            if process.stop.is_set():
                self.ended.set()

    def _is_ours(self, keeper: LeaseKeeper) -> bool:
        lease = keeper.held.get(self._seat)
        return lease is not None and keeper.may_send(lease)

    async def _standing_by(self, keeper: LeaseKeeper | None) -> None:
        """Say who leads to whoever asks here, until the seat is ours."""
        api = self._process.loaded.config.api
        door = StandbyDoor(api.socket, api.group, SystemClock())
        async with door.listening(), asyncio.TaskGroup() as tasks:
            counting = tasks.create_task(self._counting())
            while not self._process.stop.is_set() and (keeper is None or not self._is_ours(keeper)):
                with suppress(StoreError):
                    if keeper is not None:
                        await keeper.beat()
                    door.heard(await members(self._process.pool))
                self._looked_ms = SystemClock().now_ms()
                await asyncio.sleep(STANDBY_LOOK_S if keeper is None else BEAT_S)
            counting.cancel()

    async def _counting(self) -> None:
        """Serve what this process counts; whoever leads serves it with the site's figures."""
        config = self._process.loaded.config
        try:
            await MetricsWatch(config, SystemClock(), self._process.counts, decides=False).run()
        except MetricsAddressError as error:
            log.error("no_metrics", error=str(error), effect="this process goes on without")  # noqa: TRY400 - it says all

    async def _leading(self, keeper: LeaseKeeper, seat: Held) -> None:
        process, over = self._process, asyncio.Event()
        fence = (seat.shard, seat.epoch, keeper.holder)
        database = await open_postgres(process.dsn, fence, deadline_s=process.terms.guard_s)
        store = StandIn(database, self._beside.local, process.name, SystemClock().now_ms)
        try:
            await store.settle()
            hands = _Hands(process, keeper, seat, self._worker, over, store)
            lead = Lead(store=store, hands=hands.wire, counts=process.counts)
            async with built(process.loaded, stop=over, lead=lead) as farm, asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beating(keeper, seat, over))
                self._farm = farm
                await farm.run()
                beating.cancel()
        finally:
            self._farm = None
            with suppress(StoreError):
                await database.close()
            with suppress(StoreError):  # else when it leads or starts again
                await self._beside.store.settle()

    async def _beating(self, keeper: LeaseKeeper, seat: Held, over: asyncio.Event) -> None:
        """Renew the seat; over where the process is asked to stop, or the database says that it is another's."""
        while not over.is_set():
            with suppress(StoreError):
                await keeper.beat()
            now = keeper.held.get(seat.shard)
            if now is None or now.epoch != seat.epoch or self._process.stop.is_set():
                over.set()
            await asyncio.sleep(BEAT_S)


class _Hands:
    """The wire of a controller that leads workers."""

    def __init__(
        self,
        process: Process,
        keeper: LeaseKeeper,
        seat: Held,
        worker: Worker | None,
        over: asyncio.Event,
        store: StandIn,
    ) -> None:
        self._store = store
        self._process, self._keeper, self._seat = process, keeper, seat
        self._worker, self._over = worker, over
        self._leading: Leading | None = None

    def wire(self, fleet: Fleet, tally: Tally, hub: Poller) -> Wire:
        """Make it for a fleet whose miners this process does not poll by these links."""
        process, config = self._process, self._process.loaded.config
        rows = [fleet.keeper.seat_of(row).row for row in range(len(fleet.keeper.table))]
        for link in fleet.links.values():
            link.ours = False
        parts = LeadingParts(
            keeper=fleet.keeper,
            links=fleet.links,
            shard_of={row.miner_id: shard_of(config.workers.shard, row) for row in rows},
            post=ControllerPost(process.pool, process.site, self._seat, self._keeper.holder),
            clock=SystemClock(),
            watch=tally,
            hub=hub,
            keep_days=config.history.keep_days,
            ceiling_w=config.site.rated_kw * WATTS_PER_KW,
            failsafe_w=config.site.firm_kw * WATTS_PER_KW,
            directly=self._worker.lower_directly if self._worker is not None else None,
        )
        self._leading = leading = Leading(parts)
        return Wire(
            sender=leading,
            nudge=lambda: None,
            parts={"leading": lambda: self._led(leading)},
            pictures=(leading.see,),
            may_raise=self._may_raise,
            crew=lambda: Crew(leader=process.name, door=process.door, members=tuple(leading.members)),
        )

    async def _led(self, leading: Leading) -> None:
        try:
            await leading.run()
        except* RefusedError as refused:
            log.warning("fenced", why="; ".join(str(error) for error in refused.exceptions))
            self._over.set()
            await asyncio.Event().wait()

    def _may_raise(self) -> bool:
        lease = self._keeper.held.get(self._seat.shard)
        if self._store.away or lease is None or lease.epoch != self._seat.epoch:
            return False
        return self._keeper.may_send(lease)


async def _in_order(stop: asyncio.Event, seat_ended: asyncio.Event, over: asyncio.Event) -> None:
    """The lead ends first, while what it needs still runs; then everything else."""
    await stop.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDS_S):
            await seat_ended.wait()
    over.set()


async def _close(fleet: Fleet) -> None:
    async with asyncio.TaskGroup() as tasks:
        for link in fleet.links.values():
            tasks.create_task(link.device.close())
