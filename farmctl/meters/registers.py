"""Modbus registers as configuration: what a meter holds where, and words turned into numbers."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from farmctl.errors import ConfigError

BLOCK_WORDS = 125
"""Most registers that one read may ask for (Modbus application protocol 1.1b3, function 3 and 4)."""
NO_VALUE_WORDS = (0x8000, 0xFFFF)
"""A register full of these holds no value (SIGNALS section 10; SunSpec's int16 and uint16)."""
SI_FACTOR = {
    "W": 1.0,
    "kW": 1e3,
    "MW": 1e6,
    "var": 1.0,
    "kvar": 1e3,
    "Mvar": 1e6,
    "V": 1.0,
    "kV": 1e3,
    "Hz": 1.0,
    "mHz": 1e-3,
    "Wh": 3.6e3,
    "kWh": 3.6e6,
    "MWh": 3.6e9,
}
"""What one of a register's unit is in SI: W, var, V, Hz, J."""


class Quantity(StrEnum):
    """What a register measures, by its name in the configuration."""

    KW = "kw"
    KVAR = "kvar"
    VOLTS = "volts"
    HZ = "hz"
    KWH_IMPORT = "kwhImport"


UNITS_OF = {
    Quantity.KW: ("W", "kW", "MW"),
    Quantity.KVAR: ("var", "kvar", "Mvar"),
    Quantity.VOLTS: ("V", "kV"),
    Quantity.HZ: ("Hz", "mHz"),
    Quantity.KWH_IMPORT: ("Wh", "kWh", "MWh"),
}


class RegisterType(StrEnum):
    """How a number is laid into 16-bit words."""

    I16 = "i16"
    U16 = "u16"
    I32 = "i32"
    U32 = "u32"
    F32 = "f32"
    I64 = "i64"


LAYOUT = {
    RegisterType.I16: ">h",
    RegisterType.U16: ">H",
    RegisterType.I32: ">i",
    RegisterType.U32: ">I",
    RegisterType.F32: ">f",
    RegisterType.I64: ">q",
}


class WordOrder(StrEnum):
    """Which word of a number comes first; bytes within a word are always high first."""

    HIGH_FIRST = "high"
    LOW_FIRST = "low"


class ReadFunction(IntEnum):
    """Modbus function code of a read."""

    HOLDING = 3
    INPUT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One quantity of one unit behind a Modbus address; consumption must come out positive."""

    name: Quantity
    unit_id: int
    function: ReadFunction
    address: int
    """As in the request: starts at 0, without the 30001/40001 of data sheets."""
    type: RegisterType
    word_order: WordOrder = WordOrder.HIGH_FIRST
    scale: float = 1.0
    """Multiplies the raw number to give `unit`."""
    unit: str
    sign: int = 1
    """-1 for a meter that counts consumption negative."""
    min: float
    """Lowest believable value, in `unit`, after scale and sign."""
    max: float

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot be read."""
        if self.unit not in UNITS_OF[self.name]:
            raise ConfigError(f"register {self.name}: unit {self.unit!r}, expected one of {UNITS_OF[self.name]}")
        if self.sign not in (1, -1):
            raise ConfigError(f"register {self.name}: sign {self.sign}, expected 1 or -1")
        if not self.min < self.max:
            raise ConfigError(f"register {self.name}: min {self.min} and max {self.max}, expected min < max")
        if not math.isfinite(self.scale) or self.scale == 0:
            raise ConfigError(f"register {self.name}: scale {self.scale}, expected a number that is not 0")

    @property
    def words(self) -> int:
        """Number of 16-bit words."""
        return struct.calcsize(LAYOUT[self.type]) // 2

    @property
    def min_si(self) -> float:
        """`min` in W, var, V, Hz or J."""
        return self.min * SI_FACTOR[self.unit]

    @property
    def max_si(self) -> float:
        """`max` in W, var, V, Hz or J."""
        return self.max * SI_FACTOR[self.unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Registers of one unit and function that lie side by side: one request reads them all."""

    unit_id: int
    function: ReadFunction
    address: int
    count: int
    registers: tuple[Register, ...]


def blocks_of(registers: tuple[Register, ...]) -> tuple[Block, ...]:
    """Fewest requests that read every register and nothing between them; the one with `kw` comes first.

    A gap is never bridged: many meters refuse a request that touches an address they do not have.
    Raises ConfigError unless there is exactly one register for kw and none twice.
    """
    names = [register.name for register in registers]
    if names.count(Quantity.KW) != 1 or len(set(names)) != len(names):
        raise ConfigError(f"meter registers {[str(name) for name in names]}: expected each once, and kw among them")
    runs: list[list[Register]] = []
    for register in sorted(registers, key=lambda r: (r.unit_id, r.function, r.address)):
        if runs and _adjoins(runs[-1], register):
            runs[-1].append(register)
        else:
            runs.append([register])
    blocks = [_block(run) for run in runs]
    return tuple(sorted(blocks, key=lambda block: all(r.name is not Quantity.KW for r in block.registers)))


def decode(register: Register, words: Sequence[int]) -> float:
    """The register's value in SI (W, var, V, Hz, J); NaN where it says that it has none.

    Raises ValueError when there are not as many words as the type has.
    """
    if len(words) != register.words:
        raise ValueError(f"register {register.name}: {len(words)} words, expected {register.words}")
    if _is_sentinel(register, words):
        return math.nan
    ordered = words if register.word_order is WordOrder.HIGH_FIRST else words[::-1]
    (raw,) = struct.unpack(LAYOUT[register.type], struct.pack(f">{len(ordered)}H", *ordered))
    value = float(raw) * register.scale * register.sign * SI_FACTOR[register.unit]
    return value if math.isfinite(value) else math.nan


def _is_sentinel(register: Register, words: Sequence[int]) -> bool:
    """Every word 0x8000 or every word 0xFFFF, or the lowest number of a signed type."""
    if any(all(word == sentinel for word in words) for sentinel in NO_VALUE_WORDS):
        return True
    high, *rest = words if register.word_order is WordOrder.HIGH_FIRST else words[::-1]
    return register.type in (RegisterType.I32, RegisterType.I64) and high == NO_VALUE_WORDS[0] and not any(rest)


def _adjoins(run: list[Register], register: Register) -> bool:
    first, last = run[0], run[-1]
    same = (first.unit_id, first.function) == (register.unit_id, register.function)
    touching = last.address + last.words == register.address
    return same and touching and register.address + register.words - first.address <= BLOCK_WORDS


def _block(run: list[Register]) -> Block:
    first, last = run[0], run[-1]
    return Block(
        unit_id=first.unit_id,
        function=first.function,
        address=first.address,
        count=last.address + last.words - first.address,
        registers=tuple(run),
    )
