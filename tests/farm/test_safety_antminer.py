"""No power command of the Antminer driver changes pools, passwords or fans, whatever fails around it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress

import orjson
import pytest
import pytest_asyncio

from drivers.antminer.device import AntminerDevice
from drivers.antminer.driver import AntminerDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import CredentialError, FarmError, RefusedError
from farmctl.ports.devices import Credentials, Endpoint
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.plan import read_plan
from simulators.world import World

NET = f"127.{96 + os.getpid() % 64}.{os.getpid() // 64 % 256}"
"""Addresses of this test process; the ports are free for any user."""

DESCRIPTION = f"""
[farm]
time_scale = 20.0
[[group]]
name = "s21"
model = "s21"
count = 1
address = "{NET}.1"
ports = {{ api = 14028, http = 18080 }}
[[group]]
name = "s19"
model = "s19pro"
count = 1
address = "{NET}.2"
ports = {{ api = 14028, http = 18080 }}
quirks = ["no_percent", "api_closed_asleep"]
"""

SETTINGS = ("sleep", "full", "mode:low", "percent:70", "percent:100")
FAULTS = (
    Fault.MALFORMED,
    Fault.TRUNCATED,
    Fault.RESET,
    Fault.UNAUTHORIZED,
    Fault.EXPIRED,
    Fault.REFUSES,
    Fault.IGNORES,
)
POWER_KEYS = {"miner-mode", "bitmain-hashrate-percent"}


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    farm = World(read_plan(DESCRIPTION))
    await farm.start()
    yield farm
    await farm.stop()


@pytest_asyncio.fixture
async def devices(world: World) -> AsyncIterator[list[AntminerDevice]]:
    driver = AntminerDriver()
    made = [driver.device(endpoint(miner), Credentials()) for miner in world.miners]
    yield made
    for device in made:
        await device.close()


def endpoint(miner: SimMiner) -> Endpoint:
    return Endpoint(host=miner.endpoint.host, ports={"api": miner.endpoint.api, "http": miner.endpoint.http})


def point(setting: str) -> OperatingPoint:
    kind = {"sleep": PointKind.SLEEP, "full": PointKind.FULL}.get(setting, PointKind.THROTTLE)
    return OperatingPoint(kind=kind, power_w=0.0, hash_rate_hs=0.0, setting=setting)


def keys_written(miner: SimMiner) -> set[str]:
    return {key for told in miner.log if told.command == "set_miner_conf" for key in orjson.loads(told.text)}


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("setting", SETTINGS)
async def test_every_power_command_leaves_the_fingerprint_byte_identical(
    world: World, devices: list[AntminerDevice], setting: str, row: int
) -> None:
    miner, device = world.miners[row], devices[row]
    before = miner.fingerprint()
    with suppress(RefusedError):  # the S19 Pro has no percentage
        await device.apply(point(setting))
    assert miner.fingerprint() == before
    assert keys_written(miner) <= POWER_KEYS


@pytest.mark.parametrize("fault", FAULTS)
async def test_commands_whose_reads_and_writes_fail_leave_it_byte_identical(
    world: World, devices: list[AntminerDevice], fault: Fault
) -> None:
    miner, device = world.miners[0], devices[0]
    before = miner.fingerprint()
    for known in (False, True):
        world.clear_faults([0])
        if known:
            await device.prepare()
        world.put_fault([0], fault)
        for setting in ("sleep", "full"):
            with suppress(FarmError):
                await device.apply(point(setting))
            with suppress(FarmError):
                await device.poll()
    world.clear_faults([0])
    assert miner.fingerprint() == before
    assert keys_written(miner) <= POWER_KEYS


@pytest.mark.parametrize("row", [0, 1])
async def test_a_sleep_is_confirmed_by_telemetry_and_a_wake_by_hashes(
    world: World, devices: list[AntminerDevice], row: int
) -> None:
    miner, device = world.miners[row], devices[row]
    before = miner.fingerprint()
    running = await device.poll()
    assert running.state is MinerState.HASHING
    await device.apply(point("sleep"))
    await world.advance(60.0)
    asleep = await device.poll()
    assert (asleep.state, asleep.setting, asleep.hash_rate_hs) == (MinerState.CURTAILED, "sleep", 0.0)
    assert world.fleet.power_w[miner.row] < 60.0, "the plug agrees"
    await device.apply(point("full"))
    waking = await device.poll()
    assert waking.state in {MinerState.BOOTING, MinerState.HASHING}
    assert waking.hash_rate_hs < 0.1 * running.hash_rate_hs, "no credit before the hashes come"
    await world.advance(900.0)
    awake = await device.poll()
    assert (awake.state, awake.setting) == (MinerState.HASHING, "full")
    assert miner.fingerprint() == before


async def test_a_percentage_throttles_and_full_takes_it_back(world: World, devices: list[AntminerDevice]) -> None:
    device = devices[0]
    full = (await device.poll()).hash_rate_hs
    await device.apply(point("percent:70"))
    await world.advance(120.0)
    throttled = await device.poll()
    assert (throttled.state, throttled.setting) == (MinerState.THROTTLED, "percent:70")
    assert throttled.hash_rate_hs < 0.9 * full
    await device.apply(point("full"))
    await world.advance(120.0)
    assert (await device.poll()).hash_rate_hs == pytest.approx(full, rel=0.05)


async def test_a_miner_that_says_yes_and_does_nothing_is_not_seen_asleep(
    world: World, devices: list[AntminerDevice]
) -> None:
    world.put_fault([0], Fault.IGNORES)
    await devices[0].apply(point("sleep"))
    await world.advance(60.0)
    reading = await devices[0].poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_a_miner_that_stops_answering_is_never_seen_asleep(world: World, devices: list[AntminerDevice]) -> None:
    for fault in (Fault.UNPLUGGED, Fault.RESET):
        world.put_fault([1], fault)
        await world.advance(1.0)
        with pytest.raises(FarmError):
            await devices[1].poll()
        world.clear_faults([1])


async def test_a_changed_password_asks_for_a_person(world: World, devices: list[AntminerDevice]) -> None:
    world.put_fault([0], Fault.UNAUTHORIZED)
    with pytest.raises(CredentialError):
        await devices[0].apply(point("sleep"))


async def test_an_expired_session_costs_nothing(world: World, devices: list[AntminerDevice]) -> None:
    await devices[0].prepare()
    world.put_fault([0], Fault.EXPIRED)
    await devices[0].apply(point("sleep"))
    await world.advance(60.0)
    assert (await devices[0].poll()).state is MinerState.CURTAILED


async def test_the_family_is_told_by_its_own_words(world: World) -> None:
    found = await AntminerDriver().identify(endpoint(world.miners[0]), Credentials())
    assert found is not None
    assert found.miner_id == world.miners[0].identity.mac.lower()
    assert found.model == "Antminer S21"
