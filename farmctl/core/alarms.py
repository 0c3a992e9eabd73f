"""Which alarm conditions hold now; delays, acknowledgement and shelving are the alarm desk's affair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.fleet import FleetView
from farmctl.core.grid import SiteMode
from farmctl.core.memory import Memory, Standing
from farmctl.core.meter_loop import SitePower
from farmctl.core.modes import LinkFacts
from farmctl.core.progress import LIMIT_TOLERANCE
from farmctl.core.units import MS_PER_S, IntColumn

SIGNAL_QUIET_S = 30.0
ABOVE_S = 30.0
SHED_SHORT_FRACTION = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that wants a person's response."""

    alarm: str
    priority: int
    where: str
    detail: str


def conditions(
    view: FleetView, memory: Memory, site: SitePower, facts: LinkFacts, ceiling_w: float
) -> tuple[Condition, ...]:
    """All conditions that hold, worst first; a sleeping fleet that was told to sleep is none."""
    found: list[Condition] = []

    def add(alarm: str, priority: int, detail: str, where: str = "site") -> None:
        found.append(Condition(alarm=alarm, priority=priority, where=where, detail=detail))

    age_ms = facts.age_ms
    if facts.expected and (facts.lost or (age_ms is not None and age_ms > SIGNAL_QUIET_S * MS_PER_S)):
        add("signal_stale", 1, "never heard" if age_ms is None else f"silent for {age_ms // MS_PER_S} s")
    if memory.mode is SiteMode.EMERGENCY:
        add("emergency_latched", 1, "the site stays down until an explicit release")
    if not site.metered and memory.last_ms - memory.booted_ms > view.rules.meter_stale_s * MS_PER_S:
        add("meter_lost_armed", 1, "open loop with a guard band")
    if _above(memory, ceiling_w * (1.0 + LIMIT_TOLERANCE)):
        add("power_above_limit", 1, f"{site.mean_10s_w / 1e3:.0f} kW over a limit of {ceiling_w / 1e3:.0f} kW")
    if not view.may_raise:
        add("store_failed", 1, "the journal cannot be written: raising is forbidden")
    gave_up = int((memory.rows.standing == Standing.GAVE_UP).sum())
    if gave_up > SHED_SHORT_FRACTION * max(len(view.table), 1):
        add("command_failures", 2, f"{gave_up} miners did not follow after every retry")
    silent = (view.table.tried_ms >= 0) & (now_ages(view, memory.last_ms) > view.rules.seen_stale_s * MS_PER_S)
    if silent.sum() > 0.1 * max(len(view.table), 1):
        add("poll_failures", 2, f"{int(silent.sum())} of {len(view.table)} miners do not answer")
    return tuple(found)


def now_ages(view: FleetView, now_ms: int) -> IntColumn:
    """Age of every row's last good poll, ms; very old where it was never seen."""
    return np.where(view.table.seen_ms < 0, np.iinfo(np.int64).max, now_ms - view.table.seen_ms)


def _above(memory: Memory, bound_w: float) -> bool:
    """Every sample of the last half minute is above the bound: longer than any response window asks for."""
    recent = [w for at_ms, w in memory.loop.samples if memory.last_ms - at_ms < ABOVE_S * MS_PER_S]
    covered = recent and memory.last_ms - memory.loop.samples[0][0] >= ABOVE_S * MS_PER_S
    return bool(covered) and min(recent) > bound_w
