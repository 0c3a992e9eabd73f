"""The scanner on real sockets: simulated miners, dead addresses, stalled hosts, strangers."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest
from typing_extensions import override

from farmctl.engine.scan import Progress, ScanReport, ScanRules, Stage, diff, read_ranges, scan
from farmctl.engine.scan.doors import open_doors
from farmctl.errors import CredentialError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Identity
from farmctl.ports.store import InventoryRow
from farmctl.wiring.drivers import LAST, driver_places, load_drivers
from simulators.faults import Fault
from simulators.plan import read_plan
from simulators.world import World, inventory_rows

NET = f"127.{100 + os.getpid() % 50}"
"""A network per test process."""
PORTS = {"api": 14028, "http": 18080}
FAST = ScanRules(rate_per_s=10_000.0)


def group(name: str, model: str, count: int, net: int) -> str:
    ports = f"{{ api = {PORTS['api']}, http = {PORTS['http']} }}"
    return (
        f'[[group]]\nname = "{name}"\nmodel = "{model}"\ncount = {count}\naddress = "{NET}.{net}.0"\nports = {ports}\n'
    )


def natives() -> tuple[Driver, ...]:
    return tuple(load_drivers([name for name in driver_places() if name != LAST]).values())


@asynccontextmanager
async def farm(*groups: str) -> AsyncIterator[World]:
    world = World(read_plan("[farm]\nseed = 3\n" + "".join(groups)))
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


async def search(
    *ranges: str,
    stages: tuple[Stage, ...] | None = None,
    rules: ScanRules = FAST,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> ScanReport:
    wanted = read_ranges(ranges)
    return await scan(
        (Endpoint(host=host, ports=PORTS) for host in wanted),
        len(wanted),
        stages=(Stage(drivers=natives()),) if stages is None else stages,
        rules=rules,
        on_progress=on_progress,
    )


def truth(world: World) -> dict[str, str]:
    return {row["id"].lower(): row["host"] for row in inventory_rows(world)}


def seen(report: ScanReport) -> dict[str, str]:
    return {each.identity.miner_id: each.endpoint.host for each in report.found}


@pytest.mark.slow
async def test_a_thousand_miners_among_four_thousand_addresses_are_all_found() -> None:
    steps: list[Progress] = []
    groups = group("m50", "m50", 400, 0), group("s21", "s21", 300, 4), group("lux", "luxos-s21", 300, 8)
    async with farm(*groups) as world:
        report = await search(f"{NET}.0.0-{NET}.15.255", on_progress=steps.append, rules=ScanRules(rate_per_s=2_000.0))
        assert seen(report) == truth(world)
    assert report.addresses == 4096
    assert report.unknown == ()
    assert {each.identity.driver for each in report.found} == {"whatsminer", "antminer", "luxos"}
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].done, steps[-1].total, steps[-1].found) == (4096, 4096, 1000)


async def test_stalled_hosts_cost_their_own_slot_and_are_listed() -> None:
    async with farm(group("m50", "m50", 100, 20), group("lux", "luxos-s21", 100, 21)) as world:
        world.put_fault(range(0, 200, 20), Fault.SILENT)
        stalled = {world.miners[row].endpoint.host for row in range(0, 200, 20)}
        report = await search(
            f"{NET}.20.0-{NET}.21.255", stages=(Stage(drivers=natives(), in_flight=20, deadline_s=4.0),)
        )
        assert len(report.found) == 190
        assert {spot.endpoint.host for spot in report.unknown} == stalled
    assert all("did not answer" in spot.why for spot in report.unknown)
    assert all(spot.listening == ("api",) or "http" in spot.listening for spot in report.unknown)


async def test_a_miner_that_was_unwell_at_first_is_asked_again() -> None:
    async with farm(group("m50", "m50", 3, 24)) as world:
        shy = Shy(natives())
        report = await search(f"{NET}.24.0-8", stages=(Stage(drivers=(shy,)),))
        assert seen(report) == truth(world)
    assert set(shy.calls.values()) == {2}


async def test_a_sleeping_antminer_is_found_by_its_web_server() -> None:
    async with farm(group("s21", "s21", 1, 25)) as world:
        world.miners[0].sleep()
        world.fleet.settle(0)
        await world.advance(60.0)
        report = await search(f"{NET}.25.0")
        assert seen(report) == truth(world)


async def test_swapped_addresses_are_seen_by_a_second_scan() -> None:
    async with farm(group("m50", "m50", 4, 26)) as world:
        before = await search(f"{NET}.26.0-9")
        rows = [row_of(each.identity, each.endpoint) for each in before.found]
        await world.swap(1, 2)
        after = await search(f"{NET}.26.0-9")
    changes = diff(after.found, rows, within=read_ranges([f"{NET}.26.0-9"]))
    swapped = {world.miners[1].identity.mac.lower(), world.miners[2].identity.mac.lower()}
    assert {move.known.miner_id for move in changes.swapped} == swapped
    assert (len(changes.unchanged), changes.new, changes.missing) == (2, (), ())


async def test_a_stranger_that_listens_is_listed_with_its_open_ports() -> None:
    async with listening(f"{NET}.27.9", PORTS["http"], lambda _r, w: closed(w)):
        report = await search(f"{NET}.27.0-15")
    assert report.found == ()
    assert [(spot.endpoint.host, spot.listening, spot.locked) for spot in report.unknown] == [
        (f"{NET}.27.9", ("http",), False)
    ]


async def test_a_scanner_that_was_held_up_past_the_deadline_sees_who_has_answered_meanwhile() -> None:
    host = f"{NET}.28.1"
    with socket.create_server((host, 0)) as miner, socket.socket() as nobody:
        nobody.bind((host, 0))
        ports = {"api": miner.getsockname()[1], "http": nobody.getsockname()[1]}
        knocking = asyncio.create_task(open_doors(host, ports, 0.2))
        while not miner_has_a_caller(miner):  # noqa: ASYNC110 - a listening socket wakes nobody who does not accept
            await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - a host that gives us no processor for a while
        assert await knocking == ("api",)


def miner_has_a_caller(miner: socket.socket) -> bool:
    return bool(select.select([miner], [], [], 0)[0])


async def test_only_addresses_that_were_given_are_knocked_at() -> None:
    callers: list[str] = []

    def noted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
        callers.append(writer.get_extra_info("sockname")[0])
        return closed(writer)

    async with (
        listening(f"{NET}.28.1", PORTS["api"], noted),
        listening(f"{NET}.28.2", PORTS["api"], noted),
    ):
        await search(f"{NET}.28.1", stages=())
    assert set(callers) == {f"{NET}.28.1"}


async def test_a_refused_password_is_listed_as_locked_and_asked_of_nobody_else() -> None:
    bridge = Answering(None)
    stages = Stage(drivers=(Answering(CredentialError("wrong password"), "antminer"),)), Stage(drivers=(bridge,))
    async with listening(f"{NET}.29.1", PORTS["api"], lambda _r, w: closed(w)):
        report = await search(f"{NET}.29.1", stages=stages)
    (spot,) = report.unknown
    assert spot.locked
    assert "antminer: wrong password" in spot.why
    assert bridge.asked == 0


async def test_the_costly_driver_is_asked_only_about_what_the_natives_left() -> None:
    bridge = Answering(None)
    async with (
        farm(group("m50", "m50", 5, 30)) as world,
        listening(f"{NET}.30.9", PORTS["api"], lambda _r, w: closed(w)),
    ):
        report = await search(
            f"{NET}.30.0-15", stages=(Stage(drivers=natives()), Stage(drivers=(bridge,), in_flight=1, tries=1))
        )
        assert seen(report) == truth(world)
    assert bridge.asked == 1
    assert [spot.endpoint.host for spot in report.unknown] == [f"{NET}.30.9"]


async def test_a_driver_that_crashes_on_one_device_does_not_end_the_scan() -> None:
    stages = (Stage(drivers=(Answering(ZeroDivisionError("bad maths")),)),)
    async with listening(f"{NET}.31.1", PORTS["api"], lambda _r, w: closed(w)):
        report = await search(f"{NET}.31.1-4", stages=stages)
    assert "ZeroDivisionError" in report.unknown[0].why


async def test_never_more_addresses_under_way_than_allowed() -> None:
    crowd = Crowd()
    async with farm(group("m50", "m50", 30, 32)):
        await search(
            f"{NET}.32.0-60", stages=(Stage(drivers=(crowd,), in_flight=4),), rules=ScanRules(rate_per_s=10_000.0)
        )
    assert crowd.most == 4
    assert crowd.asked == 30


async def test_an_address_that_swallows_packets_is_dead_after_the_deadline() -> None:
    # A full backlog drops the SYN, as a dead address behind a router does.
    host = f"{NET}.34.1"
    with socket.create_server((host, PORTS["api"]), backlog=0), ExitStack() as callers:
        for _ in range(3):
            caller = callers.enter_context(socket.socket())
            caller.settimeout(0.0)
            caller.connect_ex((host, PORTS["api"]))
        report = await search(host, rules=ScanRules(connect_s=0.3))
    assert (report.addresses, report.found, report.unknown) == (1, (), ())


async def test_a_cancelled_scan_leaves_nothing_behind() -> None:
    async with farm(group("m50", "m50", 5, 33)) as world:
        world.put_fault(range(5), Fault.SILENT)
        task = asyncio.create_task(search(f"{NET}.33.0-60"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def row_of(who: Identity, where: Endpoint) -> InventoryRow:
    return InventoryRow(miner_id=who.miner_id, host=where.host, ports=where.ports, driver=who.driver)


class Shy(Driver):
    """Passes on to real drivers, but not at the first call of an address."""

    name = "shy"

    def __init__(self, drivers: tuple[Driver, ...]) -> None:
        self.calls: dict[str, int] = {}
        self._drivers = drivers

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        self.calls[endpoint.host] = self.calls.get(endpoint.host, 0) + 1
        if self.calls[endpoint.host] == 1:
            raise SilentPeerError(f"{endpoint.host} is busy")
        return await self._drivers[0].identify(endpoint, credentials)

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return self._drivers[0].device(endpoint, credentials)


class Answering(Driver):
    """Says None, or raises."""

    def __init__(self, fault: Exception | None, name: str = "bridge") -> None:
        self.name = name
        self.asked = 0
        self._fault = fault

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        self.asked += 1
        if self._fault is not None:
            raise self._fault
        return None

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        raise AssertionError(f"a scan only identifies, a device was asked for at {endpoint.host}")


class Crowd(Answering):
    """Counts how many are asked at a time."""

    def __init__(self) -> None:
        super().__init__(None)
        self.most = 0
        self._now = 0

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0.01)
        self._now -= 1
        return await super().identify(endpoint, credentials)


@asynccontextmanager
async def listening(
    host: str, port: int, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[None]:
    server = await asyncio.start_server(serve, host, port)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
