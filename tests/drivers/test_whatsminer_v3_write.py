from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.whatsminer_v3.driver import StillWakingError, WhatsminerV3Driver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import CredentialError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Endpoint, Locates, Prepares, ReadsLadder, Reboots
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.personality import Quirk
from simulators.plan import read_plan
from simulators.world import World

HOST = "127.0.0.1"


class Pair:
    """One simulated miner and the device object that speaks to it."""

    def __init__(self, world: World, password: str) -> None:
        self.world = world
        self.sim: SimMiner = world.miners[0]
        self.endpoint = Endpoint(host=HOST, ports={"api3": self.sim.endpoint.api3})
        self.device: Device = WhatsminerV3Driver().device(self.endpoint, Credentials(password=password))

    async def apply(self, setting: str) -> None:
        assert isinstance(self.device, AppliesPoint)
        await self.device.apply(OperatingPoint(kind=PointKind.THROTTLE, power_w=1.0, hash_rate_hs=1.0, setting=setting))

    def told(self) -> list[str]:
        return [f"{told.command} {told.text}" for told in self.sim.log]

    def fault(self, fault: Fault, **params: float | str) -> None:
        self.world.put_fault([0], fault, params=params)


@asynccontextmanager
async def whatsminer(*, model: str = "m60s-v3only", start: str = "mining", password: str = "") -> AsyncIterator[Pair]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((HOST, 0))
        other.bind((HOST, 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    plan = f"""
        [farm]
        report_error = 0.0
        [[group]]
        name = "bench"
        model = "{model}"
        count = 1
        address = "{HOST}"
        ports = {{ api = {ports[0]}, api3 = {ports[1]} }}
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


async def test_it_offers_what_a_whatsminer_can_do() -> None:
    async with whatsminer() as bench:
        for capability in (AppliesPoint, Prepares, Locates, Reboots):
            assert isinstance(bench.device, capability)
        assert not isinstance(bench.device, ReadsLadder)


@pytest.mark.parametrize("model", ["m60s-v3", "m60s-v3only"])
@pytest.mark.parametrize("start", ["mining", "asleep"])
async def test_it_is_identified_with_and_without_port_4028(model: str, start: str) -> None:
    async with whatsminer(model=model, start=start) as bench:
        identity = await WhatsminerV3Driver().identify(bench.endpoint, Credentials())
        assert identity is not None
        assert identity.miner_id == bench.sim.identity.mac.lower()


async def test_sleep_puts_it_to_sleep_and_telemetry_says_so() -> None:
    async with whatsminer() as bench:
        assert (await bench.device.poll()).state is MinerState.HASHING
        await bench.apply("sleep")
        assert bench.told() == ['set.miner.service "stop"']
        reading = await bench.device.poll()
        assert (reading.state, reading.power_w > 1000) == (MinerState.UNKNOWN, True)
        await bench.world.advance(120)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.CURTAILED, "sleep")
    assert reading.power_w < 100


async def test_full_wakes_a_sleeper_and_touches_nothing_else() -> None:
    async with whatsminer(start="asleep") as bench:
        await bench.apply("full")
        assert bench.told() == ['set.miner.service "start"']
        assert (await bench.device.poll()).state is MinerState.BOOTING
        await bench.world.advance(900)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_full_is_quiet_on_a_miner_that_runs_at_full() -> None:
    async with whatsminer() as bench:
        await bench.apply("full")
        assert bench.told() == []


async def test_percent_is_the_fast_kind_and_full_takes_it_off() -> None:
    async with whatsminer() as bench:
        await bench.device.poll()
        await bench.apply("percent:60")
        assert bench.told() == ['set.miner.power_percent {"percent":"60","mode":"fast"}']
        await bench.world.advance(30)
        reading = await bench.device.poll()
        assert (reading.state, reading.setting) == (MinerState.THROTTLED, "percent:60")
        assert reading.power_w == pytest.approx(0.6 * bench.sim.personality.full_w, rel=0.05)
        await bench.apply("full")
        assert bench.sim.percent == 100


async def test_percent_wakes_a_sleeper_and_asks_to_be_tried_again_when_warm() -> None:
    async with whatsminer(start="asleep") as bench:
        await bench.device.poll()
        with pytest.raises(StillWakingError, match=HOST):
            await bench.apply("percent:70")
        assert not bench.sim.is_asleep
        await bench.world.advance(900)
        await bench.device.poll()
        await bench.apply("percent:70")
        assert bench.sim.percent == 70
        assert bench.told().count('set.miner.service "start"') == 1


async def test_percent_that_the_firmware_does_not_know_is_refused() -> None:
    async with whatsminer() as bench:
        bench.sim.quirks = frozenset({Quirk.NO_PERCENT})
        with pytest.raises(RefusedError, match="power_percent"):
            await bench.apply("percent:70")


async def test_a_throttle_that_a_reboot_took_away_is_seen() -> None:
    async with whatsminer() as bench:
        await bench.apply("percent:60")
        for _ in range(4):
            await bench.device.poll()
        bench.fault(Fault.REBOOT)
        await bench.world.advance(1500)
        assert (await bench.device.poll()).setting == "full"


async def test_watts_set_the_limit_once_and_full_gives_the_old_one_back() -> None:
    async with whatsminer() as bench:
        await bench.device.poll()
        before_w = bench.sim.limit_w
        await bench.apply("watts:2500")
        await bench.apply("watts:2500")
        assert bench.told() == ["set.miner.power_limit 2500"]
        await bench.world.advance(900)
        reading = await bench.device.poll()
        assert (reading.state, reading.setting, reading.power_limit_w) == (MinerState.THROTTLED, "watts:2500", 2500.0)
        assert reading.power_w == pytest.approx(2500, rel=0.06)
        await bench.apply("full")
        assert bench.sim.limit_w == before_w


@pytest.mark.parametrize(
    "setting", ["percent:0", "percent:101", "percent:x", "percent:٣", "watts:0", "mode:low", "sleep:1", "full:", ""]
)
async def test_a_setting_it_does_not_have_is_refused_before_the_wire(setting: str) -> None:
    async with whatsminer() as bench:
        with pytest.raises(RefusedError):
            await bench.apply(setting)
        assert bench.told() == []


async def test_the_salt_is_fetched_once_and_can_be_fetched_ahead() -> None:
    async with whatsminer() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        await bench.device.prepare()
        await bench.apply("sleep")
        await bench.apply("sleep")
        assert bench.sim.reads["get.device.info"] == 1


async def test_an_expired_salt_is_fetched_again_and_the_write_goes_through() -> None:
    async with whatsminer() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        bench.fault(Fault.EXPIRED)
        await bench.apply("sleep")
        assert bench.sim.is_asleep
        assert bench.sim.reads["get.device.info"] == 2


async def test_a_salt_that_is_never_accepted_is_a_credential_fault_after_one_retry() -> None:
    async with whatsminer() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        bench.fault(Fault.UNAUTHORIZED)
        with pytest.raises(CredentialError, match="switched off in the device"):
            await bench.apply("sleep")
        assert len(bench.told()) == 2
        assert not bench.sim.is_asleep


async def test_a_wrong_password_is_a_credential_fault() -> None:
    async with whatsminer(password="wrong") as bench:  # noqa: S106 - wrong on purpose
        with pytest.raises(CredentialError):
            await bench.apply("sleep")
        assert not bench.sim.is_asleep


async def test_a_refused_write_is_refused_and_not_believed() -> None:
    async with whatsminer() as bench:
        bench.fault(Fault.REFUSES)
        with pytest.raises(RefusedError, match=r"set\.miner\.service"):
            await bench.apply("sleep")
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


@pytest.mark.parametrize("setting", ["sleep", "percent:60"])
async def test_a_yes_that_changes_nothing_is_unmasked_by_the_next_poll(setting: str) -> None:
    async with whatsminer() as bench:
        await bench.device.poll()
        bench.fault(Fault.IGNORES)
        await bench.apply(setting)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_a_silent_miner_is_silence_for_polls_and_writes() -> None:
    async with whatsminer() as bench:
        bench.fault(Fault.RESET)
        with pytest.raises(SilentPeerError):
            await bench.device.poll()
        with pytest.raises(SilentPeerError):
            await bench.apply("sleep")


async def test_garbage_and_half_an_answer_are_malformed_replies() -> None:
    async with whatsminer() as bench:
        bench.fault(Fault.MALFORMED, how="garbage")
        with pytest.raises(MalformedReplyError):
            await bench.device.poll()
        with pytest.raises(MalformedReplyError):
            await bench.apply("sleep")
        bench.world.clear_faults([0])
        bench.fault(Fault.TRUNCATED)
        with pytest.raises(MalformedReplyError):
            await bench.device.poll()


async def test_light_and_reboot() -> None:
    async with whatsminer() as bench:
        assert isinstance(bench.device, Locates)
        assert isinstance(bench.device, Reboots)
        await bench.device.locate(on=True)
        assert bench.sim.led == "red"
        await bench.device.locate(on=False)
        assert bench.sim.led == "auto"
        await bench.device.reboot()
        assert bench.sim.state == "booting"
