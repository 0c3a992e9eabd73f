from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.epic.driver import EpicDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import CredentialError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Endpoint, Locates, Prepares, ReadsLadder, Reboots
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.plan import read_plan
from simulators.world import World

HOST = "127.0.0.1"


class Pair:
    """One simulated miner and the device object that speaks to it."""

    def __init__(self, world: World, password: str) -> None:
        self.world = world
        self.sim: SimMiner = world.miners[0]
        self.endpoint = Endpoint(host=HOST, ports={"api": self.sim.endpoint.api})
        self.device: Device = EpicDriver().device(self.endpoint, Credentials(password=password))

    async def apply(self, setting: str) -> None:
        assert isinstance(self.device, AppliesPoint)
        await self.device.apply(OperatingPoint(kind=PointKind.THROTTLE, power_w=1.0, hash_rate_hs=1.0, setting=setting))

    def told(self) -> list[str]:
        return [f"{told.command} {told.text}" for told in self.sim.log]

    def fault(self, fault: Fault, **params: float | str) -> None:
        self.world.put_fault([0], fault, params=params)


@asynccontextmanager
async def epic(*, model: str = "epic-s19xp", start: str = "mining", password: str = "") -> AsyncIterator[Pair]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    plan = f"""
        [farm]
        report_error = 0.0
        [[group]]
        name = "bench"
        model = "{model}"
        count = 1
        address = "{HOST}"
        ports = {{ api = {port}, http = 0 }}
        start = "{start}"
    """
    world = World(read_plan(plan))
    await world.start()
    pair = Pair(world, password)
    try:
        yield pair
    finally:
        await pair.device.close()
        await world.stop()
        await asyncio.sleep(0.01)


async def test_it_offers_what_powerplay_can_do() -> None:
    async with epic() as bench:
        for capability in (AppliesPoint, Locates, Reboots, ReadsLadder):
            assert isinstance(bench.device, capability)
        assert not isinstance(bench.device, Prepares)


@pytest.mark.parametrize("start", ["mining", "asleep"])
async def test_it_is_identified_awake_and_asleep(start: str) -> None:
    async with epic(start=start) as bench:
        identity = await EpicDriver().identify(bench.endpoint, Credentials())
        assert identity is not None
        assert identity.miner_id == bench.sim.identity.mac.lower()


async def test_sleep_puts_it_to_sleep_and_telemetry_says_so() -> None:
    async with epic() as bench:
        assert (await bench.device.poll()).state is MinerState.HASHING
        await bench.apply("sleep")
        assert bench.told() == ['miner {"param":"Stop"}']
        reading = await bench.device.poll()
        assert (reading.state, reading.power_w > 1000) == (MinerState.UNKNOWN, True)
        await bench.world.advance(120)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.CURTAILED, "sleep")
    assert (reading.power_w < 100, reading.hash_rate_hs) == (True, 0.0)


async def test_full_wakes_a_sleeper_and_touches_nothing_else() -> None:
    async with epic(start="asleep") as bench:
        await bench.apply("full")
        assert bench.told() == ['miner {"param":"Autostart"}']
        await bench.world.advance(900)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_full_is_quiet_on_a_miner_that_runs_at_full() -> None:
    async with epic() as bench:
        await bench.apply("full")
        assert bench.told() == []


async def test_a_target_throttles_and_full_gives_the_old_one_back() -> None:
    async with epic() as bench:
        await bench.device.poll()
        await bench.apply("profile:100TH")
        # The throttle limits that were found go with it: the vendor's schema does not say that absent ones stay.
        assert bench.told() == [
            'perpetualtune/algo {"param":{"algo":"VoltageOptimizer","target":100,"min_throttle":50,"throttle_step":5}}'
        ]
        await bench.world.advance(300)
        reading = await bench.device.poll()
        assert (reading.state, reading.setting) == (MinerState.THROTTLED, "profile:100TH")
        assert reading.power_w == pytest.approx(2200, rel=0.06)
        await bench.apply("full")
        assert '"target":142' in bench.told()[-1]
        await bench.world.advance(300)
        assert (await bench.device.poll()).setting == "full"


async def test_watts_are_tuned_to_where_the_firmware_can() -> None:
    async with epic(model="epic-s19xp-powertune") as bench:
        await bench.device.poll()
        await bench.apply("watts:2000")
        assert bench.told() == ['perpetualtune/algo {"param":{"algo":"PowerTune","target":2000}}']
        await bench.world.advance(300)
        reading = await bench.device.poll()
        assert (reading.state, reading.setting, reading.power_limit_w) == (MinerState.THROTTLED, "watts:2000", 2000.0)
        assert reading.power_w == pytest.approx(2000, rel=0.06)
        await bench.apply("full")
        await bench.world.advance(300)
        assert (await bench.device.poll()).setting == "full"
        assert bench.sim.kept["epic_algorithm"] == "VoltageOptimizer"


async def test_clocks_that_were_set_by_hand_are_given_back_too() -> None:
    async with epic() as bench:
        bench.sim.kept["epic_tunes"] = 0
        await bench.device.poll()
        await bench.apply("profile:100TH")
        await bench.apply("full")
        assert [line.partition(" ")[0] for line in bench.told()] == [
            "perpetualtune",
            "perpetualtune/algo",
            "perpetualtune/algo",
            "perpetualtune",
        ]
        assert bench.sim.kept["epic_tunes"] == 0


async def test_the_target_that_is_in_force_is_not_sent_again() -> None:
    async with epic() as bench:
        await bench.apply("profile:100TH")
        for _ in range(4):
            await bench.device.poll()
        await bench.apply("profile:100TH")
        assert len(bench.told()) == 1


async def test_a_target_wakes_a_sleeper_first() -> None:
    async with epic(start="asleep") as bench:
        await bench.device.poll()
        await bench.apply("profile:100TH")
        assert [line.partition(" ")[0] for line in bench.told()] == ["miner", "perpetualtune/algo"]
        await bench.world.advance(900)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.THROTTLED, "profile:100TH")


@pytest.mark.parametrize(
    "setting",
    [
        "percent:60",
        "watts:2000",
        "watts:0",
        "profile:59TH",
        "profile:301TH",
        "profile:low",
        "profile:TH",
        "sleep:1",
        "",
    ],
)
async def test_a_setting_it_does_not_have_is_refused_before_the_wire(setting: str) -> None:
    async with epic() as bench:
        with pytest.raises(RefusedError):
            await bench.apply(setting)
        assert bench.told() == []


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_a_password_that_is_refused_is_a_credential_fault(password: str) -> None:
    async with epic(password=password) as bench:
        if not password:
            bench.fault(Fault.UNAUTHORIZED)
        with pytest.raises(CredentialError, match="BadPassword"):
            await bench.apply("sleep")
        assert not bench.sim.is_asleep


async def test_a_refused_write_is_refused_and_not_believed() -> None:
    async with epic() as bench:
        bench.fault(Fault.REFUSES)
        with pytest.raises(RefusedError, match="SystemUpdateInProgress"):
            await bench.apply("sleep")
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


@pytest.mark.parametrize("setting", ["sleep", "profile:100TH"])
async def test_a_yes_that_changes_nothing_is_unmasked_by_the_next_poll(setting: str) -> None:
    async with epic() as bench:
        await bench.device.poll()
        bench.fault(Fault.IGNORES)
        await bench.apply(setting)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_a_silent_miner_is_silence_for_polls_and_writes() -> None:
    async with epic() as bench:
        bench.fault(Fault.RESET)
        with pytest.raises(SilentPeerError):
            await bench.device.poll()
        with pytest.raises(SilentPeerError):
            await bench.apply("sleep")


async def test_garbage_is_a_malformed_reply() -> None:
    async with epic() as bench:
        bench.fault(Fault.MALFORMED, how="garbage")
        with pytest.raises(MalformedReplyError):
            await bench.device.poll()
        with pytest.raises(MalformedReplyError):
            await bench.apply("sleep")


async def test_light_and_reboot() -> None:
    async with epic() as bench:
        assert isinstance(bench.device, Locates)
        assert isinstance(bench.device, Reboots)
        await bench.device.locate(on=True)
        assert bench.sim.led == "blink"
        await bench.device.locate(on=False)
        assert bench.sim.led == "auto"
        await bench.device.reboot()
        assert bench.sim.state == "booting"


async def test_a_device_that_was_closed_twice_can_be_used_again() -> None:
    async with epic() as bench:
        await bench.device.close()
        await bench.device.close()
        assert (await bench.device.poll()).state is MinerState.HASHING
