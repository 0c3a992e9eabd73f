"""No power command of the Auradine driver changes pools, passwords or fans, whatever fails around it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio

from drivers.auradine.driver import AuradineDriver
from farmctl.core.model import MinerState
from farmctl.errors import CredentialError, FarmError
from farmctl.ports.devices import Credentials, Device
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.world import World
from tests.drivers.fixtures.rest.simulated import FAULTS, command, devices, endpoint, farm, true_w, try_under

SETTINGS = ("sleep", "full", "mode:eco", "mode:turbo", "watts:1800")
POWER_KEYS = {"command", "sleep", "mode", "tune", "power"}


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm("auradine-at2880") as world:
        yield world


@pytest_asyncio.fixture
async def device(world: World) -> AsyncIterator[Device]:
    async with devices(AuradineDriver(), world) as made:
        yield made[0]


def only_power_was_written(miner: SimMiner) -> bool:
    keys = {key for told in miner.log for key in orjson.loads(told.text)}
    return keys <= POWER_KEYS and {told.command for told in miner.log} <= {"mode"}


@pytest.mark.parametrize("setting", SETTINGS)
async def test_every_power_command_leaves_the_fingerprint_byte_identical(
    world: World, device: Device, setting: str
) -> None:
    before = world.miners[0].fingerprint()
    await command(device, setting)
    assert world.miners[0].fingerprint() == before
    assert only_power_was_written(world.miners[0])


@pytest.mark.parametrize("fault", FAULTS)
async def test_commands_whose_reads_and_writes_fail_leave_it_byte_identical(
    world: World, device: Device, fault: Fault
) -> None:
    before = world.miners[0].fingerprint()
    await try_under(world, device, 0, fault, SETTINGS)
    assert world.miners[0].fingerprint() == before
    assert only_power_was_written(world.miners[0])


async def test_a_sleep_is_confirmed_by_telemetry_and_a_wake_by_hashes(world: World, device: Device) -> None:
    running = await device.poll()
    assert running.state is MinerState.HASHING
    assert running.power_w == pytest.approx(true_w(world), abs=1.0)
    await command(device, "sleep")
    await world.advance(5.0)
    asleep = await device.poll()
    assert (asleep.state, asleep.setting, asleep.hash_rate_hs) == (MinerState.CURTAILED, "sleep", 0.0)
    assert true_w(world) < 60.0, "the plug agrees"
    await command(device, "full")
    assert (await device.poll()).state is MinerState.BOOTING
    await world.advance(60.0)
    assert (await device.poll()).state is MinerState.HASHING
    assert true_w(world) == pytest.approx(running.power_w, rel=0.02)


async def test_watts_and_modes_throttle_and_full_takes_them_back(world: World, device: Device) -> None:
    full_w = true_w(world)
    for setting, share in (("watts:1440", 0.5), ("mode:eco", 0.8)):
        await command(device, setting)
        await world.advance(10.0)
        reading = await device.poll()
        assert (reading.state, reading.setting) == (MinerState.THROTTLED, setting)
        assert true_w(world) == pytest.approx(full_w * share, rel=0.03)
    await command(device, "full")
    await world.advance(10.0)
    reading = await device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")
    assert true_w(world) == pytest.approx(full_w, rel=0.03)


async def test_a_miner_that_says_yes_and_does_nothing_is_not_seen_asleep(world: World, device: Device) -> None:
    world.put_fault([0], Fault.IGNORES)
    await command(device, "sleep")
    await world.advance(5.0)
    assert (await device.poll()).state is MinerState.HASHING


async def test_a_miner_that_stops_answering_is_never_seen_asleep(world: World, device: Device) -> None:
    for fault in (Fault.UNPLUGGED, Fault.RESET):
        await device.poll()
        world.put_fault([0], fault)
        await world.advance(1.0)
        with pytest.raises(FarmError):
            await device.poll()
        world.clear_faults([0])
        await world.advance(1.0)


async def test_a_changed_password_asks_for_a_person(world: World, device: Device) -> None:
    world.put_fault([0], Fault.UNAUTHORIZED)
    with pytest.raises(CredentialError):
        await command(device, "sleep")


async def test_an_expired_session_costs_nothing(world: World, device: Device) -> None:
    await device.poll()
    world.put_fault([0], Fault.EXPIRED)
    await command(device, "sleep")
    assert [told.command for told in world.miners[0].log] == ["mode"]
    await world.advance(5000.0)
    assert (await device.poll()).state is MinerState.CURTAILED, "and so does one that ran out"


async def test_the_family_is_told_by_its_own_words(world: World) -> None:
    found = await AuradineDriver().identify(endpoint(world.miners[0]), Credentials())
    assert found is not None
    assert (found.mac, found.model) == (world.miners[0].identity.mac.lower(), "AT2880")
