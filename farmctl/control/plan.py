"""What an order would do: the core's own `step` on the latest view, with nothing sent and nothing remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from farmctl.control.scope import SITE, Scope
from farmctl.control.strip import Site, rev_of
from farmctl.control.wire import Json, iso
from farmctl.core.circuits import binding, feeder_of, node_load_w
from farmctl.core.confirm import nominal_w, top_step
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.grid import SiteMode
from farmctl.core.memory import Pace, Standing
from farmctl.core.model import Override
from farmctl.core.reasons import HELP, Reason
from farmctl.core.step import Decision, step
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, FloatColumn, IntColumn, MaskColumn, to_kw
from farmctl.ports.control import SitePicture

UNPACED = 1e6
"""Wake fraction per second at which start packets do not show: a plan is where the site ends, its time is apart."""
EXAMPLES = 5
IMAGINED = "imagined"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Imagined:
    """A picture, and the decision that would follow if an operator ordered something."""

    view: FleetView
    decision: Decision
    picture: SitePicture
    scope: Scope = SITE
    """What the order is about."""

    @property
    def change_w(self) -> float:
        """Planned power less the present one, W; of its circuit or miners alone where it is about such."""
        if not self.scope.is_site:
            return self.scope_planned_w - self.scope_power_w
        return self.decision.allocation.planned_w - self.picture.decision.site.power_w

    @property
    def scope_power_w(self) -> float:
        """What the miners that it is about draw now, W."""
        return float(self.picture.decision.seen.power_now_w[self.scope.rows(self.picture.view)].sum())

    @property
    def scope_planned_w(self) -> float:
        """What they would draw, W."""
        return float(self.decision.allocation.plan_w[self.scope.rows(self.picture.view)].sum())

    @property
    def before(self) -> IntColumn:
        """Where every row is wanted now."""
        return self.decision.seen.rows.wanted.astype(np.int64)

    @property
    def after(self) -> IntColumn:
        """Where it would be wanted."""
        step_after = self.decision.allocation.step
        return np.where(step_after >= 0, step_after, self.before).astype(np.int64)


def held_at(picture: SitePicture, target_w: float, scope: Scope = SITE) -> FleetView:
    """The view in which an operator's override holds a scope, in the place of every other one of it."""
    at_ms = picture.decision.at_ms
    order = Override(
        override_id=IMAGINED,
        owner=IMAGINED,
        reason=IMAGINED,
        set_at_ms=at_ms,
        expires_ms=at_ms + MS_PER_S,
        target_w=target_w,
        selector=scope.circuit,
        miners=scope.miners,
    )
    rest = tuple(other for other in picture.view.overrides if Scope.of(other) != scope)
    return replace(picture.view, overrides=(*rest, order))


def stopped(picture: SitePicture, *, on: bool) -> FleetView:
    """The view in which the whole site is stopped, or permitted to run."""
    return replace(picture.view, stop_all=on)


def released(picture: SitePicture, override_id: str) -> FleetView:
    """The view without one of its overrides."""
    rest = tuple(order for order in picture.view.overrides if order.override_id != override_id)
    return replace(picture.view, overrides=rest)


def imagine(picture: SitePicture, view: FleetView, site: Site, scope: Scope = SITE) -> Imagined:
    """Where the site would end in such a view; ramps and start packets are left aside, limits and locks are not."""
    rules = replace(view.rules, wake_fraction_per_s=UNPACED)
    # As if observing: no command is made, which at 50,000 rows is most of the time of a step.
    view = replace(view, rules=rules, inbox=(), armed=False)
    unpaced = Pace(ramp_w=np.inf, wake_credit_w=np.full(len(view.circuits.names), np.inf))
    _, decision = step(replace(picture.memory, pace=unpaced), view, picture.decision.at_ms, site.policy)
    return Imagined(view=view, decision=decision, picture=picture, scope=scope)


def needs_name(imagined: Imagined, site: Site) -> bool:
    """The change is so large that whoever orders it must type the site's name (OPERATIONS section 2)."""
    lowering_in_emergency = imagined.change_w < 0 and imagined.decision.mode is SiteMode.EMERGENCY
    large = abs(imagined.change_w) > site.confirm_fraction * imagined.view.rules.rated_w
    return large and not lowering_in_emergency


def told(imagined: Imagined, site: Site, rows: int) -> Json:
    """The plan for people and machines, with up to `rows` of its miners."""
    decision, now = imagined.decision, imagined.picture.decision
    budget, allocation = decision.budget, decision.allocation
    before, after = imagined.before, imagined.after
    error_w = allocation.planned_w - budget.target_w
    return {
        "rev": rev_of(imagined.picture),
        "at": iso(now.at_ms),
        "zone": site.timezone,
        "sent": False,
        "power_kw": to_kw(now.site.power_w),
        "target_kw": to_kw(budget.target_w),
        "planned_kw": to_kw(allocation.planned_w),
        "change_kw": to_kw(imagined.change_w),
        "limit_kw": to_kw(budget.ceiling_w),
        "limit_reason": budget.limit_reason.value,
        "reason": budget.reason.value,
        "reason_help": HELP[budget.reason],
        "shortfall_kw": to_kw(max(budget.shortfall_w, 0.0)),
        "reached": abs(error_w) <= imagined.view.rules.tolerance_fraction * max(budget.target_w, 1.0),
        "off_target_kw": to_kw(error_w),
        "lowered": int((after < before).sum()),
        "raised": int((after > before).sum()),
        "put_to_sleep": int(((after == 0) & (before > 0)).sum()),
        "woken": int(((after > 0) & (before == 0)).sum()),
        "hash_rate_lost_ths": round(_hash_lost_hs(imagined) / HASHES_PER_TERAHASH, 3),
        "marginal_jth": _marginal_jth(allocation.marginal_hs_per_w),
        "binding": list(_binding(imagined)),
        "seconds": _seconds(imagined),
        "left_out": list(_left_out(imagined)),
        "miners": _miners(imagined, rows),
        "circuit": _circuit(imagined),
        "selection": _selection(imagined),
        "confirm": site.name if needs_name(imagined, site) else None,
    }


def _circuit(imagined: Imagined) -> Json | None:
    """Of an order about one circuit: what it draws now and would draw."""
    if not imagined.scope.circuit:
        return None
    now_w, planned_w = imagined.scope_power_w, imagined.scope_planned_w
    return {"name": imagined.scope.circuit, "power_kw": to_kw(now_w), "planned_kw": to_kw(planned_w)}


def _selection(imagined: Imagined) -> Json | None:
    """Of an order about some miners: how many they are, what they draw now and would draw."""
    if not imagined.scope.miners:
        return None
    now_w, planned_w = imagined.scope_power_w, imagined.scope_planned_w
    total = int(imagined.scope.rows(imagined.picture.view).sum())
    return {"total": total, "power_kw": to_kw(now_w), "planned_kw": to_kw(planned_w)}


def _marginal_jth(hs_per_w: float) -> float | None:
    """Price of the last watt moved, J/TH; None where nothing moved, or where a policy's worth is not hash rate."""
    return round(HASHES_PER_TERAHASH / hs_per_w, 2) if hs_per_w > 1.0 else None


def _binding(imagined: Imagined) -> tuple[str, ...]:
    """Circuits that are planned within one miner's full draw of their rating."""
    tree, allocation = imagined.view.circuits, imagined.decision.allocation
    load_w = node_load_w(tree, imagined.view.table.node, allocation.plan_w)
    return binding(tree, load_w, float(imagined.decision.seen.full_w.max(initial=0.0)))


def _hash_lost_hs(imagined: Imagined) -> float:
    table, book = imagined.view.table, imagined.view.ladders
    before, after = imagined.before, imagined.after
    known = (table.ladder != NO_LADDER) & (before >= 0) & (after >= 0)
    ladder = table.ladder[known]
    rate = book.hash_rate_hs
    return float(((rate[ladder, before[known]] - rate[ladder, after[known]]) * table.power_scale[known]).sum())


def _seconds(imagined: Imagined) -> float | None:
    """Time until the last miner is there: the slowest way down, or ramp and start packets up; None: never."""
    table, book = imagined.view.table, imagined.view.ladders
    rules, tree = imagined.picture.view.rules, imagined.view.circuits
    before, after = imagined.before, imagined.after
    moved = before != after
    if not moved.any():
        return 0.0
    ladder = table.ladder[moved]
    seconds = np.where(after[moved] == 0, book.down_s[ladder], book.trim_s[ladder])
    slowest_s = float(np.where(before[moved] == 0, book.up_s[ladder], seconds).max())
    if imagined.change_w <= 0:
        return round(slowest_s, 1)
    if rules.ramp_up_w_per_s <= 0:
        return None
    rise_w = nominal_w(imagined.view, after) - nominal_w(imagined.view, before)
    woken_w = np.where((before == 0) & (after > 0), rise_w, 0.0)
    per_feeder_w = np.bincount(feeder_of(tree)[table.node], weights=woken_w, minlength=len(tree.names))
    pace_w = np.maximum(rules.wake_fraction_per_s * np.minimum(tree.rating_w, rules.rated_w), 1e-9)
    return round(max(imagined.change_w / rules.ramp_up_w_per_s, float((per_feeder_w / pace_w).max())) + slowest_s, 1)


def _left_out(imagined: Imagined) -> Iterator[Json]:
    """Rows that the plan could have used but may not or cannot, by reason."""
    view, decision = imagined.view, imagined.decision
    now_w = decision.seen.power_now_w
    lowering = imagined.change_w <= 0
    top = top_step(view)
    still = imagined.before == imagined.after
    could = still & ((imagined.after != 0) if lowering else ((imagined.after < top) | (top < 0)))
    would_w = now_w if lowering else np.maximum(nominal_w(view, top) - now_w, 0.0)
    left = could.copy()
    for reason, mask, ends_ms in _obstacles(imagined, lowering=lowering):
        rows = np.flatnonzero(left & mask)
        left[rows] = False
        if len(rows):
            yield _excluded(view, reason, rows, would_w, None if ends_ms is None else int(ends_ms[rows].max()))


def _obstacles(imagined: Imagined, *, lowering: bool) -> Iterator[tuple[Reason, MaskColumn, IntColumn | None]]:
    """Reason, rows, and when it ends for each row."""
    view, decision = imagined.view, imagined.decision
    rows, allocation, rules = decision.seen.rows, decision.allocation, view.rules
    yield Reason.UNREACHABLE, ~decision.seen.fresh, None
    yield Reason.NO_LADDER, view.table.ladder == NO_LADDER, None
    yield Reason.OBSERVE_ONLY, ~view.table.commandable, None
    yield Reason.GAVE_UP, rows.standing == Standing.GAVE_UP, None
    if lowering:
        if not decision.budget.emergency:
            yield Reason.PROTECTED, view.table.protected, None
        yield Reason.MIN_ON, allocation.min_on, rows.on_since_ms + int(rules.min_on_s * MS_PER_S)
        return
    yield Reason.MAINTENANCE, (view.table.maintained | view.maintenance) & (imagined.after == 0), None
    yield Reason.MIN_OFF, allocation.min_off, rows.off_since_ms + int(rules.min_off_s * MS_PER_S)
    yield Reason.CIRCUIT_LIMIT, allocation.circuit_held, None


def _excluded(view: FleetView, reason: Reason, rows: IntColumn, would_w: FloatColumn, ends_ms: int | None) -> Json:
    return {
        "reason": reason.value,
        "help": HELP[reason],
        "miners": len(rows),
        "kw": to_kw(float(would_w[rows].sum())),
        "until": None if ends_ms is None else iso(ends_ms),
        "examples": view.table.miner_id[rows[:EXAMPLES]].tolist(),
    }


def _miners(imagined: Imagined, most: int) -> list[Json]:
    """The moves, largest first."""
    view, before, after = imagined.view, imagined.before, imagined.after
    before_w, after_w = nominal_w(view, before), nominal_w(view, after)
    rows = np.flatnonzero(before != after)
    order = rows[np.lexsort((view.table.miner_id[rows], -np.abs(after_w - before_w)[rows]))][:most]
    return [
        {
            "id": str(view.table.miner_id[row]),
            "from": _setting(view, int(row), int(before[row])),
            "to": _setting(view, int(row), int(after[row])),
            "from_w": round(float(before_w[row])),
            "to_w": round(float(after_w[row])),
        }
        for row in order
    ]


def _setting(view: FleetView, row: int, at: int) -> str | None:
    ladder = int(view.table.ladder[row])
    return None if ladder == NO_LADDER or at < 0 else view.ladders.ladders[ladder].points[at].setting
