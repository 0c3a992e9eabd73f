"""A site meter over Modbus TCP: one owner, one connection, a silent meter is a value and not an exception."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog
from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from farmctl.core.fleet import NO_METER, MeterSample
from farmctl.core.units import NEVER_MS
from farmctl.errors import MalformedReplyError
from farmctl.meters import supply
from farmctl.meters.quality import OFF_FLOOR, Doubt, History, Observed, Trust, judge
from farmctl.meters.registers import Block, Quantity, ReadFunction, Register, blocks_of, decode
from farmctl.ports.site import Clock

READ_TIMEOUT_S = 0.5
"""For a whole read, connecting included (SIGNALS section 10)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterConfig:
    """Where a meter is and what it holds."""

    name: str
    host: str
    port: int = 502
    registers: tuple[Register, ...]
    rated_w: float
    """Rating of what hangs below the meter."""
    timeout_s: float = READ_TIMEOUT_S
    off_floor_fraction: float = OFF_FLOOR
    """Share of the rating below which a mismatch with the miners' sum is measured against it."""

    @property
    def trust(self) -> Trust:
        """Range of the kw register, and SIGNALS section 10 for the rest."""
        kw = next(register for register in self.registers if register.name is Quantity.KW)
        return Trust(min_w=kw.min_si, max_w=kw.max_si, rated_w=self.rated_w, off_floor_fraction=self.off_floor_fraction)

    @property
    def least_volts(self) -> float:
        """The least that the register of the voltage may say, V; NaN where it has none."""
        return next((each.min_si for each in self.registers if each.name is Quantity.VOLTS), math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """Everything that the last answer held, in SI; NaN where it had no such value."""

    power_w: float = math.nan
    reactive_var: float = math.nan
    volts: float = math.nan
    frequency_hz: float = math.nan
    energy_j: float = math.nan
    """Imported since the meter was born."""
    at_ms: int = NEVER_MS


@dataclass(slots=True)
class _Values:
    """Values of one read as they come in."""

    si: dict[Quantity, float] = field(default_factory=dict)

    def reading(self, at_ms: int) -> MeterReading:
        return MeterReading(
            power_w=self.si.get(Quantity.KW, math.nan),
            reactive_var=self.si.get(Quantity.KVAR, math.nan),
            volts=self.si.get(Quantity.VOLTS, math.nan),
            frequency_hz=self.si.get(Quantity.HZ, math.nan),
            energy_j=self.si.get(Quantity.KWH_IMPORT, math.nan),
            at_ms=at_ms,
        )


class ModbusMeter:
    """A `Meter`; `fleet_w` tells the sum of the miners below it in W, NaN while that is not known.

    Only one task may read it. After any failure the connection is dropped, so the next read starts on a
    fresh one: a half-open connection costs one read, and an answer that comes too late reaches nobody.
    """

    def __init__(self, config: MeterConfig, clock: Clock, fleet_w: Callable[[], float]) -> None:
        """Connect lazily; raises ConfigError when the registers are not one kw and no name twice."""
        self.name = config.name
        self.doubt = Doubt.SILENT
        """Why the last sample is not OK."""
        self.reading = MeterReading()
        self.last: MeterSample = NO_METER
        self._config = config
        self._blocks = blocks_of(config.registers)
        self._clock = clock
        self._fleet_w = fleet_w
        self._history = History()
        self._supply = supply.Supply()
        self._client: AsyncModbusTcpClient | None = None

    async def read(self) -> MeterSample:
        """One judged sample within `timeout_s`; a meter that does not answer is MISSING."""
        values = _Values()
        try:
            async with asyncio.timeout(self._config.timeout_s):
                client = await self._connected()
                for block in self._blocks:
                    await _read_block(client, block, values)
        except (OSError, ModbusException, MalformedReplyError, RuntimeError) as error:
            # The block with kw comes first: what came before the failure still counts. RuntimeError is uvloop's word
            # for a transport that a reset closed before pymodbus was told ("the handler is closed").
            self._drop()
            log.debug("meter_read_failed", meter=self.name, host=self._config.host, error=repr(error))
        except asyncio.CancelledError:
            self._drop()
            raise
        if _is_cancelled():
            self._drop()
            raise asyncio.CancelledError
        at_ms = self._clock.now_ms()
        power_w = values.si.get(Quantity.KW)
        if power_w is not None:
            self.reading = values.reading(at_ms)
            self._supply = self._supplied(self.reading)
        verdict = judge(
            self._history, Observed(power_w=power_w, at_ms=at_ms), self._fleet_w(), at_ms, self._config.trust
        )
        self._history = verdict.history
        if verdict.doubt is not self.doubt or verdict.sample.quality is not self.last.quality:
            log.info("meter_quality", meter=self.name, quality=verdict.sample.quality, doubt=verdict.doubt)
        read = self.reading if power_w is not None else MeterReading()
        self.doubt = verdict.doubt
        self.last = replace(
            verdict.sample,
            supply_gone=self._supply.gone,
            volts=read.volts,
            frequency_hz=read.frequency_hz,
            reactive_var=read.reactive_var,
        )
        return self.last

    def _supplied(self, reading: MeterReading) -> supply.Supply:
        config = self._config
        after = supply.seen(
            self._supply,
            volts=reading.volts,
            power_w=reading.power_w,
            rated_w=config.rated_w,
            now_ms=reading.at_ms,
            least_volts=config.least_volts,
        )
        if after.gone is not self._supply.gone:
            log.warning("grid_outage" if after.gone else "grid_supply_back", meter=self.name, volts=reading.volts)
        return after

    async def close(self) -> None:
        """Release the connection; harmless when there is none."""
        self._drop()

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        # reconnect_delay 0: pymodbus's own reconnecting backs off to 300 s, a site meter is asked every second.
        client = AsyncModbusTcpClient(
            self._config.host,
            port=self._config.port,
            name=self.name,
            timeout=self._config.timeout_s,
            retries=0,
            reconnect_delay=0,
        )
        self._client = client
        if not await client.connect():
            raise ConnectionError(f"meter {self.name} at {self._config.host}:{self._config.port} does not connect")
        return client

    def _drop(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            client.close()


def _is_cancelled() -> bool:
    """Whether somebody cancelled us and was not heard.

    pymodbus waits with asyncio.wait_for, which up to Python 3.11 returns the answer instead of being cancelled when
    both come in the same turn of the loop (cpython #86296); whoever reads for ever would then never stop.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _read_block(client: AsyncModbusTcpClient, block: Block, values: _Values) -> None:
    match block.function:
        case ReadFunction.HOLDING:
            answer = await client.read_holding_registers(block.address, count=block.count, device_id=block.unit_id)
        case ReadFunction.INPUT:
            answer = await client.read_input_registers(block.address, count=block.count, device_id=block.unit_id)
    if answer.isError():  # the device said no: the connection is sound, the values are absent
        log.debug("meter_block_refused", unit_id=block.unit_id, address=block.address, answer=str(answer))
        return
    if len(answer.registers) != block.count:
        raise MalformedReplyError(f"address {block.address}: {answer}, expected {block.count} registers")
    for register in block.registers:
        start = register.address - block.address
        values.si[register.name] = decode(register, answer.registers[start : start + register.words])
