"""The seat of the controller: stands by, decides for the whole site while it is this process's, stands by again."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from farmctl.control.standby import StandbyDoor
from farmctl.engine.clock import SystemClock
from farmctl.engine.leading import Leading, LeadingParts
from farmctl.engine.poller import Poller
from farmctl.engine.tally import Tally
from farmctl.engine.worker import Worker
from farmctl.errors import RefusedError, StoreError
from farmctl.metrics.server import MetricsAddressError
from farmctl.ports.shards import Crew, Held, Role
from farmctl.store.crew import ControllerPost, members
from farmctl.store.leases import LeaseKeeper
from farmctl.store.postgres import open_postgres
from farmctl.store.standin import StandIn
from farmctl.wiring.farm import Farm, built
from farmctl.wiring.fleet import Fleet, shard_of
from farmctl.wiring.metrics import MetricsWatch
from farmctl.wiring.process import Beside, Process
from farmctl.wiring.wire import Lead, Wire

log = structlog.get_logger(__name__)

BEAT_S = 0.5
STANDBY_LOOK_S = 1.0
WATTS_PER_KW = 1e3


class Seat:
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
