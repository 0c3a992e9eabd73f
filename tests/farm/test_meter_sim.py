"""The simulated site meter, read by a real Modbus client."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from simulators.meter import REGISTERS, Auxiliary, MeterFault, SimMeter

WORDS = sum(register.words for register in REGISTERS)


@dataclass(slots=True)
class Farm:
    power_w: float = 0.0
    now_s: float = 0.0

    def source(self) -> float:
        return self.power_w

    def clock(self) -> float:
        return self.now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    kw: float
    kvar: float
    volts: float
    hz: float
    kwh: float


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
    try:
        assert await client.connect()
        yield client
    finally:
        client.close()


@asynccontextmanager
async def running(meter: SimMeter) -> AsyncIterator[AsyncModbusTcpClient]:
    await meter.start()
    try:
        async with client_of(meter.port) as client:
            yield client
    finally:
        await meter.stop()


async def read(client: AsyncModbusTcpClient) -> Reading:
    answer = await client.read_input_registers(0, count=WORDS, device_id=1)
    assert not answer.isError()
    kw, kvar, volts, hz, wh = struct.unpack(">ffffq", struct.pack(f">{WORDS}H", *answer.registers))
    return Reading(kw=kw, kvar=kvar, volts=volts, hz=hz, kwh=wh / 1_000)


async def samples(meter: SimMeter, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            if len(meter.history) >= count:
                return
            await asyncio.sleep(0.05)


async def test_the_meter_reads_miners_plus_auxiliaries() -> None:
    farm = Farm(power_w=5_000_000.0)
    meter = SimMeter(source=farm.source, seed=1, aux=Auxiliary(base_w=100_000.0, share=0.04))
    async with running(meter) as client:
        reading = await read(client)
    assert meter.true_power_w() == pytest.approx(5_300_000.0)
    assert reading.kw == pytest.approx(5_300.0, rel=0.003)
    assert 0 < reading.kvar < reading.kw
    assert reading.volts == pytest.approx(33_000, rel=0.02)
    assert reading.hz == pytest.approx(50.0, abs=0.1)


async def test_every_read_is_a_fresh_sample() -> None:
    farm = Farm(power_w=1_000_000.0)
    async with running(SimMeter(source=farm.source)) as client:
        before = await read(client)
        farm.power_w = 400_000.0
        after = await read(client)
        again = await read(client)
    assert before.kw == pytest.approx(1_000, rel=0.003)
    assert after.kw == pytest.approx(400, rel=0.003)
    assert again.kw != after.kw


async def test_holding_registers_answer_like_input_registers_and_a_sub_range_is_readable() -> None:
    farm = Farm(power_w=2_000_000.0)
    async with running(SimMeter(source=farm.source)) as client:
        answer = await client.read_holding_registers(6, count=2, device_id=1)
    (hz,) = struct.unpack(">f", struct.pack(">2H", *answer.registers))
    assert hz == pytest.approx(50.0, abs=0.1)


async def test_a_meter_cannot_be_written() -> None:
    async with running(SimMeter(source=Farm().source)) as client:
        answer = await client.write_register(0, 1, device_id=1)
    assert answer.isError()


async def test_the_same_seed_gives_the_same_noise() -> None:
    async def series(seed: int) -> list[float]:
        farm = Farm(power_w=1_000_000.0)
        async with running(SimMeter(source=farm.source, seed=seed)) as client:
            return [(await read(client)).kw for _ in range(5)]

    assert await series(7) == await series(7)
    assert await series(7) != await series(8)


async def test_a_frozen_meter_repeats_itself_while_the_load_changes() -> None:
    farm = Farm(power_w=1_000_000.0)
    meter = SimMeter(source=farm.source)
    async with running(meter) as client:
        meter.set_fault(MeterFault.FROZEN)
        farm.power_w = 100_000.0
        frozen = [await read(client), await read(client)]
        meter.clear_fault(MeterFault.FROZEN)
        thawed = await read(client)
    assert frozen[0] == frozen[1]
    assert frozen[0].kw == pytest.approx(1_000, rel=0.003)
    assert thawed.kw == pytest.approx(100, rel=0.003)


async def test_a_gone_meter_leaves_requests_unanswered_and_comes_back() -> None:
    meter = SimMeter(source=Farm(power_w=1_000.0).source)
    await meter.start()
    try:
        meter.set_fault(MeterFault.GONE)
        client = AsyncModbusTcpClient("127.0.0.1", port=meter.port, timeout=0.3, retries=0)
        assert await client.connect()
        with pytest.raises(ModbusIOException):
            await client.read_input_registers(0, count=2, device_id=1)
        client.close()
        meter.clear_fault()
        async with client_of(meter.port) as patient:
            assert (await read(patient)).kw == pytest.approx(1.0, rel=0.003)
    finally:
        await meter.stop()


async def test_sentinels_are_what_real_meters_send() -> None:
    meter = SimMeter(source=Farm(power_w=1_000.0).source)
    async with running(meter) as client:
        meter.set_fault(MeterFault.NAN)
        nan = await client.read_input_registers(0, count=WORDS, device_id=1)
        meter.clear_fault()
        meter.set_fault(MeterFault.SENTINEL)
        sentinel = await client.read_input_registers(0, count=WORDS, device_id=1)
    assert math.isnan(struct.unpack(">f", struct.pack(">2H", *nan.registers[:2]))[0])
    assert nan.registers[8:] == [0x8000, 0, 0, 0]
    assert sentinel.registers == [0x8000] * WORDS


async def test_a_spike_and_a_sign_flip_lie_about_kw_only() -> None:
    meter = SimMeter(source=Farm(power_w=1_000_000.0).source)
    async with running(meter) as client:
        meter.set_fault(MeterFault.SPIKE, magnitude=3.0)
        spike = await read(client)
        meter.set_fault(MeterFault.SIGN_FLIP)
        both = await read(client)
    assert spike.kw == pytest.approx(3_000, rel=0.003)
    assert spike.kvar == pytest.approx(203, rel=0.01)
    assert both.kw == pytest.approx(-3_000, rel=0.003)
    assert meter.true_power_w() == 1_000_000.0


def test_a_timed_fault_ends_by_itself() -> None:
    farm = Farm(power_w=1.0)
    meter = SimMeter(source=farm.source, clock=farm.clock)
    meter.set_fault(MeterFault.SPIKE, for_s=5.0)
    farm.now_s = 4.9
    assert meter.faults == {MeterFault.SPIKE}
    farm.now_s = 5.0
    assert meter.faults == frozenset()


def test_cooling_follows_the_heat_with_its_lag() -> None:
    farm = Farm(power_w=1_000_000.0)
    meter = SimMeter(source=farm.source, clock=farm.clock, aux=Auxiliary(share=0.1, lag_s=60.0))
    assert meter.true_power_w() == pytest.approx(1_100_000.0)
    farm.power_w = 0.0
    assert meter.true_power_w() == pytest.approx(100_000.0)
    farm.now_s = 60.0
    assert meter.true_power_w() == pytest.approx(100_000.0 / math.e)
    farm.now_s = 600.0
    assert meter.true_power_w() < 10.0


def test_energy_is_the_integral_of_the_truth() -> None:
    farm = Farm(power_w=600_000.0)
    meter = SimMeter(source=farm.source, clock=farm.clock)
    meter.true_power_w()
    for minute in range(1, 61):
        farm.now_s = 60.0 * minute
        meter.true_power_w()
    assert meter.true_energy_wh() == pytest.approx(600_000.0)


async def test_means_are_taken_from_the_recorded_truth() -> None:
    farm = Farm(power_w=1_000.0)
    meter = SimMeter(source=farm.source)
    async with running(meter):
        await samples(meter, 4)
        farm.power_w = 3_000.0
        changed_s = meter.history[-1][0]
        await samples(meter, 10)
    assert next(w for _, w in meter.means_w(0.3)) == pytest.approx(1_000.0)
    after = meter.means_w(0.3, since_s=changed_s + 0.01)
    assert after
    assert all(w == pytest.approx(3_000.0) for _, w in after)
    assert meter.means_w(1_000.0) == []


async def test_a_port_in_use_is_said_at_start() -> None:
    first = SimMeter(source=Farm().source)
    await first.start()
    try:
        with pytest.raises(RuntimeError, match="listen"):
            await SimMeter(source=Farm().source, port=first.port).start()
    finally:
        await first.stop()


@asynccontextmanager
async def control_api(farm: Farm) -> AsyncIterator[str]:
    async def total(request: web.Request) -> web.Response:
        del request
        return web.json_response({"power_w": farm.power_w})

    app = web.Application()
    app.router.add_get("/total", total)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_command_follows_the_farm_s_control_api() -> None:
    farm = Farm(power_w=2_000_000.0)
    code = "from simulators.meter import main; main()"
    async with control_api(farm) as url, asyncio.timeout(40):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, "--control", url, "--port", "0", stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            ready = json.loads(await process.stdout.readline())
            assert ready["registers"][0] == {"name": "kw", "address": 0, "type": "f32", "scale": 1.0, "unit": "kW"}
            async with client_of(ready["port"]) as client:
                assert (await read(client)).kw == pytest.approx(2_000, rel=0.003)
                farm.power_w = 500_000.0
                kw = 2_000.0
                while kw > 600:
                    await asyncio.sleep(0.05)
                    kw = (await read(client)).kw
        finally:
            process.terminate()
            await process.wait()
