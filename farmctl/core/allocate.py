"""A budget becomes one ladder step per row: shed what is too much, raise what there is room for, touch little else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from farmctl.core.caps import clip, is_held
from farmctl.core.confirm import Seen
from farmctl.core.draft import Ask, Draft, planned_w, present_w, site_w
from farmctl.core.fleet import FleetView
from farmctl.core.guards import Guarded, cool, guarded
from farmctl.core.ideal import Bounds
from farmctl.core.memory import Standing
from farmctl.core.meter_loop import SitePower
from farmctl.core.moves import RESTART_S, restarting
from farmctl.core.policies import Policy
from farmctl.core.raising import MayRise, Raised, raise_ahead
from farmctl.core.refine import refine
from farmctl.core.shedding import Shedder, relieve
from farmctl.core.units import DAY_MS, MS_PER_S, CodeColumn, FloatColumn, MaskColumn

LIMIT_MARGIN = 0.005
"""A site that runs at its limit aims this share below it, so that meter noise stays under N6's 1 %."""
DEAD_BAND = 0.0025
"""Plan errors below this share of the goal move nobody."""
DEAD_BAND_W = 50.0
UNHURRIED_S = RESTART_S
"""What is no more than a limit's margin too much is taken back by the finest steps, not by the fastest: while the air
got 7 % warmer in ten minutes, a fleet that throttles in 60 s stood 2-5 % below its number for sleeping whole miners."""
WAKING_SHARE = 0.5
"""A row on its way up that draws less than this share of what it should is put back to sleep before one that runs:
while the air got warmer, half a dozen machines that take ten minutes to wake were waited for at a time."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Allocation:
    """One step per row, and the figures that explain it."""

    step: CodeColumn
    """Wanted step per row; -1 where nothing can be planned."""
    plan_w: FloatColumn
    """What each row is planned to draw, W."""
    goal_w: float
    """What the site's meter is planned to show."""
    planned_w: float
    """What it will show when every row is where it is wanted."""
    worst_w: float
    """What it could show while commands are unconfirmed."""
    refined: int
    """Rows moved to a better operating point at the same total power."""
    looked: bool
    """A better point for some rows was looked for in this cycle."""
    room_left_w: float
    """How far the plan stays below its goal for want of rows that may be raised; 0 inside the dead band."""
    marginal_hs_per_w: float
    """Worth of the last watt taken or given; NaN when nothing moved."""
    woken_w: FloatColumn
    """Per node: power woken in this cycle."""
    min_on: MaskColumn
    min_off: MaskColumn
    circuit_held: MaskColumn
    """Rows that a circuit's rating holds down."""
    wake_held: MaskColumn
    """Rows that wait for their feeder's next start packet."""
    guards: Guarded
    """Rows that are too hot or faulty."""


def allocate(view: FleetView, seen: Seen, site: SitePower, ask: Ask, policy: Policy, now_ms: int) -> Allocation:
    """Plan a step for every movable row; rows that cannot be commanded count at what they draw."""
    rows, budget, movable = seen.rows, ask.budget, seen.movable
    policy = policy.at(view, rows)
    draft = Draft(view=view, step=rows.wanted.astype(np.int64), plan_w=planned_w(seen))
    if budget.emergency:  # a row that should run and draws nothing yet will draw all of it soon
        draft.plan_w[:] = np.maximum(draft.plan_w, seen.wanted_w)
    goal_w = min(budget.target_w, budget.ceiling_w * (1.0 - LIMIT_MARGIN))
    dead_w = max(DEAD_BAND * goal_w, DEAD_BAND_W)
    locks = _locks(view, seen, now_ms, emergency=budget.emergency)
    yielding = movable & (~view.table.protected | budget.emergency)
    may_sleep = yielding & ~locks.min_on & ~(locks.worn & budget.economic)
    shedder = Shedder(
        view=view,
        policy=policy,
        throttle=yielding,
        sleep=may_sleep,
        soon_s=ask.soon_s,
        trim_soon_s=ask.soon_s,
        waking=_waking(seen),
        wear=rows.cycles,
        restarts=restarting(view),
    )
    guards = guarded(view, seen)
    cool(draft, seen, guards)
    clip(draft, seen)
    held_by = relieve(draft, shedder)
    expected_w = site_w(site, draft.plan_w)
    if budget.emergency:  # a meter that shows less than the rows is no reason to leave one of them on
        expected_w = max(expected_w, float(draft.plan_w.sum()))
    excess_w = expected_w - goal_w
    marginal = float("nan")
    if excess_w > dead_w:
        if excess_w <= LIMIT_MARGIN * goal_w and not budget.emergency:
            shedder = replace(shedder, trim_soon_s=max(ask.soon_s, UNHURRIED_S))
        gain = min(site.gain, 1.0) if budget.emergency else site.gain
        marginal = shedder.shed(draft, excess_w / gain, must_w=(expected_w - budget.ceiling_w) / gain)
    raised, refined, looked = Raised.none(view), 0, False
    # A shed that is not confirmed yet makes no room: what could still be drawn counts against the ceiling.
    worst_w = site_w(site, np.maximum(seen.counted_w, draft.plan_w))
    room_w = min(min(goal_w, ask.ramp_w) - site_w(site, present_w(draft, seen)), budget.ceiling_w - worst_w)
    calm = abs(excess_w) <= dead_w and room_w <= dead_w
    if room_w > dead_w and ask.may_raise and view.may_raise:
        wakable = ~view.table.maintained & ask.may_wake
        well = movable & ~held_by & ~guards.held
        may = MayRise(lift=well, wake=well & ~locks.min_off & wakable)
        before = draft.step.copy()
        raised = raise_ahead(draft, seen, room_w / site.gain, ask, policy, may)
        marginal = raised.marginal
        # Room that no single step fits into, as where machines only stop and start, holds up no economy.
        calm = bool((draft.step == before).all()) and not (raised.circuit_held | raised.wake_held).any()
    if calm and ask.refine and excess_w <= dead_w and ask.may_raise and view.may_raise and not held_by.any():
        free = yielding & (rows.standing == Standing.SETTLED) & ~guards.held & ~is_held(view)
        bounds = Bounds(
            free=free,
            awake=locks.min_on | locks.worn,
            asleep=locks.min_off | view.table.maintained | (not (ask.may_wake and ask.outlook.clear)),
            fixed_w=draft.plan_w.copy(),
        )
        spare_w = (budget.ceiling_w - worst_w) / site.gain
        refined, looked = refine(draft, seen, bounds, policy, allowance=ask.refine, spare_w=spare_w), True
    step, plan_w = draft.step, draft.plan_w
    return Allocation(
        step=np.where(movable | (rows.wanted >= 0), step, -1).astype(np.int16),
        plan_w=plan_w,
        goal_w=goal_w,
        planned_w=site_w(site, plan_w),
        worst_w=site_w(site, np.maximum(seen.counted_w, plan_w)),
        refined=refined,
        looked=looked,
        room_left_w=_beyond(goal_w - site_w(site, plan_w), dead_w),
        marginal_hs_per_w=marginal,
        woken_w=raised.woken_w,
        min_on=locks.min_on & movable,
        min_off=locks.min_off & movable,
        circuit_held=held_by | raised.circuit_held,
        wake_held=raised.wake_held,
        guards=guards,
    )


def _waking(seen: Seen) -> MaskColumn:
    rows = seen.rows
    waking: MaskColumn = (rows.standing == Standing.PENDING) & (seen.power_now_w < WAKING_SHARE * seen.wanted_w)
    return waking


def _beyond(value: float, band: float) -> float:
    return value if value > band else 0.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Locks:
    min_on: MaskColumn
    min_off: MaskColumn
    worn: MaskColumn
    """Rows that have used up their economic cycles of the day."""


def _locks(view: FleetView, seen: Seen, now_ms: int, *, emergency: bool) -> _Locks:
    rows, rules = seen.rows, view.rules
    young = (rows.on_since_ms >= 0) & (now_ms - rows.on_since_ms < rules.min_on_s * MS_PER_S)
    resting = (rows.off_since_ms >= 0) & (now_ms - rows.off_since_ms < rules.min_off_s * MS_PER_S)
    today = rows.cycle_day == now_ms // DAY_MS
    worn = today & (rows.cycles >= rules.max_cycles_per_day)
    return _Locks(min_on=young & (not emergency), min_off=resting, worn=worn & (not emergency))
