"""No power command of the Braiins driver changes pools, passwords or fans, over REST or gRPC, whatever fails."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from drivers.braiins.driver import BraiinsDriver
from farmctl.core.model import MinerState
from farmctl.errors import CredentialError, FarmError, RefusedError
from farmctl.ports.devices import Credentials, Device, Prepares, ReadsLadder
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.world import World
from tests.drivers.fixtures.rest.simulated import FAULTS, command, devices, endpoint, farm, true_w, try_under

OLD, NEW = 0, 1
SETTINGS = ("sleep", "full", "watts:2000", "percent:70")
POWER_COMMANDS = {
    "actions/pause",
    "actions/resume",
    "performance/power-target",
    "performance/power-target/relative",
    "performance/quick-ramping",
    "ActionsService/PauseMining",
    "ActionsService/ResumeMining",
    "PerformanceService/SetPowerTarget",
}


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm("braiins-s19jpro", "braiins-s19xp") as world:
        yield world


@pytest_asyncio.fixture
async def fleet(world: World) -> AsyncIterator[list[Device]]:
    async with devices(BraiinsDriver(), world) as made:
        yield made


def told(miner: SimMiner) -> list[str]:
    return [each.command for each in miner.log]


@pytest.mark.parametrize("row", [OLD, NEW])
@pytest.mark.parametrize("setting", SETTINGS)
async def test_every_power_command_leaves_the_fingerprint_byte_identical(
    world: World, fleet: list[Device], setting: str, row: int
) -> None:
    miner = world.miners[row]
    before = miner.fingerprint()
    await command(fleet[row], setting)
    assert miner.fingerprint() == before
    assert set(told(miner)) <= POWER_COMMANDS
    assert {each.door for each in miner.log} == {"grpc" if row == OLD else "http"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_commands_whose_reads_and_writes_fail_leave_it_byte_identical(
    world: World, fleet: list[Device], fault: Fault
) -> None:
    for row in (OLD, NEW):
        miner = world.miners[row]
        before = miner.fingerprint()
        await try_under(world, fleet[row], row, fault, SETTINGS)
        assert miner.fingerprint() == before
        assert set(told(miner)) <= POWER_COMMANDS


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
    assert true_w(world, row) == pytest.approx(60.0), "the plug agrees"
    await command(device, "full")
    await world.advance(60.0)
    assert (await device.poll()).state is MinerState.HASHING
    assert true_w(world, row) == pytest.approx(running.power_w, rel=0.02)


async def test_a_paused_miner_that_is_waking_is_booting_however_old_its_process_is(
    world: World, fleet: list[Device]
) -> None:
    device = fleet[OLD]
    await command(device, "sleep")
    await world.advance(5.0)
    await command(device, "full")
    waking = await device.poll()
    assert waking.state in {MinerState.BOOTING, MinerState.HASHING, MinerState.THROTTLED}
    assert waking.uptime_s > 600.0


@pytest.mark.parametrize("row", [OLD, NEW])
async def test_a_power_target_and_a_share_throttle_without_a_restart_and_full_takes_them_back(
    world: World, fleet: list[Device], row: int
) -> None:
    device, full_w = fleet[row], true_w(world, row)
    nominal_w = world.miners[row].personality.full_w
    for setting, watts in (("watts:2000", 2000.0), ("percent:80", nominal_w * 0.8)):
        await command(device, setting)
        await world.advance(1.0)
        assert true_w(world, row) > 1000.0, "it never went through zero"
        await world.advance(10.0)
        reading = await device.poll()
        assert (reading.state, reading.setting) == (MinerState.THROTTLED, f"watts:{watts:.0f}")
        assert true_w(world, row) == pytest.approx(full_w * watts / nominal_w, rel=0.03)
    await command(device, "full")
    await world.advance(10.0)
    assert (await device.poll()).state is MinerState.HASHING
    assert true_w(world, row) == pytest.approx(full_w, rel=0.03)


async def test_a_target_outside_the_firmware_s_range_is_refused(world: World, fleet: list[Device]) -> None:
    for row in (OLD, NEW):
        for setting in ("watts:100", "watts:9000", "percent:0", "percent:120", "mode:low", "profile:x"):
            with pytest.raises(RefusedError):
                await command(fleet[row], setting)
        assert not told(world.miners[row])


async def test_quick_ramps_are_asked_for_once_and_cut_the_way_down(world: World, fleet: list[Device]) -> None:
    device = fleet[NEW]
    assert isinstance(device, Prepares)
    await device.prepare()
    assert told(world.miners[NEW]) == ["performance/quick-ramping"]
    assert world.fleet.down_s[NEW] == 2.0
    await command(device, "sleep")
    assert told(world.miners[NEW])[1:] == ["actions/pause"]


@pytest.mark.parametrize("row", [OLD, NEW])
async def test_the_ladder_is_what_the_tuner_measured(world: World, fleet: list[Device], row: int) -> None:
    device = fleet[row]
    assert isinstance(device, ReadsLadder)
    ladder = await device.ladder()
    assert ladder is not None
    full_w = round(world.miners[row].personality.full_w)
    shares = [round(full_w * share) for share in (0.6, 0.7, 0.8, 0.9, 1.0)]
    assert [each.setting for each in ladder.points] == ["sleep", *(f"watts:{watts}" for watts in shares)]


async def test_a_miner_that_says_yes_and_does_nothing_is_not_seen_asleep(world: World, fleet: list[Device]) -> None:
    for row in (OLD, NEW):
        world.put_fault([row], Fault.IGNORES)
        await command(fleet[row], "sleep")
        await world.advance(5.0)
        assert (await fleet[row].poll()).state is MinerState.HASHING


async def test_a_miner_that_stops_answering_is_never_seen_asleep(world: World, fleet: list[Device]) -> None:
    for row in (OLD, NEW):
        for fault in (Fault.UNPLUGGED, Fault.RESET):
            await fleet[row].poll()
            world.put_fault([row], fault)
            await world.advance(1.0)
            with pytest.raises(FarmError):
                await fleet[row].poll()
            world.clear_faults([row])
            await world.advance(1.0)


async def test_a_changed_password_asks_for_a_person(world: World, fleet: list[Device]) -> None:
    for row in (OLD, NEW):
        world.put_fault([row], Fault.UNAUTHORIZED)
        with pytest.raises(CredentialError):
            await command(fleet[row], "sleep")


async def test_an_expired_session_costs_nothing(world: World, fleet: list[Device]) -> None:
    for row in (OLD, NEW):
        await fleet[row].poll()
        world.put_fault([row], Fault.EXPIRED)
        await command(fleet[row], "sleep")
        assert world.miners[row].is_asleep
    await world.advance(5000.0)
    for row in (OLD, NEW):
        assert (await fleet[row].poll()).state is MinerState.CURTAILED, "and so does one that ran out"


async def test_the_family_is_told_by_its_own_words(world: World) -> None:
    for row, model in ((OLD, "Antminer S19J Pro"), (NEW, "Antminer S19 XP")):
        found = await BraiinsDriver().identify(endpoint(world.miners[row]), Credentials())
        assert found is not None
        assert (found.mac, found.model) == (world.miners[row].identity.mac.lower(), model)
