from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from drivers.avalon.door import StillCalibratingError
from drivers.avalon.driver import AvalonDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Endpoint, Locates, Prepares, ReadsLadder, Reboots
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
        self.endpoint = Endpoint(host=HOST, ports={"api": self.sim.endpoint.api})
        self.driver = AvalonDriver()
        self.device: Device = self.driver.device(self.endpoint, Credentials())

    async def apply(self, setting: str) -> None:
        assert isinstance(self.device, AppliesPoint)
        await self.device.apply(point(setting))

    def told(self) -> list[str]:
        return [told.command for told in self.sim.log]

    def fault(self, fault: Fault, **params: float | str) -> None:
        self.world.put_fault([0], fault, params=params)


def point(setting: str) -> OperatingPoint:
    return OperatingPoint(kind=PointKind.THROTTLE, power_w=1.0, hash_rate_hs=1.0, setting=setting)


@asynccontextmanager
async def avalon(*, model: str = "a1246", start: str = "mining") -> AsyncIterator[Pair]:
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
        ports = {{ api = {port} }}
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


@asynccontextmanager
async def saying(*replies: bytes) -> AsyncIterator[tuple[Device, list[str]]]:
    """A device that gives these answers to its writes, in turn, and mines all the while."""
    asked: list[str] = []
    left = list(replies)
    body = "Ver[x] SYSTEMSTATU[Work: In Work, Hash Board: 1] SoftOFF[0] GHSspd[5.0] PS[0 0 0 0 900 0 999] WORKMODE[2]"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = orjson.loads(await reader.read(1 << 16))
        if request["command"] == "ascset":
            asked.append(request["parameter"])
            writer.write(left.pop(0))
        else:
            writer.write(orjson.dumps({"STATUS": [{"STATUS": "S", "When": 1}], "STATS": [{"MM ID0": body}]}) + b"\0")
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield AvalonDriver().device(Endpoint(host=HOST, ports={"api": port}), Credentials()), asked
    finally:
        server.close()
        await asyncio.sleep(0.01)


def said(letter: str, message: str) -> bytes:
    return orjson.dumps({"STATUS": [{"STATUS": letter, "When": 1, "Code": 120, "Msg": message}], "id": 1}) + b"\0"


async def test_it_offers_what_an_avalon_can_do() -> None:
    async with avalon() as bench:
        for capability in (AppliesPoint, Locates, Reboots):
            assert isinstance(bench.device, capability)
        assert not isinstance(bench.device, ReadsLadder)
        assert not isinstance(bench.device, Prepares)
        assert bench.device.serial_only


@pytest.mark.parametrize("model", ["a1246", "avalon-q"])
async def test_sleep_takes_effect_at_its_date_and_telemetry_says_so(model: str) -> None:
    async with avalon(model=model) as bench:
        assert (await bench.device.poll()).state is MinerState.HASHING
        await bench.apply("sleep")
        assert bench.told() == ["softoff"]
        assert bench.sim.state == "mining"
        reading = await bench.device.poll()
        assert (reading.state, reading.setting) == (MinerState.HASHING, "full")
        await bench.world.advance(6)
        assert bench.sim.state == "asleep"
        await bench.world.advance(60)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.CURTAILED, "sleep")
    assert reading.power_w < 100
    assert reading.hash_rate_hs == 0.0


@pytest.mark.parametrize("model", ["a1246", "a1246-no-ntp", "avalon-q"])
async def test_full_wakes_a_sleeper_and_touches_nothing_else(model: str) -> None:
    async with avalon(model=model, start="asleep") as bench:
        await bench.apply("full")
        assert bench.told() == ["softon"]
        await bench.world.advance(6)
        assert not bench.sim.is_asleep
        await bench.world.advance(600)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_dates_are_in_the_time_of_a_device_whose_clock_was_never_set() -> None:
    async with avalon(model="a1246-no-ntp") as bench:
        await bench.apply("sleep")
        stamp = int(bench.sim.log[0].text.removeprefix("1:"))
        assert stamp < time.time() / 2
        await bench.world.advance(6)
        assert bench.sim.is_asleep


async def test_a_change_of_mind_before_the_date_still_ends_awake() -> None:
    async with avalon() as bench:
        await bench.device.poll()
        await bench.apply("sleep")
        await bench.device.poll()
        await bench.apply("full")
        first, second = (int(told.text.removeprefix("1:")) for told in bench.sim.log)
        assert second > first
        await bench.world.advance(10)
        assert not bench.sim.is_asleep


async def test_full_is_quiet_on_a_miner_that_runs_at_full() -> None:
    async with avalon() as bench:
        await bench.apply("full")
        assert bench.told() == []


async def test_a_mode_throttles_and_full_gives_the_old_one_back() -> None:
    async with avalon(model="avalon-q") as bench:
        await bench.device.poll()
        await bench.apply("mode:low")
        assert bench.told() == ["workmode"]
        await bench.world.advance(300)
        reading = await bench.device.poll()
        assert (reading.state, reading.setting) == (MinerState.THROTTLED, "mode:low")
        assert reading.power_w == pytest.approx(800, rel=0.06)
        await bench.apply("full")
        assert [told.text for told in bench.sim.log] == ["set,0", "set,2"]
        assert (await bench.device.poll()).setting == "full"


async def test_a_mode_wakes_a_sleeper_first() -> None:
    async with avalon(start="asleep") as bench:
        await bench.device.poll()
        await bench.apply("mode:low")
        assert bench.told() == ["softon", "workmode"]
        await bench.world.advance(600)
        assert (await bench.device.poll()).setting == "mode:low"


async def test_firmware_that_knows_levels_only_is_asked_for_a_level_from_then_on() -> None:
    unknown = said("E", "ASC 0 set failed: Unknown option: workmode")
    yes = said("S", "ASC 0 set OK")
    async with saying(unknown, yes, yes) as (device, asked):
        assert isinstance(device, AppliesPoint)
        await device.apply(point("mode:low"))
        await device.apply(point("mode:normal"))
    assert asked == ["0,workmode,set,0", "0,worklevel,set,0", "0,worklevel,set,1"]


async def test_a_miner_that_calibrates_its_chips_is_left_alone_for_a_while() -> None:
    busy = said("E", "ASC 0 set failed: current mode 0 is caling Don't permit switch mode")
    async with saying(busy) as (device, _):
        assert isinstance(device, AppliesPoint)
        with pytest.raises(StillCalibratingError, match=HOST):
            await device.apply(point("mode:low"))


async def test_softoff_that_gets_no_answer_is_silence_but_softon_is_carried_out_without_one() -> None:
    async with saying(b"") as (device, _):
        assert isinstance(device, AppliesPoint)
        with pytest.raises(SilentPeerError):
            await device.apply(point("sleep"))


@pytest.mark.parametrize("setting", ["percent:60", "watts:2000", "mode:", "mode:turbo", "mode:2", "sleep:1", ""])
async def test_a_setting_it_does_not_have_is_refused_before_the_wire(setting: str) -> None:
    async with avalon() as bench:
        with pytest.raises(RefusedError):
            await bench.apply(setting)
        assert bench.told() == []


async def test_a_mode_that_this_unit_lacks_is_refused() -> None:
    async with avalon(model="a1246") as bench:
        with pytest.raises(RefusedError, match="unknown argument"):
            await bench.apply("mode:high")


async def test_two_calls_never_overlap_on_one_device() -> None:
    async with avalon() as bench:
        other = bench.driver.device(bench.endpoint, Credentials())
        assert isinstance(other, AppliesPoint)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(bench.device.poll())
                tasks.create_task(other.facts())
                tasks.create_task(other.apply(point("sleep")))
                tasks.create_task(bench.driver.identify(bench.endpoint, Credentials()))
        assert bench.sim.reads["stats"] >= 20
        assert bench.sim.reads["overlap"] == 0
        assert bench.told() == ["softoff"] * 10


async def test_the_simulator_sees_an_overlap_where_there_is_one() -> None:
    async with avalon() as bench:
        first, second = [await asyncio.open_connection(HOST, bench.sim.endpoint.api) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert bench.sim.reads["overlap"] == 1
        for _, writer in (first, second):
            writer.close()
            await writer.wait_closed()


async def test_a_cancelled_call_gives_the_turn_back() -> None:
    async with avalon() as bench:
        bench.fault(Fault.SILENT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await bench.device.poll()
        bench.world.clear_faults([0])
        assert (await bench.device.poll()).state is MinerState.HASHING


async def test_a_refused_write_is_refused_and_not_believed() -> None:
    async with avalon() as bench:
        bench.fault(Fault.REFUSES)
        with pytest.raises(RefusedError, match="softoff"):
            await bench.apply("sleep")
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


@pytest.mark.parametrize("setting", ["sleep", "mode:low"])
async def test_a_yes_that_changes_nothing_is_unmasked_by_the_next_poll(setting: str) -> None:
    async with avalon() as bench:
        await bench.device.poll()
        bench.fault(Fault.IGNORES)
        await bench.apply(setting)
        await bench.world.advance(60)
        reading = await bench.device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "full")


async def test_a_silent_miner_is_silence_for_polls_and_writes() -> None:
    async with avalon() as bench:
        bench.fault(Fault.RESET)
        with pytest.raises(SilentPeerError):
            await bench.device.poll()
        for setting in ("sleep", "full"):
            with pytest.raises(SilentPeerError):
                await bench.apply(setting)


@pytest.mark.parametrize("how", ["comma_brace", "bracket_comma", "missing_comma", "leading_comma"])
async def test_a_broken_status_still_tells_what_is_whole(how: str) -> None:
    async with avalon() as bench:
        bench.fault(Fault.MALFORMED, how=how)
        reading = await bench.device.poll()
    assert reading.state is MinerState.HASHING


async def test_garbage_is_a_malformed_reply() -> None:
    async with avalon() as bench:
        bench.fault(Fault.MALFORMED, how="garbage")
        with pytest.raises(MalformedReplyError):
            await bench.device.poll()
        with pytest.raises(MalformedReplyError):
            await bench.apply("sleep")


async def test_light_and_reboot() -> None:
    async with avalon() as bench:
        assert isinstance(bench.device, Locates)
        assert isinstance(bench.device, Reboots)
        await bench.device.locate(on=True)
        assert bench.sim.led == "on"
        await bench.device.locate(on=False)
        assert bench.sim.led == "auto"
        await bench.device.reboot()
        assert bench.sim.state == "booting"


@pytest.mark.parametrize("start", ["mining", "asleep"])
@pytest.mark.parametrize("model", ["a1246", "avalon-q"])
async def test_it_identifies_a_simulated_avalon(model: str, start: str) -> None:
    async with avalon(model=model, start=start) as bench:
        identity = await bench.driver.identify(bench.endpoint, Credentials())
        assert identity is not None
        assert identity.miner_id == bench.sim.identity.mac.lower()
