"""No power write touches pools, passwords or fans of an Avalon: its fingerprint stays byte-identical."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from drivers._wire.cgminer import ask, request
from drivers.avalon.driver import AvalonDriver
from farmctl.core.model import OperatingPoint, PointKind
from farmctl.errors import FarmError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Endpoint, Locates, Prepares, Reboots
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.plan import read_plan
from simulators.world import World

HOST = "127.0.0.1"
MODELS = ("a1246", "a1246-no-ntp", "avalon-q")
SETTINGS = ("sleep", "full", "mode:low", "mode:normal")
POWER_WORDS = {"softoff", "softon", "workmode", "worklevel"}
FAULTS = [
    (Fault.RESET, {}),
    (Fault.TRUNCATED, {"keep": 0.3}),
    (Fault.MALFORMED, {"how": "garbage"}),
    (Fault.MALFORMED, {"how": "overflow"}),
    (Fault.UNAUTHORIZED, {}),
    (Fault.EXPIRED, {}),
    (Fault.REFUSES, {}),
    (Fault.IGNORES, {}),
    (Fault.LIES_STATE, {}),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def farm_of_one(model: str, start: str) -> AsyncIterator[World]:
    plan = f"""
        [[group]]
        name = "bench"
        model = "{model}"
        count = 1
        address = "{HOST}"
        ports = {{ api = {free_port()}, api3 = {free_port()}, http = 0 }}
        start = "{start}"
    """
    world = World(read_plan(plan))
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
        await asyncio.sleep(0.01)


def device(port: int) -> Device:
    return AvalonDriver().device(Endpoint(host=HOST, ports={"api": port}), Credentials())


async def command(port: int, setting: str) -> None:
    """Poll, prepare, apply, poll: as the engine does, and whatever fails fails."""
    miner = device(port)
    assert isinstance(miner, AppliesPoint)
    point = OperatingPoint(kind=PointKind.THROTTLE, power_w=1.0, hash_rate_hs=1.0, setting=setting)
    steps = [miner.poll, lambda: miner.apply(point), miner.poll, miner.close]
    if isinstance(miner, Prepares):
        steps.insert(1, miner.prepare)
    for step in steps:
        try:
            await step()
        except FarmError:
            continue


def words(sim: SimMiner) -> set[str]:
    return {told.command for told in sim.log}


@asynccontextmanager
async def deaf_to_reads(port: int) -> AsyncIterator[int]:
    """A relay before the miner: reads are answered with half a reply, ascset goes through."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(1 << 16)
        inward, outward = await asyncio.open_connection(HOST, port)
        outward.write(asked)
        reply = await inward.read()
        outward.close()
        writer.write(reply if orjson.loads(asked)["command"] == "ascset" else b"[")
        writer.close()

    server = await asyncio.start_server(relay, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("start", ["mining", "asleep"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("model", MODELS)
async def test_a_power_write_leaves_pools_passwords_and_fans_alone(model: str, setting: str, start: str) -> None:
    async with farm_of_one(model, start) as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        await command(sim.endpoint.api, setting)
        await world.advance(900)
        assert sim.fingerprint() == before
        assert words(sim) <= POWER_WORDS


@pytest.mark.parametrize(("fault", "params"), FAULTS, ids=[f"{fault}-{params}" for fault, params in FAULTS])
@pytest.mark.parametrize("setting", SETTINGS)
async def test_a_power_write_that_goes_wrong_leaves_them_alone(
    setting: str, fault: Fault, params: dict[str, float | str]
) -> None:
    async with farm_of_one(MODELS[0], "mining") as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        world.put_fault([0], fault, params=params)
        await command(sim.endpoint.api, setting)
        await world.advance(60)
        assert sim.fingerprint() == before
        assert words(sim) <= POWER_WORDS


@pytest.mark.parametrize("start", ["mining", "asleep"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("model", MODELS)
async def test_a_power_write_while_reads_fail_leaves_them_alone_and_still_arrives(
    model: str, setting: str, start: str
) -> None:
    async with farm_of_one(model, start) as world, deaf_to_reads(world.miners[0].endpoint.api) as port:
        sim = world.miners[0]
        before = sim.fingerprint()
        await command(port, setting)
        await world.advance(30)
        assert sim.fingerprint() == before
        assert words(sim) <= POWER_WORDS
        assert sim.is_asleep is (setting == "sleep")


@pytest.mark.parametrize("model", MODELS)
async def test_light_and_reboot_leave_them_alone(model: str) -> None:
    async with farm_of_one(model, "mining") as world:
        sim = world.miners[0]
        miner = device(sim.endpoint.api)
        assert isinstance(miner, Locates)
        assert isinstance(miner, Reboots)
        before = sim.fingerprint()
        await miner.locate(on=True)
        await miner.locate(on=False)
        await miner.reboot()
        await miner.close()
        assert sim.fingerprint() == before


async def test_the_fingerprint_would_show_it() -> None:
    async with farm_of_one(MODELS[0], "mining") as world:
        sim = world.miners[0]
        before = sim.fingerprint()
        await ask(HOST, sim.endpoint.api, request("ascset", "0,fan-spd,100"))
        assert sim.fingerprint() != before
