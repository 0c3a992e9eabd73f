"""What the site could give up or take on within seconds and minutes, from the same model that moves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.allocate import Allocation
from farmctl.core.circuits import feeder_of, node_load_w
from farmctl.core.confirm import Seen, nominal_w, top_step
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.learning import travel_s
from farmctl.core.lessons import Lessons, Move
from farmctl.core.memory import Standing
from farmctl.core.meter_loop import SitePower
from farmctl.core.model import Budget
from farmctl.core.moves import throttle_step
from farmctl.core.phases import carried
from farmctl.core.units import MS_PER_S, FloatColumn

HORIZONS_S = (5.0, 30.0, 300.0, 1_800.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What can be had within one horizon."""

    within_s: float
    down_w: float
    """Less than now, W at the meter; needs no permission."""
    up_w: float
    """More than now, W at the meter, inside the effective limit, every rating, the ramp and the start packets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """The offer to the grid, shortest horizon first."""

    at_ms: int
    reaches: tuple[Reach, ...]
    confidence: float
    """Share of the commandable power that answers and follows, 0..1; the rest is not counted on."""


def capability(
    view: FleetView,
    seen: Seen,
    site: SitePower,
    allocation: Allocation,
    budget: Budget,
    now_ms: int,
    lessons: Lessons | None = None,
) -> Capability:
    """Only rows that answer, follow and are not on their way count; all but the view is of one decision.

    Times are those that each kind of miner has shown; confidence falls with every command that was never followed.
    """
    lessons = (lessons or Lessons.none()).aligned(view.groups)
    table = view.table
    ready = seen.movable & (seen.rows.standing == Standing.SETTLED) & (table.ladder != NO_LADDER)
    asked = table.commandable & (table.ladder != NO_LADDER)
    full_w = nominal_w(view, top_step(view))
    asked_w = float(full_w[asked].sum())
    reaches = tuple(
        Reach(
            within_s=within_s,
            down_w=site.gain * float(_down_w(view, seen, allocation, lessons, within_s)[ready].sum()),
            up_w=_up_w(
                view,
                seen,
                site,
                budget.ceiling_w,
                np.where(ready, _rise_w(view, seen, lessons, within_s, now_ms), 0.0),
                within_s,
            ),
        )
        for within_s in HORIZONS_S
    )
    sure = lessons.success()[table.group] if lessons.groups else np.ones(len(table))
    return Capability(at_ms=now_ms, reaches=reaches, confidence=float((full_w * sure)[ready].sum()) / max(asked_w, 1.0))


def _down_w(view: FleetView, seen: Seen, allocation: Allocation, lessons: Lessons, within_s: float) -> FloatColumn:
    """What each row can shed in time: asleep if its firmware is fast enough, else throttled."""
    ladder, now_w = view.table.ladder, seen.power_now_w
    asleep_w = nominal_w(view, np.zeros(len(ladder), dtype=np.int64))
    low_w = nominal_w(view, throttle_step(view))
    sleeps = (travel_s(lessons, view, Move.DOWN) <= within_s) & ~allocation.min_on
    throttles = travel_s(lessons, view, Move.TRIM) <= within_s
    reachable_w = np.where(sleeps, asleep_w, np.where(throttles, np.minimum(low_w, now_w), now_w))
    yielding = ~view.table.protected
    return np.where(yielding, np.maximum(now_w - reachable_w, 0.0), 0.0)


def _rise_w(view: FleetView, seen: Seen, lessons: Lessons, within_s: float, now_ms: int) -> FloatColumn:
    """What each row can add in time, before any limit."""
    rows = seen.rows
    rests_s = np.where(rows.off_since_ms >= 0, view.rules.min_off_s - (now_ms - rows.off_since_ms) / MS_PER_S, 0.0)
    asleep = rows.wanted == 0
    up_s, trim_s = travel_s(lessons, view, Move.UP), travel_s(lessons, view, Move.TRIM)
    needs_s = np.where(asleep, up_s + np.maximum(rests_s, 0.0), trim_s)
    gain_w = np.maximum(nominal_w(view, top_step(view)) - seen.power_now_w, 0.0)
    return np.where(needs_s <= within_s, gain_w, 0.0)


def _up_w(
    view: FleetView, seen: Seen, site: SitePower, ceiling_w: float, rise_w: FloatColumn, within_s: float
) -> float:
    """Capped by every circuit, the pace of the feeders, the ramp and the effective limit."""
    tree, node, rules = carried(view, seen.counted_w), view.table.node, view.rules
    headroom_w = np.maximum(tree.rating_w - node_load_w(tree, node, seen.counted_w), 0.0)
    asleep = seen.rows.wanted == 0
    feeder = feeder_of(tree)[node]
    packets_w = rules.wake_fraction_per_s * np.minimum(tree.rating_w, rules.rated_w) * within_s
    woken_w = np.bincount(feeder[asleep], weights=rise_w[asleep], minlength=len(tree.names))
    share = np.minimum(packets_w / np.maximum(woken_w, 1.0), 1.0)
    rise_w = np.where(asleep, rise_w * share[feeder], rise_w)
    load_w = np.bincount(node, weights=rise_w, minlength=len(tree.names)).astype(np.float64)
    for n in range(len(tree.names) - 1, -1, -1):
        load_w[n] = min(load_w[n], headroom_w[n])
        if n:
            load_w[tree.parent[n]] += load_w[n]
    at_meter_w = site.gain * float(load_w[0])
    room_w = max(ceiling_w - site.power_w, 0.0)
    return min(at_meter_w, room_w, rules.ramp_up_w_per_s * within_s)
