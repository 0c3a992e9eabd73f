"""The meter on the wire: a pymodbus server that samples the site at every read, and its faults."""

from __future__ import annotations

import asyncio
import math
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators.meter.site import HISTORY_PERIOD_S, Auxiliary, SiteLoad

SAG = 0.01
"""The feeder sags by this share of its voltage at rated load: a stiff 33 kV bus stays within 1-2 %."""
HZ_WANDER = 0.002
HZ_PULL = 0.05
MAINS_HZ = 50.0
NO_VALUE_I64 = b"\x80" + bytes(7)
"""What an INT64 register says when it has no value; 0x8000 is the 16-bit form (SunSpec)."""


class MeterFault(StrEnum):
    """One way for a meter to be wrong."""

    FROZEN = "frozen"
    """Every register repeats what it said when the fault began."""
    GONE = "gone"
    """Connections are accepted, requests are never answered."""
    NAN = "nan"
    """Float registers are NaN, integers are their no-value sentinel."""
    SENTINEL = "sentinel"
    """Every 16-bit register is 0x8000."""
    SPIKE = "spike"
    """kW is `magnitude` times the truth (default 10)."""
    SIGN_FLIP = "sign_flip"
    """kW has the wrong sign, as after a swapped current transformer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One quantity on the wire: input and holding registers hold the same, high word first."""

    name: str
    address: int
    kind: str
    """f32 or i64."""
    scale: float
    """Multiply the raw number by this to get `unit`."""
    unit: str

    @property
    def words(self) -> int:
        """Number of 16-bit registers."""
        return 2 if self.kind == "f32" else 4


REGISTERS = (
    Register(name="kw", address=0, kind="f32", scale=1.0, unit="kW"),
    Register(name="kvar", address=2, kind="f32", scale=1.0, unit="kvar"),
    Register(name="volts", address=4, kind="f32", scale=1.0, unit="V"),
    Register(name="hz", address=6, kind="f32", scale=1.0, unit="Hz"),
    # A float32 would lose whole kWh above 16.7 GWh, a week of a 100 MW site; meters count Wh in 64 bits.
    Register(name="kwhImport", address=8, kind="i64", scale=0.001, unit="kWh"),
)
"""The register map; addresses start at 0 as in the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Electrical:
    """The quantities around the watts."""

    rated_w: float = 10e6
    """Full load, for the voltage sag only."""
    volts: float = 33_000.0
    power_factor: float = 0.98
    noise: float = 0.0005
    """One standard deviation of the kW reading as a share of it: a class 0.2 meter stays within 0.2 %."""


class SimMeter:
    """A Modbus TCP site meter around `source`, the watts of all miners at this moment.

    A register read samples the truth at that instant; besides, the truth is recorded five times a second.
    With port 0 the system picks one; `port` is the real one after `start()`.
    """

    def __init__(  # noqa: PLR0913 - a meter has this many knobs, all by keyword
        self,
        *,
        source: Callable[[], float],
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        aux: Auxiliary | None = None,
        electrical: Electrical | None = None,
        unit_id: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        self.port = port
        self.unit_id = unit_id
        self.reads = 0
        self._site = SiteLoad(source=source, aux=aux or Auxiliary(), clock=clock)
        self._electrical = electrical or Electrical()
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - measurement noise, not a secret
        self._faults: dict[MeterFault, tuple[float, float]] = {}
        self._frozen: list[int] = []
        self._hz = MAINS_HZ
        self._server: ModbusTcpServer | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen and begin recording; raises RuntimeError when the address is taken."""
        if self._server is not None:
            raise RuntimeError(f"meter on {self.host}:{self.port} is already running")
        words = sum(register.words for register in REGISTERS)
        device = SimDevice(
            id=self.unit_id,
            simdata=[SimData(address=0, count=words, values=0, datatype=DataType.REGISTERS, readonly=True)],
            action=self._on_request,
        )
        # A NoSuchIdException out of the action is the one way to leave a request unanswered.
        server = ModbusTcpServer(device, address=(self.host, self.port), ignore_missing_devices=True)
        await server.serve_forever(background=True)
        listener = server.transport
        if not isinstance(listener, asyncio.Server):
            raise TypeError(f"meter: pymodbus listens with {type(listener).__name__}, expected asyncio.Server")
        self.port = int(listener.sockets[0].getsockname()[1])
        self._server = server
        self._record()

    async def stop(self) -> None:
        """Close the listener and every connection; harmless when it is not running."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._server is not None:
            server, self._server = self._server, None
            server.close()

    def set_fault(self, fault: MeterFault, *, for_s: float = math.inf, magnitude: float = 10.0) -> None:
        """Begin a fault; `magnitude` matters to SPIKE only."""
        if fault is MeterFault.FROZEN:
            self._frozen = self._truthful_words()
        self._faults[fault] = (self._clock() + for_s, magnitude)

    def clear_fault(self, fault: MeterFault | None = None) -> None:
        """End one fault, or all of them."""
        if fault is None:
            self._faults.clear()
        else:
            self._faults.pop(fault, None)

    @property
    def faults(self) -> frozenset[MeterFault]:
        """Faults in force now."""
        now = self._clock()
        return frozenset(fault for fault, (until_s, _) in self._faults.items() if now < until_s)

    @property
    def history(self) -> list[tuple[float, float]]:
        """(clock seconds, true site W), oldest first, five a second for the last hour."""
        return self._site.history

    def true_power_w(self) -> float:
        """What the site really draws now: miners and auxiliaries, without noise or faults."""
        return self._site.power_w()

    def true_energy_wh(self) -> float:
        """Energy drawn since the first sample."""
        self._site.power_w()
        return self._site.energy_wh

    def means_w(self, window_s: float, *, since_s: float = -math.inf) -> list[tuple[float, float]]:
        """Trailing means of the truth as (clock seconds at the window's end, W), for windows after `since_s`."""
        return self._site.means_w(window_s, since_s=since_s)

    def _record(self) -> None:
        self._site.record()
        self._timer = asyncio.get_running_loop().call_later(HISTORY_PERIOD_S, self._record)

    async def _on_request(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        del start_address, address, count
        if set_values is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        faults = self.faults
        if MeterFault.GONE in faults:
            raise NoSuchIdException(f"meter does not answer function {function_code}")
        self.reads += 1
        words = self._words(faults)
        current_registers[: len(words)] = words
        return None

    def _words(self, faults: frozenset[MeterFault]) -> list[int]:
        if MeterFault.SENTINEL in faults:
            return [0x8000] * sum(register.words for register in REGISTERS)
        if MeterFault.NAN in faults:
            nan = struct.pack(">f", math.nan)
            return _to_words(b"".join(nan if register.kind == "f32" else NO_VALUE_I64 for register in REGISTERS))
        if MeterFault.FROZEN in faults:
            return self._frozen
        factor = self._faults[MeterFault.SPIKE][1] if MeterFault.SPIKE in faults else 1.0
        return self._truthful_words(kw_factor=-factor if MeterFault.SIGN_FLIP in faults else factor)

    def _truthful_words(self, *, kw_factor: float = 1.0) -> list[int]:
        site_w = self._site.power_w()
        electrical = self._electrical
        measured_kw = site_w / 1_000 * (1 + self._random.gauss(0, electrical.noise))
        self._hz += HZ_PULL * (MAINS_HZ - self._hz) + self._random.gauss(0, HZ_WANDER)
        volts = electrical.volts * (1 - SAG * site_w / electrical.rated_w + self._random.gauss(0, 0.0005))
        kvar = measured_kw * math.tan(math.acos(electrical.power_factor))
        return _to_words(
            struct.pack(">ffffq", measured_kw * kw_factor, kvar, volts, self._hz, round(self._site.energy_wh)),
        )


def _to_words(raw: bytes) -> list[int]:
    return list(struct.unpack(f">{len(raw) // 2}H", raw))
