"""Strike prices: which model groups are worth their power, with hysteresis over five-minute windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from farmctl.signals.price.config import StrikeRule

WINDOW_MS = 300_000
HOURS_PER_DAY = 24.0
W_PER_KW = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGroup:
    """Miners that cost the same per hash."""

    name: str
    j_per_th: float
    """Efficiency; one TH/s draws this many watts."""
    power_w: float
    """What the whole group draws when it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether one group may run, and how close it is to a change."""

    curtailed: bool = False
    above: int = 0
    """Windows above the strike in a row."""
    below: int = 0


Gates = Mapping[str, Gate]


def strike_price(group: ModelGroup, rule: StrikeRule) -> float:
    """Price of a kWh at which the group earns nothing, times the margin."""
    kwh_per_ths_day = group.j_per_th * HOURS_PER_DAY / W_PER_KW
    return rule.margin * rule.hash_price / kwh_per_ths_day


def tripped(gates: Gates, groups: Iterable[ModelGroup], price: float, rule: StrikeRule) -> dict[str, Gate]:
    """Gates at any moment: above the second strike a group is curtailed at once."""
    found = dict(gates)
    for group in groups:
        gate = found.get(group.name, Gate())
        if price > strike_price(group, rule) * rule.trip and not gate.curtailed:
            gate = Gate(curtailed=True, above=gate.above)
        found[group.name] = gate
    return found


def after_window(gates: Gates, groups: Iterable[ModelGroup], mean_price: float, rule: StrikeRule) -> dict[str, Gate]:
    """Gates after one whole window: so many above to curtail, so many below to run again."""
    found = dict(gates)
    for group in groups:
        gate = found.get(group.name, Gate())
        if mean_price > strike_price(group, rule):
            gate = replace(gate, above=gate.above + 1, below=0)
        else:
            gate = replace(gate, above=0, below=gate.below + 1)
        if not gate.curtailed and gate.above >= rule.windows_above:
            gate = replace(gate, curtailed=True)
        elif gate.curtailed and gate.below >= rule.windows_below:
            gate = replace(gate, curtailed=False)
        found[group.name] = gate
    return found


def wanted_w(gates: Gates, groups: Iterable[ModelGroup], rule: StrikeRule) -> float | None:
    """Power of the groups that may run and of the rest of the site; None where every group may: nothing to say."""
    groups = tuple(groups)
    if not any(gates.get(group.name, Gate()).curtailed for group in groups):
        return None
    return rule.other_load_w + sum(g.power_w for g in groups if not gates.get(g.name, Gate()).curtailed)
