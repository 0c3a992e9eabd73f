"""[[circuit]] and [[meter]]: the limit tree and what measures it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from farmctl.config.schema.kinds import Label, Number, Port, Positive, Switch, Table, Text

Quantity = Literal["kw", "kvar", "volts", "hz", "kwhImport"]
UNITS: dict[Quantity, tuple[str, ...]] = {
    "kw": ("kW", "W", "MW"),
    "kvar": ("kvar", "var", "Mvar"),
    "volts": ("V", "kV"),
    "hz": ("Hz", "mHz"),
    "kwhImport": ("kWh", "Wh", "MWh"),
}
"""Units that each quantity may come in; the first is taken where the file names none."""
Address = Annotated[int, Field(strict=True, ge=0, le=65535)]
UnitId = Annotated[int, Field(strict=True, ge=0, le=255)]


class CircuitTable(Table):
    """One node of the limit tree: site, feeder, transformer, container or PDU."""

    name: Label
    """Name that the inventory refers to."""
    parent: Label | None = None
    """Name of the circuit that feeds this one; left out for exactly one, the root."""
    rating_kw: Positive | None = None
    """Most that may ever be planned here; left out: only the circuits above limit it."""
    meter: Label | None = None
    """Name of the meter on this circuit; a silent meter counts as full load."""
    phase: Literal["L1", "L2", "L3"] | None = None
    """Phase of its parent that this circuit is on; left out: all of them."""
    max_imbalance_kw: Positive | None = None
    """How much more than the lightest the heaviest phase below may carry; left out: any amount."""


class RegisterTable(Table):
    """One quantity on a Modbus meter, as the vendor's register map states it."""

    name: Quantity
    """What it measures; a meter needs kw."""
    address: Address
    """Register address, counted from 0."""
    type: Literal["i16", "u16", "i32", "u32", "f32", "i64"]
    """How the words are read: integer or float, bits."""
    fc: Literal[3, 4] = 3
    """Modbus function: 3 reads holding registers, 4 reads input registers."""
    unit_id: UnitId | None = None
    """Unit that holds it; left out: the meter's."""
    word_order: Literal["high", "low"] = "high"
    """Which word comes first in values of more than 16 bits."""
    scale: Number = 1.0
    """Multiply the raw number by this to get `unit`."""
    unit: Text | None = None
    """Unit after scaling, such as W, kvar, V, Hz or Wh; left out: kW, kvar, V, Hz or kWh."""
    sign: Literal[1, -1] = 1
    """-1 where the meter counts import as negative."""
    min: Number | None = None
    """Below this the value is BAD, in `unit`."""
    max: Number | None = None
    """Above this the value is BAD, in `unit`."""

    @property
    def unit_in_force(self) -> str:
        """The unit with its default applied."""
        return self.unit or UNITS[self.name][0]


class MeterTable(Table):
    """One meter."""

    name: Label
    """Name that circuits refer to."""
    kind: Literal["modbus"]
    """How it is read; modbus is Modbus TCP."""
    host: Text
    """Address or name of the meter or its gateway."""
    port: Port = 502
    """TCP port."""
    unit_id: UnitId = 1
    """Modbus unit."""
    period_s: Annotated[float, Field(strict=True, ge=0.5, le=5)] = 1.0
    """Seconds between two readings."""
    timeout_s: Annotated[float, Field(strict=True, gt=0, le=5)] = 0.5
    """Longest wait for an answer."""
    stale_s: Annotated[float, Field(strict=True, ge=3, le=60)] = 10.0
    """Silence after which the value no longer counts and limits get the guard of [control]."""
    site: Switch = False
    """True for the revenue meter of the whole site; one meter at most."""
    registers: tuple[RegisterTable, ...] = Field(min_length=1)
    """Its register map."""
