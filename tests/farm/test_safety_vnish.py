"""No power command of the VNish driver changes pools, passwords or fans, whatever fails around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import orjson
import pytest
import pytest_asyncio

from drivers.vnish.driver import VnishDriver
from farmctl.core.model import MinerState
from farmctl.errors import CredentialError, FarmError, RefusedError
from farmctl.ports.devices import Credentials, Device, ReadsLadder
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.world import World
from tests.drivers.fixtures.rest.simulated import FAULTS, command, devices, endpoint, farm, true_w, try_under

OLD, NEW = 0, 1
SETTINGS = ("sleep", "full", "percent:50", "profile:2510", "watts:2600", "watts:3000")
POWER_COMMANDS = {"mining/stop", "mining/resume", "mining/restart", "mining/throttle", "settings"}


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm("vnish-s19jpro", "vnish-s21pro") as world:
        yield world


@pytest_asyncio.fixture
async def fleet(world: World) -> AsyncIterator[list[Device]]:
    async with devices(VnishDriver(), world) as made:
        yield made


def only_power_was_written(miner: SimMiner) -> bool:
    bodies = [orjson.loads(told.text) for told in miner.log if told.command == "settings"]
    minimal = all(list(body) == ["miner"] and list(body["miner"]) == ["overclock"] for body in bodies)
    return minimal and {told.command for told in miner.log} <= POWER_COMMANDS


@pytest.mark.parametrize("row", [OLD, NEW])
@pytest.mark.parametrize("setting", SETTINGS)
async def test_every_power_command_leaves_the_fingerprint_byte_identical(
    world: World, fleet: list[Device], setting: str, row: int
) -> None:
    miner = world.miners[row]
    before = miner.fingerprint()
    with suppress(RefusedError):  # 1.2.7 has no throttle
        await command(fleet[row], setting)
    assert miner.fingerprint() == before
    assert only_power_was_written(miner)


@pytest.mark.parametrize("fault", FAULTS)
async def test_commands_whose_reads_and_writes_fail_leave_it_byte_identical(
    world: World, fleet: list[Device], fault: Fault
) -> None:
    for row in (OLD, NEW):
        miner = world.miners[row]
        before = miner.fingerprint()
        await try_under(world, fleet[row], row, fault, SETTINGS)
        assert miner.fingerprint() == before
        assert only_power_was_written(miner)


@pytest.mark.parametrize("row", [OLD, NEW])
async def test_a_sleep_is_confirmed_by_telemetry_and_a_wake_by_hashes(
    world: World, fleet: list[Device], row: int
) -> None:
    device = fleet[row]
    running = await device.poll()
    assert running.state is MinerState.HASHING
    assert running.power_w == pytest.approx(true_w(world, row), abs=1.0)
    await command(device, "sleep")
    await world.advance(5.0)
    asleep = await device.poll()
    assert (asleep.state, asleep.setting, asleep.hash_rate_hs) == (MinerState.CURTAILED, "sleep", 0.0)
    assert true_w(world, row) < 60.0, "the plug agrees"
    await command(device, "full")
    waking = await device.poll()
    assert waking.state in {MinerState.BOOTING, MinerState.HASHING}
    assert waking.hash_rate_hs < 0.1 * running.hash_rate_hs, "no credit before the hashes come"
    await world.advance(60.0)
    assert (await device.poll()).state is MinerState.HASHING
    assert true_w(world, row) == pytest.approx(running.power_w, rel=0.02)


async def test_a_percentage_throttles_and_full_takes_it_back(world: World, fleet: list[Device]) -> None:
    device, full_w = fleet[NEW], true_w(world, NEW)
    await command(device, "percent:50")
    await world.advance(10.0)
    throttled = await device.poll()
    assert (throttled.state, throttled.setting) == (MinerState.THROTTLED, "percent:50")
    assert true_w(world, NEW) == pytest.approx(full_w / 2, rel=0.03)
    await command(device, "full")
    await world.advance(10.0)
    assert true_w(world, NEW) == pytest.approx(full_w, rel=0.03)
    with pytest.raises(RefusedError):
        await command(fleet[OLD], "percent:50")


@pytest.mark.parametrize("row", [OLD, NEW])
async def test_watts_choose_the_highest_tuned_preset_below(world: World, fleet: list[Device], row: int) -> None:
    await command(fleet[row], "watts:2700")
    await world.advance(60.0)
    chosen_w = {OLD: 2690, NEW: 2620}[row]
    share = true_w(world, row) / world.miners[row].personality.full_w
    assert world.miners[row].limit_w == chosen_w
    assert share == pytest.approx(chosen_w / world.miners[row].personality.full_w, rel=0.06)


async def test_the_ladder_s_own_steps_can_be_commanded_and_its_top_takes_them_back(
    world: World, fleet: list[Device]
) -> None:
    device, full_w = fleet[OLD], true_w(world, OLD)
    assert isinstance(device, ReadsLadder)
    ladder = await device.ladder()
    assert ladder is not None
    await command(device, ladder.points[3].setting)
    await world.advance(30.0)
    reading = await device.poll()
    assert reading.setting == ladder.points[3].setting
    assert reading.power_w == pytest.approx(ladder.points[3].power_w, rel=0.05)
    again = await device.ladder()
    assert again == ladder, "a lowered miner has not forgotten its own top"
    await command(device, ladder.points[-1].setting)
    await world.advance(60.0)
    assert true_w(world, OLD) == pytest.approx(full_w, rel=0.03)


async def test_a_miner_that_says_yes_and_does_nothing_is_not_seen_asleep(world: World, fleet: list[Device]) -> None:
    world.put_fault([NEW], Fault.IGNORES)
    await command(fleet[NEW], "sleep")
    await world.advance(5.0)
    assert (await fleet[NEW].poll()).state is MinerState.HASHING


async def test_a_miner_that_stops_answering_is_never_seen_asleep(world: World, fleet: list[Device]) -> None:
    for fault in (Fault.UNPLUGGED, Fault.RESET):
        await fleet[NEW].poll()
        world.put_fault([NEW], fault)
        await world.advance(1.0)
        with pytest.raises(FarmError):
            await fleet[NEW].poll()
        world.clear_faults([NEW])
        await world.advance(1.0)


async def test_a_changed_password_asks_for_a_person(world: World, fleet: list[Device]) -> None:
    world.put_fault([NEW], Fault.UNAUTHORIZED)
    with pytest.raises(CredentialError):
        await command(fleet[NEW], "sleep")


async def test_an_expired_session_costs_nothing(world: World, fleet: list[Device]) -> None:
    await command(fleet[NEW], "full")
    for _ in range(2):
        world.put_fault([NEW], Fault.EXPIRED)
        await command(fleet[NEW], "sleep")
    assert world.miners[NEW].is_asleep
    assert [told.command for told in world.miners[NEW].log].count("mining/stop") == 2
    await world.advance(5000.0)
    assert (await fleet[NEW].poll()).state is MinerState.CURTAILED, "and so does one that ran out"


async def test_the_family_is_told_by_its_own_words(world: World) -> None:
    found = await VnishDriver().identify(endpoint(world.miners[NEW]), Credentials())
    assert found is not None
    assert (found.mac, found.model) == (world.miners[NEW].identity.mac.lower(), "Antminer S21 Pro")
