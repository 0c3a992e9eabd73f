"""How fast the site may rise: the up-ramp, the wait after a release, and the start packets of the feeders."""

from __future__ import annotations

import numpy as np

from farmctl.core.circuits import feeder_of
from farmctl.core.confirm import Seen
from farmctl.core.draft import planned_w, site_w
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.meter_loop import SitePower
from farmctl.core.model import Budget
from farmctl.core.reasons import Reason
from farmctl.core.shift import roll
from farmctl.core.units import MS_PER_S, NEVER_MS, FloatColumn

WAKE_PACKET_S = 5.0
"""Start packets are counted over this long (SIGNALS section 4, rule 7)."""
_GRID_LIMITS = (Reason.LIMITED, Reason.EMERGENCY, Reason.SIGNAL_STALE, Reason.BOOT_FAILSAFE, Reason.GRID_OUTAGE)


def is_governed(budget: Budget) -> bool:
    """The grid, or its loss, says where the load is; nobody else does."""
    return bool(budget.event_id) or budget.limit_reason in _GRID_LIMITS


def release_ms(memory: Memory, view: FleetView, budget: Budget, now_ms: int) -> int:
    """When the site may rise after the grid let go of it; rolled once per release (SIGNALS section 4, rule 8)."""
    if is_governed(budget):
        return NEVER_MS
    if not memory.pace.governed:
        return memory.pace.release_ms
    wait_s = abs(roll(view.seed, f"release:{memory.last_ms}")) * view.rules.release_jitter_s
    return now_ms + round(wait_s * MS_PER_S)


def ramp_w(memory: Memory, view: FleetView, budget: Budget, site: SitePower, seen: Seen, now_ms: int) -> float:
    """The up-ramp follows every fall at once and rises no faster than the rules of site and event permit.

    It never runs ahead of the plan by more than one start packet and one miner: what could not be raised
    (fail-safe, maintenance, resting miners) is not made up for in one leap.
    """
    if memory.pace.ramp_w is None:
        return min(site.power_w, budget.target_w)
    if now_ms < release_ms(memory, view, budget, now_ms):
        return min(memory.pace.ramp_w, budget.target_w)
    rate = view.rules.ramp_up_w_per_s
    for track in memory.tracks:
        if track.live and track.event.event_id == budget.event_id and track.event.ramp_up_w_per_s is not None:
            rate = min(rate, track.event.ramp_up_w_per_s)
    dt_s = max(now_ms - memory.last_ms, 0) / MS_PER_S
    ahead_w = rate * WAKE_PACKET_S + float(seen.full_w.max(initial=0.0))
    plan_w = max(site_w(site, planned_w(seen)), site.power_w)
    return min(budget.target_w, min(memory.pace.ramp_w, plan_w + ahead_w) + rate * min(dt_s, WAKE_PACKET_S))


def wake_credit_w(memory: Memory, view: FleetView, seen: Seen, now_ms: int) -> FloatColumn:
    """What each feeder may still wake: refilled with time, never more than one packet, never less than one miner."""
    tree, rules, table = view.circuits, view.rules, view.table
    dt_s = max(now_ms - memory.last_ms, 0) / MS_PER_S
    rating_w = np.minimum(tree.rating_w, rules.rated_w)
    rate = rules.wake_fraction_per_s * rating_w
    largest_w = np.zeros(len(tree.names))
    if len(table):
        np.maximum.at(largest_w, feeder_of(tree)[table.node], seen.full_w)
    packet_w = np.maximum(rate * WAKE_PACKET_S, largest_w)
    credit = memory.pace.wake_credit_w
    if len(credit) != len(packet_w):
        credit = packet_w
    return np.minimum(credit + rate * min(dt_s, WAKE_PACKET_S), packet_w)
