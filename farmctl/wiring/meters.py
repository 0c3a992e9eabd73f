"""From [[meter]] tables to meters that can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from farmctl.config.schema import FarmConfig, MeterTable
from farmctl.config.schema.circuits import RegisterTable
from farmctl.core.fleet import CircuitTree
from farmctl.core.units import WATTS_PER_KW
from farmctl.engine.metering import CircuitMeter, CircuitMeters, SiteMeter
from farmctl.meters.modbus import MeterConfig, ModbusMeter
from farmctl.meters.registers import SI_FACTOR, Quantity, ReadFunction, Register, RegisterType, WordOrder
from farmctl.ports.site import Clock
from farmctl.wiring.fleet import Fleet

OVER_RATING = 1.5
"""A reading above this multiple of the rating is not believed where the register states no maximum."""
CIRCUIT_FLOOR = 1.0
"""A mismatch on a circuit is measured against its whole rating: fans and pumps of a container that sleeps run on, and
under a meter that is not believed nothing may rise, so what they draw would keep its miners asleep for good."""
_WIDEST = 1e12


def site_meter(config: FarmConfig, clock: Clock, fleet_w: Callable[[], float]) -> tuple[ModbusMeter, float] | None:
    """The revenue meter and its period, s; None where the site has none."""
    table = next((meter for meter in config.meter if meter.site), None)
    if table is None:
        return None
    meter = ModbusMeter(meter_config(table, config.site.rated_kw * WATTS_PER_KW), clock, fleet_w)
    return meter, table.period_s


def circuit_meters(config: FarmConfig, clock: Clock, tree: CircuitTree, fleet: Fleet) -> CircuitMeters:
    """The meters of all circuits but the revenue meter, which the site's own loop reads."""
    tables = {meter.name: meter for meter in config.meter if not meter.site}
    node = {name: number for number, name in enumerate(tree.names)}
    found = [
        (node[circuit.name], circuit, tables[circuit.meter]) for circuit in config.circuit if circuit.meter in tables
    ]
    meters = []
    for number, circuit, table in found:
        rated_w = (circuit.rating_kw or config.site.rated_kw) * WATTS_PER_KW
        under_w = _under_w(fleet, tree, number)
        line = ModbusMeter(replace(meter_config(table, rated_w), off_floor_fraction=CIRCUIT_FLOOR), clock, under_w)
        meter = SiteMeter(line, clock, table.period_s, asyncio.Event())
        meters.append(CircuitMeter(node=number, meter=meter, stale_s=table.stale_s))
    return CircuitMeters(meters, len(tree.names))


def _under_w(fleet: Fleet, tree: CircuitTree, number: int) -> Callable[[], float]:
    """What the miners under a circuit say, W; NaN before any has spoken."""
    above = np.arange(len(tree.names)) == number
    for child in range(len(tree.names)):
        above[child] |= bool(tree.parent[child] >= 0 and above[tree.parent[child]])

    def say() -> float:
        power_w = fleet.keeper.table.power_w[above[fleet.keeper.table.node]]
        return float(np.nansum(power_w)) if np.isfinite(power_w).any() else float("nan")

    return say


def meter_config(table: MeterTable, rated_w: float) -> MeterConfig:
    """One table in the words of the meter."""
    return MeterConfig(
        name=table.name,
        host=table.host,
        port=table.port,
        registers=tuple(
            Register(
                name=Quantity(register.name),
                unit_id=table.unit_id if register.unit_id is None else register.unit_id,
                function=ReadFunction(register.fc),
                address=register.address,
                type=RegisterType(register.type),
                word_order=WordOrder(register.word_order),
                scale=register.scale,
                unit=register.unit_in_force,
                sign=register.sign,
                min=_least(register.name) if register.min is None else register.min,
                max=_most(register, rated_w) if register.max is None else register.max,
            )
            for register in table.registers
        ),
        rated_w=rated_w,
        timeout_s=table.timeout_s,
    )


def _least(name: str) -> float:
    return 0.0 if name == "kw" else -_WIDEST


def _most(register: RegisterTable, rated_w: float) -> float:
    return OVER_RATING * rated_w / SI_FACTOR[register.unit_in_force] if register.name == "kw" else _WIDEST
