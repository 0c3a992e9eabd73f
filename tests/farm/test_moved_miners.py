"""Miners that change addresses while the controller runs: never commanded in another's place, and found again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from farmctl.core.model import Command, Fate, Lane, MinerId, OperatingPoint, PointKind
from farmctl.core.reasons import Reason
from farmctl.engine.actuator import Actuator, ActuatorRules
from farmctl.engine.clock import SystemClock
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.engine.link import Link
from farmctl.engine.poller import Poller, PollRules
from farmctl.engine.scan.follow import Follower, FollowRules
from farmctl.engine.tally import Tally
from farmctl.ports.devices import Credentials, Endpoint
from farmctl.ports.store import InventoryRow, RecordKind
from farmctl.store.memory import MemoryStore
from farmctl.wiring.drivers import load_drivers
from simulators.faults import Fault
from simulators.plan import read_plan
from simulators.world import World, inventory_rows

NET = f"127.{70 + os.getpid() % 20}.{os.getpid() // 20 % 250}"
WORLD = "".join(
    f'[[group]]\nname = "{model}"\nmodel = "{model}"\ncount = {count}\naddress = "{NET}.{first}"\n'
    "ports = { api = 14028, http = 18080 }\n"
    for model, count, first in (("m50", 3, 1), ("luxos-s21", 2, 11))
)
WITHIN_S = 40.0
SLEEP = OperatingPoint(kind=PointKind.SLEEP, setting="sleep", power_w=28.0, hash_rate_hs=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    world: World
    store: MemoryStore
    keeper: FleetKeeper
    links: dict[MinerId, Link]
    actuator: Actuator

    def link(self, row: int) -> Link:
        return self.links[MinerId(self.world.miners[row].identity.mac.lower())]

    def is_at(self, row: int) -> str:
        """Where the controller thinks a simulated miner is; empty while it is not sure."""
        link = self.link(row)
        return self.keeper.seat_of(link.row).row.host if link.proved else ""

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - many parts may make it true
                await asyncio.sleep(0.05)

    async def fate_of(self, row: int) -> Fate:
        """Command a miner to sleep, urgently, and wait for what becomes of it."""
        now_ms = SystemClock().now_ms()
        miner = self.link(row).miner_id
        command = Command(
            miner=miner,
            step=0,
            point=SLEEP,
            lane=Lane.URGENT,
            deadline_ms=now_ms + 30_000,
            reason=Reason.EMERGENCY,
            attempt=1,
            cycle=1,
        )
        self.actuator.drain_fates()
        self.actuator.submit([command])
        final: list[Fate] = []

        def ended() -> bool:
            final.extend(fate.fate for fate in self.actuator.drain_fates() if fate.fate is not Fate.SENT)
            return bool(final)

        await self.until(ended)
        return final[-1]


@asynccontextmanager
async def site(rules: FollowRules) -> AsyncIterator[Site]:
    world = World(read_plan(f"[farm]\nseed = 5\n{WORLD}"))
    await world.start()
    drivers, store, keeper, clock = load_drivers(["luxos", "whatsminer"]), MemoryStore(), FleetKeeper(), SystemClock()
    rows = [
        InventoryRow(miner_id=MinerId(p["id"].lower()), host=p["host"], ports=p["ports"], driver=p["family"])
        for p in inventory_rows(world)
    ]
    await store.put_inventory(rows)
    keeper.seat([Seat(row=row, ladder=None, node=0, group=0, commandable=True) for row in rows])
    devices = {r.miner_id: drivers[r.driver].device(Endpoint(host=r.host, ports=r.ports), Credentials()) for r in rows}
    links = {miner: Link(miner_id=miner, row=keeper.row_of[miner], device=device) for miner, device in devices.items()}
    poll = PollRules(
        interval_s=0.5,
        in_flight=50,
        fast_interval_s=0.2,
        backoff_max_s=1.0,
        facts_interval_s=3600.0,
        deadline_s=10.0,
    )
    poller = Poller(keeper, clock, poll, Tally())
    poller.take(links.values())
    bounds = ActuatorRules(urgent_in_flight=10, normal_in_flight=10, deadline_s=15.0)
    actuator = Actuator(keeper, poller, clock, bounds, Tally())
    actuator.take(links)
    follower = Follower(
        links, keeper, poller, store, clock, drivers=drivers, login=lambda _row: Credentials(), rules=rules
    )
    there = Site(world=world, store=store, keeper=keeper, links=links, actuator=actuator)
    running = [asyncio.create_task(part()) for part in (poller.run, actuator.run, follower.run)]
    try:
        await there.until(lambda: all(link.proved for link in links.values()))
        yield there
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for link in links.values():
            await link.device.close()
        await world.stop()


async def hosts_of(store: MemoryStore) -> dict[str, str]:
    return {row.miner_id: row.host for row in await store.inventory()}


@pytest.mark.timeout(120)
async def test_two_that_swap_addresses_are_each_followed_and_put_down_in_the_inventory() -> None:
    async with site(FollowRules()) as there:
        hosts = [miner.endpoint.host for miner in there.world.miners]
        for row in (0, 1):
            there.world.put_fault([row], Fault.REBOOT)
        await there.world.swap(0, 1)
        await there.world.advance(120)
        await there.until(lambda: (there.is_at(0), there.is_at(1)) == (hosts[1], hosts[0]))
        assert await there.fate_of(0) is Fate.ACKNOWLEDGED
        await there.world.advance(60)
        assert [there.world.miners[row].is_asleep for row in (0, 1)] == [True, False]
        known = await hosts_of(there.store)
        assert (known[there.link(0).miner_id], known[there.link(1).miner_id]) == (hosts[1], hosts[0])
        records = [record async for record in there.store.records(kinds=frozenset({RecordKind.CONFIG}))]
        changed = {str(miner) for record in records for miner in record.record.body["changed"]}  # type: ignore[union-attr]
        assert changed == {there.link(0).miner_id, there.link(1).miner_id}


@pytest.mark.timeout(120)
async def test_a_lost_miner_is_not_commanded_in_the_place_that_another_one_has_taken() -> None:
    async with site(FollowRules(lost_s=3600.0)) as there:
        there.world.put_fault([3], Fault.UNPLUGGED)
        await there.world.advance(1)
        await there.until(lambda: there.link(3).lost)
        host, stranger = there.world.miners[3].endpoint.host, there.world.miners[4]
        await there.world.move(3, f"{NET}.99")
        await there.world.move(4, host)
        assert await there.fate_of(3) is Fate.FAILED
        assert stranger.commands == 0
        await there.until(lambda: there.is_at(4) == host)
        assert not there.link(3).proved
        tried_ms = there.keeper.table.tried_ms
        before_ms = int(tried_ms[there.link(3).row])
        await there.until(lambda: int(tried_ms[there.link(3).row]) > before_ms + 1_000)
        assert there.is_at(4) == host, "who was followed is not doubted again by every poll of the place's owner"
        assert (await hosts_of(there.store))[there.link(4).miner_id] != host, "two miners at one place would not start"


@pytest.mark.timeout(120)
async def test_a_miner_with_a_new_lease_is_found_in_its_network() -> None:
    async with site(FollowRules(lost_s=1.0, search_s=2.0, rate_per_s=500.0)) as there:
        await there.world.move(2, f"{NET}.77")
        await there.until(lambda: there.is_at(2) == f"{NET}.77")
        assert await there.fate_of(2) is Fate.ACKNOWLEDGED
        assert (await hosts_of(there.store))[there.link(2).miner_id] == f"{NET}.77"
