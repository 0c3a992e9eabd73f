from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers._wire.cgminer import ask, request
from drivers.luxos.driver import LuxosDriver
from drivers.luxos.session import HELD_POLLS, SessionBusyError
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import (
    AppliesFast,
    AppliesPoint,
    Credentials,
    Device,
    Endpoint,
    Locates,
    Prepares,
    ReadsLadder,
    Reboots,
)
from simulators.faults import Fault
from simulators.miner import SimMiner
from simulators.plan import read_plan
from simulators.world import World

HOST = "127.0.0.1"


class Pair:
    """One simulated miner and the device object that speaks to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sim: SimMiner = world.miners[0]
        self.port = self.sim.endpoint.api
        self.endpoint = Endpoint(host=HOST, ports={"api": self.port})
        self.device: Device = LuxosDriver().device(self.endpoint, Credentials())

    async def apply(self, setting: str) -> None:
        assert isinstance(self.device, AppliesPoint)
        await self.device.apply(OperatingPoint(kind=PointKind.THROTTLE, power_w=1.0, hash_rate_hs=1.0, setting=setting))

    def told(self) -> list[str]:
        return [f"{told.command} {told.text}".strip() for told in self.sim.log]

    async def session(self) -> str:
        """Id of the session that lives now, as anybody can read it."""
        return str((await ask(HOST, self.port, request("session")))["SESSION"][0]["SessionID"])

    async def stranger_logs_on(self) -> str:
        return str((await ask(HOST, self.port, request("logon")))["SESSION"][0]["SessionID"])

    def fault(self, fault: Fault, **params: float | str) -> None:
        self.world.put_fault([0], fault, params=params)


@asynccontextmanager
async def luxos(*, start: str = "mining") -> AsyncIterator[Pair]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    plan = f"""
        [farm]
        report_error = 0.0
        [[group]]
        name = "bench"
        model = "luxos-s19kpro"
        count = 1
        address = "{HOST}"
        ports = {{ api = {port}, http = 0 }}
        start = "{start}"
    """
    world = World(read_plan(plan))
    await world.start()
    pair = Pair(world)
    try:
        yield pair
    finally:
        await pair.device.close()
        await world.stop()
        await asyncio.sleep(0.01)


async def test_it_offers_what_luxos_can_do() -> None:
    async with luxos() as bench:
        for capability in (AppliesPoint, ReadsLadder, Prepares, Locates, Reboots):
            assert isinstance(bench.device, capability)


async def test_sleep_puts_it_to_sleep_logs_off_and_telemetry_says_so() -> None:
    async with luxos() as bench:
        assert (await bench.device.poll()).state is MinerState.HASHING
        await bench.apply("sleep")
        assert bench.sim.is_asleep
        assert await bench.session() == ""
        assert (await bench.device.poll()).state is not MinerState.CURTAILED
        await bench.world.advance(60)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.CURTAILED, "sleep")
    assert reading.power_w < 100


async def test_full_wakes_a_sleeper_into_the_default_profile() -> None:
    async with luxos(start="asleep") as bench:
        await bench.apply("full")
        assert bench.told() == ["curtail wakeup", "profileset default"]
        await bench.world.advance(300)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "profile:default")


async def test_a_profile_is_set_without_a_wake_on_a_miner_that_is_awake() -> None:
    async with luxos() as bench:
        await bench.apply("profile:440MHz")
        assert bench.told() == ["profileset 440MHz"]
        await bench.world.advance(120)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.THROTTLED, "profile:440MHz")


async def test_a_profile_wakes_a_sleeper_first() -> None:
    async with luxos(start="asleep") as bench:
        await bench.device.poll()
        await bench.apply("profile:440MHz")
        assert bench.told() == ["curtail wakeup", "profileset 440MHz"]


async def test_watts_choose_the_highest_profile_below() -> None:
    async with luxos() as bench:
        await bench.apply("watts:2000")
        assert bench.told() == ["profileset 2000W"]
        assert bench.sim.profile is not None
        assert bench.sim.profile.watts <= 2000


async def test_every_step_of_its_own_ladder_can_be_applied() -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, ReadsLadder)
        ladder = await bench.device.ladder()
        assert ladder is not None
        for point in (ladder.points[0], ladder.points[1], ladder.points[-1]):
            await bench.apply(point.setting)
            await bench.world.advance(600)
            reading = await bench.device.poll()
            assert reading.setting == point.setting
            assert reading.power_w == pytest.approx(point.power_w, rel=0.05)


@pytest.mark.parametrize("setting", ["percent:80", "watts:0", "watts:x", "profile:", "profile:a,b", "mode:low", ""])
async def test_a_setting_it_does_not_have_is_refused_before_the_wire(setting: str) -> None:
    async with luxos() as bench:
        with pytest.raises(RefusedError):
            await bench.apply(setting)
        assert bench.told() == []


async def test_a_strangers_session_is_neither_used_nor_ended() -> None:
    async with luxos() as bench:
        stranger = await bench.stranger_logs_on()
        with pytest.raises(SessionBusyError, match="another actor"):
            await bench.apply("sleep")
        assert await bench.session() == stranger
        assert bench.told() == []
        assert not bench.sim.is_asleep


async def test_a_stranger_that_logs_off_soon_is_waited_for() -> None:
    async with luxos() as bench:
        stranger = await bench.stranger_logs_on()
        async with asyncio.TaskGroup() as both:
            both.create_task(bench.apply("sleep"))
            await asyncio.sleep(0.1)
            await ask(HOST, bench.port, request("logoff", stranger))
        assert bench.sim.is_asleep


async def test_a_session_prepared_ahead_serves_the_write_and_is_given_back() -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        assert await bench.session() != ""
        await bench.apply("sleep")
        assert bench.sim.is_asleep
        assert await bench.session() == ""


async def test_an_urgent_write_leaves_its_log_off_to_a_poll_of_the_sweep_behind_the_looks_that_prove_it() -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, AppliesFast)
        point = OperatingPoint(kind=PointKind.SLEEP, power_w=30.0, hash_rate_hs=0.0, setting="sleep")
        await bench.device.apply_fast(point)
        assert bench.sim.is_asleep
        for _ in range(HELD_POLLS - 1):
            await bench.device.poll()
            assert await bench.session()
        await bench.device.poll()
        assert not await bench.session()


async def test_close_gives_a_prepared_session_back_and_may_be_called_twice() -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        await bench.device.close()
        await bench.device.close()
        assert await bench.session() == ""


async def test_an_expired_session_is_renewed_once_and_the_write_goes_through() -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        bench.fault(Fault.EXPIRED)
        await bench.apply("sleep")
        assert bench.sim.is_asleep
        assert bench.told() == ["curtail sleep", "curtail sleep"]


@pytest.mark.parametrize("idle_s", [55, 70])
async def test_a_session_prepared_long_ago_is_no_obstacle(idle_s: float) -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        await bench.world.advance(idle_s)
        await bench.device.prepare()
        await bench.apply("sleep")
        assert bench.sim.is_asleep


async def test_a_refused_logon_is_refused() -> None:
    async with luxos() as bench:
        bench.fault(Fault.UNAUTHORIZED)
        with pytest.raises(RefusedError, match="logon"):
            await bench.apply("sleep")


async def test_a_refused_write_is_refused_and_logs_off() -> None:
    async with luxos() as bench:
        bench.fault(Fault.REFUSES)
        with pytest.raises(RefusedError, match="curtail"):
            await bench.apply("sleep")
        assert await bench.session() == ""
        assert (await bench.device.poll()).setting == "profile:default"


async def test_a_yes_that_changes_nothing_is_unmasked_by_the_next_poll() -> None:
    async with luxos() as bench:
        bench.fault(Fault.IGNORES)
        await bench.apply("sleep")
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "profile:default")


async def test_a_cancelled_write_leaves_a_session_that_the_next_one_uses() -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, Prepares)
        await bench.device.prepare()
        bench.fault(Fault.SILENT)
        write = asyncio.create_task(bench.apply("sleep"))
        await asyncio.sleep(0.1)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        bench.world.clear_faults([0])
        await bench.apply("full")
        assert await bench.session() == ""


async def test_a_silent_miner_is_silence_for_polls_and_writes() -> None:
    async with luxos() as bench:
        bench.fault(Fault.RESET)
        with pytest.raises(SilentPeerError):
            await bench.device.poll()
        with pytest.raises(SilentPeerError):
            await bench.apply("sleep")


async def test_garbage_is_a_malformed_reply() -> None:
    async with luxos() as bench:
        bench.fault(Fault.MALFORMED, how="garbage")
        with pytest.raises(MalformedReplyError):
            await bench.device.poll()


@pytest.mark.parametrize("how", ["comma_brace", "bracket_comma", "inf", "nan", "leading_comma", "missing_comma"])
async def test_a_broken_poll_still_tells_what_is_whole(how: str) -> None:
    async with luxos() as bench:
        bench.fault(Fault.MALFORMED, how=how)
        reading = await bench.device.poll()
    assert reading.power_w > 1000


async def test_light_and_reboot() -> None:
    async with luxos() as bench:
        assert isinstance(bench.device, Locates)
        assert isinstance(bench.device, Reboots)
        await bench.device.locate(on=True)
        assert bench.sim.led == "blink"
        await bench.device.locate(on=False)
        assert bench.sim.led == "off"
        await bench.device.reboot()
        assert bench.sim.state == "booting"


async def test_it_identifies_a_simulated_luxos_miner() -> None:
    async with luxos(start="asleep") as bench:
        identity = await LuxosDriver().identify(bench.endpoint, Credentials())
        assert identity is not None
        assert identity.miner_id == bench.sim.identity.mac.lower()
        assert identity.firmware == bench.sim.personality.firmware
