"""Every family is found in one scan, also where shut ports drop what they do not like instead of refusing it."""

from __future__ import annotations

import os
import sys

import pytest

from farmctl.engine.scan import ScanRules, Stage, read_ranges, scan
from farmctl.ports.devices import Endpoint, NamesDoors
from farmctl.wiring.drivers import LAST, driver_places, load_drivers
from simulators.broker import free_port
from simulators.personality import PERSONALITIES
from simulators.plan import read_plan
from simulators.world import World

NET = f"127.{150 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
QUICK = ScanRules(connect_s=0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="silent addresses come from a socket filter of Linux")
async def test_every_family_is_found_where_shut_ports_are_silent() -> None:
    ports = {name: free_port() for name in ("api", "http", "api3", "grpc")}
    table = ", ".join(f"{name} = {port}" for name, port in ports.items())
    groups = "".join(
        f'[[group]]\nname = "{key}"\nmodel = "{key}"\ncount = 1\naddress = "{NET}.{2 * n + 1}"\nports = {{ {table} }}\n'
        for n, key in enumerate(PERSONALITIES)
    )
    world = World(read_plan(f'[farm]\nlisten = "shared"\n{groups}'))
    drivers = load_drivers([name for name in driver_places() if name != LAST])
    ranges = read_ranges([f"{NET}.1-{2 * len(PERSONALITIES)}"])
    await world.start()
    try:
        report = await scan(
            (Endpoint(host=host, ports=ports) for host in ranges),
            len(ranges),
            stages=(Stage(drivers=tuple(drivers.values())),),
            rules=QUICK,
        )
    finally:
        await world.stop()
    seen = {each.endpoint.host: each.identity.driver for each in report.found}
    assert seen == {miner.endpoint.host: str(miner.personality.family) for miner in world.miners}
    assert report.unknown == ()


def test_every_native_driver_says_where_its_family_listens() -> None:
    drivers = load_drivers([name for name in driver_places() if name != LAST])
    assert not [name for name, driver in drivers.items() if not isinstance(driver, NamesDoors)]
    doors = {
        door.partition(":")[0] for driver in drivers.values() if isinstance(driver, NamesDoors) for door in driver.doors
    }
    assert doors <= {"api", "http", "api3", "grpc"}
