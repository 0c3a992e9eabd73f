"""No command of the Bitaxe driver changes pools, fans or the voltage, whatever fails around it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio

from drivers.bitaxe.driver import BitaxeDriver
from farmctl.core.model import MinerState
from farmctl.errors import FarmError, RefusedError
from farmctl.ports.devices import Credentials, Device
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.world import World
from tests.drivers.fixtures.rest.simulated import FAULTS, command, devices, endpoint, farm, true_w, try_under

SETTINGS = ("full", "percent:80", "profile:490MHz", "sleep")


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm("bitaxe-gamma") as world:
        yield world


@pytest_asyncio.fixture
async def device(world: World) -> AsyncIterator[Device]:
    async with devices(BitaxeDriver(), world) as made:
        yield made[0]


def only_the_clock_was_written(miner: SimMiner) -> bool:
    return all(list(orjson.loads(told.text)) == ["frequency"] for told in miner.log)


@pytest.mark.parametrize("setting", SETTINGS[:3])
async def test_every_power_command_leaves_the_fingerprint_byte_identical(
    world: World, device: Device, setting: str
) -> None:
    before = world.miners[0].fingerprint()
    await command(device, setting)
    assert world.miners[0].fingerprint() == before
    assert only_the_clock_was_written(world.miners[0])


@pytest.mark.parametrize("fault", FAULTS)
async def test_commands_whose_reads_and_writes_fail_leave_it_byte_identical(
    world: World, device: Device, fault: Fault
) -> None:
    before = world.miners[0].fingerprint()
    await try_under(world, device, 0, fault, SETTINGS)
    assert world.miners[0].fingerprint() == before
    assert only_the_clock_was_written(world.miners[0])


async def test_a_percentage_throttles_and_full_takes_it_back(world: World, device: Device) -> None:
    full_w = true_w(world)
    await command(device, "percent:80")
    await world.advance(2.0)
    reading = await device.poll()
    assert (reading.state, reading.setting) == (MinerState.THROTTLED, "profile:400MHz")
    assert true_w(world) == pytest.approx(full_w * 400 / 525, rel=0.05)
    assert reading.power_w == pytest.approx(true_w(world), rel=0.01)
    await command(device, "full")
    await world.advance(2.0)
    assert (await device.poll()).state is MinerState.HASHING
    assert true_w(world) == pytest.approx(full_w, rel=0.03)


async def test_a_sleep_is_refused_and_nothing_is_written(world: World, device: Device) -> None:
    with pytest.raises(RefusedError, match="no sleep"):
        await command(device, "sleep")
    assert not world.miners[0].log
    assert (await device.poll()).state is MinerState.HASHING


async def test_a_miner_that_says_yes_and_does_nothing_is_not_seen_throttled(world: World, device: Device) -> None:
    world.put_fault([0], Fault.IGNORES)
    await command(device, "percent:80")
    await world.advance(2.0)
    reading = await device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_a_miner_that_stops_answering_is_a_failed_poll(world: World, device: Device) -> None:
    for fault in (Fault.UNPLUGGED, Fault.RESET, Fault.TRUNCATED):
        await device.poll()
        world.put_fault([0], fault)
        await world.advance(1.0)
        with pytest.raises(FarmError):
            await device.poll()
        world.clear_faults([0])
        await world.advance(1.0)


async def test_the_family_is_told_by_its_own_words(world: World) -> None:
    found = await BitaxeDriver().identify(endpoint(world.miners[0]), Credentials())
    assert found is not None
    assert (found.mac, found.model) == (world.miners[0].identity.mac.lower(), "BM1370")
