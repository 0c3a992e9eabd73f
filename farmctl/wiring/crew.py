"""A site of several processes on PostgreSQL: this one's worker, and its candidate for the controller's seat."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import structlog

from farmctl.config.build import circuit_tree
from farmctl.config.load import Loaded
from farmctl.engine.actuator import Actuator
from farmctl.engine.beside import Beside as Heard
from farmctl.engine.clock import SystemClock
from farmctl.engine.gate import ShardGate
from farmctl.engine.pages import rows_of
from farmctl.engine.poller import Poller
from farmctl.engine.supervisor import supervise
from farmctl.engine.tally import Tally
from farmctl.engine.watchdog import Watchdog
from farmctl.engine.worker import Worker, WorkerParts
from farmctl.errors import ConfigError
from farmctl.ports.shards import Role
from farmctl.ports.store import InventoryRow
from farmctl.store.connection import LostSessionError
from farmctl.store.crew import ShardLeases, WorkerPost, woken
from farmctl.store.leases import Terms
from farmctl.store.places import Database, open_store
from farmctl.store.postgres import pool_of
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.fleet import Fleet, follower, gather, shard_of
from farmctl.wiring.metrics import MetricsWatch, counts_of
from farmctl.wiring.process import Beside, Process, open_beside
from farmctl.wiring.seat import Seat
from farmctl.wiring.stores import keep_copy, place_of
from farmctl.wiring.wire import actuator_rules, poll_rules

log = structlog.get_logger(__name__)

POOL = 6
LOCAL, LEAD = "local.db", "lead.db"
"""Journals of this process for the time without a database: of its worker, and of its lead."""
ENDS_S = 10.0
"""For the last records of a lead; systemd waits longer."""
AWAITED_S = 60.0
"""So long a process that starts waits for a database that restarts, or for the promotion of its standby; a crew needs
everybody just then. After that whoever started it is told, and tries again or reads why."""
AGAIN_S = 0.5


class RoleError(ConfigError):
    """A role that this configuration cannot have."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Joined:
    """What runs in this process, and its seat, which ends first."""

    parts: dict[str, Callable[[], Awaitable[None]]]
    seat: Seat


async def run_crew(loaded: Loaded, role: Role, stop: asyncio.Event) -> None:
    """Run this process's part of a site until `stop` is set. Raises RoleError, StoreError."""
    place, clock = place_of(loaded.config), SystemClock()
    if not isinstance(place, Database):
        raise RoleError(f"--role {role.value}: several processes need [store] kind = 'postgres'")
    until_s = clock.monotonic_s() + AWAITED_S
    while not stop.is_set():
        try:
            async with AsyncExitStack() as stack:
                joined = await _join(loaded, role, place, stop, stack)
                until_s = 0.0  # from here on its parts wait for the database by themselves
                await _run(joined, stop)
        except LostSessionError as error:
            if clock.monotonic_s() > until_s:
                raise
            log.warning("database_awaited", error=str(error), for_s=round(until_s - clock.monotonic_s()))
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await stop.wait()
        else:
            return


async def _join(loaded: Loaded, role: Role, place: Database, stop: asyncio.Event, stack: AsyncExitStack) -> _Joined:
    """Open everything until the stack closes."""
    config = loaded.config
    name, terms = config.workers.name or socket.gethostname(), Terms.of(config.workers.lease_s)
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
        worker, parts = await _worker(process, await open_beside(process, LOCAL, stack), rows, stack)
    seat = Seat(process, worker, await open_beside(process, LEAD, stack))
    parts["seat"] = seat.run
    parts["systemd"] = Watchdog(SystemClock(), seat.alive_ms, os.environ).run
    return _Joined(parts=parts, seat=seat)


async def _run(joined: _Joined, stop: asyncio.Event) -> None:
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_in_order(stop, joined.seat.ended, over))
        await supervise(joined.parts, over)


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
