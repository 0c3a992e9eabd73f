"""The Modbus meter against real servers on loopback."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvloop
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from farmctl.core.model import Quality
from farmctl.meters.modbus import MeterConfig, ModbusMeter
from farmctl.meters.quality import Doubt
from farmctl.meters.registers import Quantity, ReadFunction, Register, RegisterType, WordOrder
from simulators.meter import MeterFault, SimMeter

TRUTH_W = 5_000_000.0


@dataclass(slots=True)
class StillClock:
    """Time that moves when told."""

    at_ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1_000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1_000)


@dataclass(slots=True)
class Load:
    """Sum of the miners."""

    power_w: float


def _f32(name: Quantity, address: int, unit: str, low: float, high: float) -> Register:
    return Register(
        name=name,
        unit_id=1,
        function=ReadFunction.INPUT,
        address=address,
        type=RegisterType.F32,
        unit=unit,
        min=low,
        max=high,
    )


SITE_METER = (
    _f32(Quantity.KW, 0, "kW", -100, 12_000),
    _f32(Quantity.KVAR, 2, "kvar", -12_000, 12_000),
    _f32(Quantity.VOLTS, 4, "V", 0, 40_000),
    _f32(Quantity.HZ, 6, "Hz", 45, 55),
    Register(
        name=Quantity.KWH_IMPORT,
        unit_id=1,
        function=ReadFunction.INPUT,
        address=8,
        type=RegisterType.I64,
        scale=0.001,
        unit="kWh",
        min=0,
        max=1e12,
    ),
)


@asynccontextmanager
async def meter_on(
    port: int,
    registers: tuple[Register, ...] = SITE_METER,
    *,
    fleet_w: float = math.nan,
    clock: StillClock | None = None,
    timeout_s: float = 0.5,
) -> AsyncIterator[ModbusMeter]:
    config = MeterConfig(
        name="poc", host="127.0.0.1", port=port, registers=registers, rated_w=10e6, timeout_s=timeout_s
    )
    meter = ModbusMeter(config, clock or StillClock(), lambda: fleet_w)
    try:
        yield meter
    finally:
        await meter.close()


@asynccontextmanager
async def site_meter(port: int = 0) -> AsyncIterator[SimMeter]:
    sim = SimMeter(source=lambda: TRUTH_W, port=port, seed=7)
    await sim.start()
    try:
        yield sim
    finally:
        await sim.stop()


@asynccontextmanager
async def words_served(words: list[int], unit_id: int = 3) -> AsyncIterator[int]:
    """A meter whose holding registers from address 100 are `words`."""
    data = [SimData(address=100, values=words, datatype=DataType.REGISTERS, readonly=True)]
    server = ModbusTcpServer(SimDevice(id=unit_id, simdata=data), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        assert isinstance(server.transport, asyncio.Server)
        yield int(server.transport.sockets[0].getsockname()[1])
    finally:
        server.close()


async def test_a_good_meter_is_read_in_si() -> None:
    async with site_meter() as sim, meter_on(sim.port, fleet_w=4_900_000.0) as meter:
        sample = await meter.read()
        assert sample.quality is Quality.OK
        assert sample.power_w == pytest.approx(TRUTH_W, rel=0.005)
        assert sample.at_ms == 1_000_000
        assert meter.reading.volts == pytest.approx(33_000, rel=0.02)
        assert meter.reading.frequency_hz == pytest.approx(50, abs=0.2)
        assert meter.reading.reactive_var > 0
        assert meter.reading.energy_j >= 0
        assert sim.reads == 1  # all five registers in one request


@pytest.mark.parametrize(
    ("kind", "order", "sign", "words"),
    [
        (RegisterType.I16, WordOrder.HIGH_FIRST, 1, [5_000]),
        (RegisterType.I16, WordOrder.HIGH_FIRST, -1, [0x10000 - 5_000]),
        (RegisterType.U16, WordOrder.LOW_FIRST, 1, [5_000]),
        (RegisterType.I32, WordOrder.HIGH_FIRST, 1, [0, 5_000]),
        (RegisterType.I32, WordOrder.LOW_FIRST, -1, [0x10000 - 5_000, 0xFFFF]),
        (RegisterType.U32, WordOrder.LOW_FIRST, 1, [5_000, 0]),
        (RegisterType.F32, WordOrder.HIGH_FIRST, 1, [0x459C, 0x4000]),
        (RegisterType.F32, WordOrder.LOW_FIRST, -1, [0x4000, 0xC59C]),
        (RegisterType.I64, WordOrder.LOW_FIRST, 1, [5_000, 0, 0, 0]),
    ],
)
async def test_every_layout_comes_off_the_wire(
    kind: RegisterType, order: WordOrder, sign: int, words: list[int]
) -> None:
    kw = Register(
        name=Quantity.KW,
        unit_id=3,
        function=ReadFunction.HOLDING,
        address=100,
        type=kind,
        word_order=order,
        unit="kW",
        sign=sign,
        min=0,
        max=12_000,
    )
    async with words_served(words) as port, meter_on(port, (kw,)) as meter:
        sample = await meter.read()
    assert (sample.quality, sample.power_w) == (Quality.OK, 5e6)


@pytest.mark.parametrize("fault", [MeterFault.SENTINEL, MeterFault.NAN])
async def test_a_meter_without_a_value_is_bad_and_has_no_watts(fault: MeterFault) -> None:
    async with site_meter() as sim, meter_on(sim.port) as meter:
        sim.set_fault(fault)
        sample = await meter.read()
        assert (sample.quality, meter.doubt) == (Quality.BAD, Doubt.SENTINEL)
        assert math.isnan(sample.power_w)
        sim.clear_fault()
        assert (await meter.read()).quality is Quality.OK


@pytest.mark.parametrize("fault", [MeterFault.SPIKE, MeterFault.SIGN_FLIP])
async def test_a_spike_and_a_flipped_sign_are_out_of_range(fault: MeterFault) -> None:
    async with site_meter() as sim, meter_on(sim.port) as meter:
        sim.set_fault(fault)
        assert (await meter.read()).quality is Quality.BAD
        assert meter.doubt is Doubt.OUT_OF_RANGE


async def test_a_frozen_meter_is_found_when_the_load_moves() -> None:
    clock, load = StillClock(), Load(power_w=TRUTH_W)
    async with site_meter() as sim:
        sim.set_fault(MeterFault.FROZEN)
        config = MeterConfig(name="poc", host="127.0.0.1", port=sim.port, registers=SITE_METER, rated_w=10e6)
        meter = ModbusMeter(config, clock, lambda: load.power_w)
        qualities = []
        for _ in range(40):
            clock.at_ms += 1_000
            load.power_w -= 10_000
            qualities.append((await meter.read()).quality)
        await meter.close()
    assert qualities[:31] == [Quality.OK] * 31
    assert set(qualities[31:]) == {Quality.BAD}


async def test_a_meter_that_dies_is_missing_and_comes_back_by_itself() -> None:
    async with site_meter() as sim:
        port = sim.port
        async with meter_on(port) as meter:
            assert (await meter.read()).quality is Quality.OK
            await sim.stop()
            missing = [await meter.read() for _ in range(3)]
            assert {sample.quality for sample in missing} == {Quality.MISSING}
            assert all(math.isnan(sample.power_w) for sample in missing)
            async with site_meter(port):
                assert (await meter.read()).quality is Quality.OK


async def test_half_open_silence_is_missing_and_the_next_good_answer_counts() -> None:
    async with site_meter() as sim, meter_on(sim.port, timeout_s=0.2) as meter:
        assert (await meter.read()).quality is Quality.OK
        sim.set_fault(MeterFault.GONE)
        assert [(await meter.read()).quality for _ in range(2)] == [Quality.MISSING, Quality.MISSING]
        assert meter.doubt is Doubt.SILENT
        sim.clear_fault()
        assert (await meter.read()).quality is Quality.OK


async def test_nobody_at_the_address_is_missing() -> None:
    async with site_meter() as sim:
        port = sim.port
    async with meter_on(port) as meter:
        assert (await meter.read()).quality is Quality.MISSING


async def test_a_refused_register_is_missing_and_harms_nothing_else() -> None:
    registers = (SITE_METER[0], _f32(Quantity.HZ, 500, "Hz", 45, 55))
    async with site_meter() as sim, meter_on(sim.port, registers) as meter:
        assert (await meter.read()).quality is Quality.OK
        assert math.isnan(meter.reading.frequency_hz)
    async with words_served([1]) as port, meter_on(port) as meter:
        assert (await meter.read()).quality is Quality.MISSING


@pytest.mark.parametrize(
    "chatter", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(600), b"\x00\x01\x00\x00\x00\x05\x01\x04"]
)
async def test_a_stranger_at_the_address_is_missing(chatter: bytes) -> None:
    ended = asyncio.Semaphore(0)

    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(chatter)
        await reader.read()
        writer.close()
        ended.release()

    server = await asyncio.start_server(chat, "127.0.0.1", 0)
    async with server:
        async with meter_on(server.sockets[0].getsockname()[1], timeout_s=0.2) as meter:
            assert (await meter.read()).quality is Quality.MISSING
            assert (await meter.read()).quality is Quality.MISSING
        async with asyncio.timeout(10):
            await ended.acquire()
            await ended.acquire()
        await asyncio.sleep(0)


async def test_a_cancelled_read_leaves_a_meter_that_can_be_read() -> None:
    async with site_meter() as sim, meter_on(sim.port, timeout_s=5) as meter:
        sim.set_fault(MeterFault.GONE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await meter.read()
        sim.clear_fault()
        assert (await meter.read()).quality is Quality.OK


async def test_a_cancel_is_heard_whenever_it_comes() -> None:
    """Also in the turn of the loop in which the answer arrives, which asyncio.wait_for of Python 3.11 swallows."""

    async def reads_for_ever(meter: ModbusMeter) -> None:
        while True:
            await meter.read()

    async with site_meter() as sim, meter_on(sim.port) as meter:
        for attempt in range(60):
            reading = asyncio.create_task(reads_for_ever(meter))
            for _ in range(20 + attempt):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading], timeout=5)
            assert reading.cancelled()


def test_a_meter_that_resets_every_connection_is_missing_and_ends_nothing() -> None:
    """On the loop of the program, whose transports raise RuntimeError where asyncio's only warn."""
    listener = socket.create_server(("127.0.0.1", 0))

    def reset() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()

    async def story() -> None:
        port = listener.getsockname()[1]
        config = MeterConfig(name="main", host="127.0.0.1", port=port, registers=SITE_METER, rated_w=1e7, timeout_s=0.3)
        meter = ModbusMeter(config, StillClock(), lambda: math.nan)
        for _ in range(4):
            assert (await meter.read()).quality is Quality.MISSING
        await meter.close()

    resetting = threading.Thread(target=reset)
    resetting.start()
    try:
        uvloop.run(story())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        resetting.join()
