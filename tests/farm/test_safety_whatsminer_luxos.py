"""No power write touches pools, passwords or fans: the simulated miners' fingerprints stay byte-identical."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from drivers.luxos.driver import LuxosDriver
from drivers.whatsminer.driver import WhatsminerDriver
from farmctl.core.model import OperatingPoint, PointKind
from farmctl.errors import FarmError
from farmctl.ports.devices import AppliesPoint, Credentials, Driver, Endpoint, Locates, Prepares, Reboots
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.plan import read_plan
from simulators.world import World

HOST = "127.0.0.1"

DRIVERS: dict[str, Driver] = {
    "m50": WhatsminerDriver(),
    "m30s++": WhatsminerDriver(),
    "luxos-s19kpro": LuxosDriver(),
}
SETTINGS = {
    "m50": ("sleep", "full", "percent:60", "watts:2500"),
    "m30s++": ("sleep", "full", "percent:60", "watts:2500"),
    "luxos-s19kpro": ("sleep", "full", "profile:440MHz", "watts:2000"),
}
POWER_WORDS = {
    "power_off",
    "power_on",
    "set_power_pct",
    "set_power_pct_v2",
    "adjust_power_limit",
    "curtail",
    "profileset",
}
VERBS = [(model, setting) for model, settings in SETTINGS.items() for setting in settings]
FAULTS = [
    (Fault.RESET, {}),
    (Fault.TRUNCATED, {"keep": 0.3}),
    (Fault.MALFORMED, {"how": "garbage"}),
    (Fault.MALFORMED, {"how": "overflow"}),
    (Fault.UNAUTHORIZED, {}),
    (Fault.REFUSES, {}),
    (Fault.IGNORES, {}),
    (Fault.LIES_STATE, {}),
]
READS = {"summary", "status", "config", "profiles", "stats", "stats+power+config", "devdetails", "get_version"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def farm_of_one(model: str, start: str) -> AsyncIterator[World]:
    ports = f"api = {free_port()}, http = 0" if model.startswith("luxos") else f"api = {free_port()}"
    plan = f"""
        [[group]]
        name = "bench"
        model = "{model}"
        count = 1
        address = "{HOST}"
        ports = {{ {ports} }}
        start = "{start}"
    """
    world = World(read_plan(plan))
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def deaf_to_reads(api_port: int) -> AsyncIterator[int]:
    """A relay before the miner: reads are answered with half a reply, everything else goes through."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(1 << 16)
        inward, outward = await asyncio.open_connection(HOST, api_port)
        outward.write(asked)
        reply = await inward.read()
        outward.close()
        writer.write(b"[" if orjson.loads(asked).get("command") in READS else reply)
        writer.close()

    server = await asyncio.start_server(relay, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def command(model: str, api_port: int, setting: str) -> None:
    """Poll, prepare, apply, poll: as the engine does, and whatever fails fails."""
    device = DRIVERS[model].device(Endpoint(host=HOST, ports={"api": api_port}), Credentials())
    assert isinstance(device, AppliesPoint)
    assert isinstance(device, Prepares)
    point = OperatingPoint(kind=PointKind.THROTTLE, power_w=1.0, hash_rate_hs=1.0, setting=setting)
    for step in (device.poll, device.prepare, lambda: device.apply(point), device.poll, device.close):
        try:
            await step()
        except FarmError:
            continue


def words(sim: SimMiner) -> set[str]:
    return {told.command for told in sim.log}


@pytest.mark.parametrize("start", ["mining", "asleep"])
@pytest.mark.parametrize(("model", "setting"), VERBS)
async def test_a_power_write_leaves_pools_passwords_and_fans_alone(model: str, setting: str, start: str) -> None:
    async with farm_of_one(model, start) as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        await command(model, sim.endpoint.api, setting)
        await world.advance(900)
        assert sim.fingerprint() == before
        assert words(sim) <= POWER_WORDS


@pytest.mark.parametrize(("fault", "params"), FAULTS, ids=[f"{fault}-{params}" for fault, params in FAULTS])
@pytest.mark.parametrize(("model", "setting"), VERBS)
async def test_a_power_write_that_goes_wrong_leaves_them_alone(
    model: str, setting: str, fault: Fault, params: dict[str, float | str]
) -> None:
    async with farm_of_one(model, "mining") as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        world.put_fault([0], fault, params=params)
        await command(model, sim.endpoint.api, setting)
        assert sim.fingerprint() == before
        assert words(sim) <= POWER_WORDS


@pytest.mark.parametrize("start", ["mining", "asleep"])
@pytest.mark.parametrize(("model", "setting"), VERBS)
async def test_a_power_write_while_reads_fail_leaves_them_alone_and_still_arrives(
    model: str, setting: str, start: str
) -> None:
    async with farm_of_one(model, start) as world, deaf_to_reads(world.miners[0].endpoint.api) as port:
        sim = world.miners[0]
        before = sim.fingerprint()
        await command(model, port, setting)
        assert sim.fingerprint() == before
        assert words(sim) <= POWER_WORDS
        assert sim.is_asleep is (setting == "sleep")


@pytest.mark.parametrize("model", DRIVERS)
async def test_light_and_reboot_leave_them_alone(model: str) -> None:
    async with farm_of_one(model, "mining") as world:
        sim = world.miners[0]
        device = DRIVERS[model].device(Endpoint(host=HOST, ports={"api": sim.endpoint.api}), Credentials())
        assert isinstance(device, Locates)
        assert isinstance(device, Reboots)
        before = sim.fingerprint()
        await device.locate(on=True)
        await device.locate(on=False)
        await device.reboot()
        await device.close()
        assert sim.fingerprint() == before
