"""A budget becomes one ladder step per row: shed what is too much, raise what there is room for, touch little else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.circuits import ancestors_at, depths, feeder_of, fitting, node_load_w
from farmctl.core.confirm import Seen, nominal_w, top_step
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Standing
from farmctl.core.meter_loop import SitePower
from farmctl.core.model import Budget
from farmctl.core.moves import Moves, best_step_within, downward, upward, wakes_late
from farmctl.core.policies import Policy
from farmctl.core.units import MS_PER_S, CodeColumn, FloatColumn, IntColumn, MaskColumn

LIMIT_MARGIN = 0.005
"""A site that runs at its limit aims this share below it, so that meter noise stays under N6's 1 %."""
DEAD_BAND = 0.0025
"""Plan errors below this share of the goal move nobody."""
DEAD_BAND_W = 50.0
SOON_UP_S = 120.0
"""While the grid waits, rows that need longer than this to wake are asked last."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ask:
    """What the allocator is asked for in this cycle."""

    budget: Budget
    ramp_w: float
    """Where the up-ramp permits the site to be now."""
    may_raise: bool
    may_wake: bool
    wake_credit_w: FloatColumn
    """Per node; only feeders' entries count."""
    soon_s: float
    """Rows that can be down within this time are asked first."""


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


def allocate(view: FleetView, seen: Seen, site: SitePower, ask: Ask, policy: Policy, now_ms: int) -> Allocation:
    """Plan a step for every movable row; rows that cannot be commanded count at what they draw."""
    rows, budget, movable = seen.rows, ask.budget, seen.movable
    draft = Draft(view=view, step=rows.wanted.astype(np.int64), plan_w=planned_w(view, seen))
    goal_w = min(budget.target_w, budget.ceiling_w * (1.0 - LIMIT_MARGIN))
    dead_w = max(DEAD_BAND * goal_w, DEAD_BAND_W)
    locks = _locks(view, seen, now_ms, emergency=budget.emergency)
    yielding = movable & (~view.table.protected | budget.emergency)
    shedder = _Shedder(view=view, policy=policy, throttle=yielding, sleep=yielding & ~locks.min_on, soon_s=ask.soon_s)
    held_by = _overloaded(draft, shedder)
    expected_w = site_w(site, draft.plan_w)
    if budget.emergency:  # a meter that shows less than the rows is no reason to leave one of them on
        expected_w = max(expected_w, float(draft.plan_w.sum()))
    excess_w = expected_w - goal_w
    marginal = float("nan")
    if excess_w > dead_w:
        marginal = shedder.shed(draft, excess_w / site.gain)
    raised = _Raised.none(view)
    # A shed that is not confirmed yet makes no room: what could still be drawn counts against the ceiling.
    worst_w = site_w(site, np.maximum(seen.counted_w, draft.plan_w))
    room_w = min(min(goal_w, ask.ramp_w) - site_w(site, draft.plan_w), budget.ceiling_w - worst_w)
    if room_w > dead_w and ask.may_raise and view.may_raise:
        may = _MayRise(lift=movable & ~held_by, wake=movable & ~locks.min_off & ~held_by & ask.may_wake)
        raised = _raise(draft, seen, room_w / site.gain, ask, policy, may)
        marginal = raised.marginal
    step, plan_w = draft.step, draft.plan_w
    return Allocation(
        step=np.where(movable | (rows.wanted >= 0), step, -1).astype(np.int16),
        plan_w=plan_w,
        goal_w=goal_w,
        planned_w=site_w(site, plan_w),
        worst_w=site_w(site, np.maximum(seen.counted_w, plan_w)),
        room_left_w=_beyond(goal_w - site_w(site, plan_w), dead_w),
        marginal_hs_per_w=marginal,
        woken_w=raised.woken_w,
        min_on=locks.min_on & movable,
        min_off=locks.min_off & movable,
        circuit_held=held_by | raised.circuit_held,
        wake_held=raised.wake_held,
    )


def _beyond(value: float, band: float) -> float:
    return value if value > band else 0.0


def site_w(site: SitePower, rows_w: FloatColumn) -> float:
    """What the meter will show when the rows draw this."""
    return site.gain * float(rows_w.sum()) + site.unexplained_w


def planned_w(view: FleetView, seen: Seen) -> FloatColumn:
    """What each row will draw: measured where it is settled and seen, nominal where it is on its way."""
    rows = seen.rows
    on_its_way = (rows.standing == Standing.PENDING) & seen.movable
    return np.where(on_its_way, nominal_w(view, rows.wanted), seen.power_now_w)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Draft:
    """The plan while it is being made; its two columns are written in place, and by nobody else."""

    view: FleetView
    step: IntColumn
    plan_w: FloatColumn

    def take(self, moves: Moves) -> None:
        """Make the moves; of a row that is in twice, throttle then sleep, the later entry stands."""
        self.step[moves.row] = moves.end
        changed = np.unique(moves.row)
        self.plan_w[changed] = nominal_w(self.view, self.step)[changed]

    def put(self, row: int, step: int) -> None:
        """Set one row."""
        self.step[row] = step
        self.plan_w[row] = nominal_w(self.view, self.step)[row]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Locks:
    min_on: MaskColumn
    min_off: MaskColumn


def _locks(view: FleetView, seen: Seen, now_ms: int, *, emergency: bool) -> _Locks:
    rows, rules = seen.rows, view.rules
    young = (rows.on_since_ms >= 0) & (now_ms - rows.on_since_ms < rules.min_on_s * MS_PER_S)
    resting = (rows.off_since_ms >= 0) & (now_ms - rows.off_since_ms < rules.min_off_s * MS_PER_S)
    return _Locks(min_on=young & (not emergency), min_off=resting)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Shedder:
    view: FleetView
    policy: Policy
    throttle: MaskColumn
    sleep: MaskColumn
    soon_s: float

    def shed(self, draft: Draft, need_w: float, among: MaskColumn | None = None) -> float:
        """Lower rows in place until `need_w` is given up; the marginal worth per watt."""
        throttle = self.throttle if among is None else self.throttle & among
        sleep = self.sleep if among is None else self.sleep & among
        moves = downward(self.view, draft.step, self.policy, may_throttle=throttle, may_sleep=sleep, soon_s=self.soon_s)
        if not len(moves):
            return float("nan")
        given = np.cumsum(moves.power_w)
        count = min(int(np.searchsorted(given, need_w)) + 1, len(moves))
        taken = moves.only(np.arange(len(moves)) < count)
        draft.take(taken)
        self._trim_last(draft, taken, float(given[count - 1]) - need_w)
        return float(taken.worth_per_w[-1])

    def _trim_last(self, draft: Draft, taken: Moves, surplus_w: float) -> None:
        """The last row gives up no more than it must."""
        row, start = int(taken.row[-1]), int(taken.start[-1])
        if surplus_w <= 0 or taken.end[-1] == 0:
            return
        fits = best_step_within(self.view, row, float(draft.plan_w[row]) + surplus_w, start)
        if fits > draft.step[row]:
            draft.put(row, fits)


def _overloaded(draft: Draft, shedder: _Shedder) -> MaskColumn:
    """Shed under every node whose plan is above its rating, leaves first; which rows sit under such a node."""
    tree, node_of_row = draft.view.circuits, draft.view.table.node
    held = np.zeros(len(draft.step), dtype=np.bool_)
    if not len(held):
        return held
    load_w = node_load_w(tree, node_of_row, draft.plan_w)
    if not np.any(load_w > tree.rating_w):
        return held
    depth_of = depths(tree)
    for node in sorted(range(len(tree.names)), key=lambda n: -depth_of[n]):
        load_w = node_load_w(tree, node_of_row, draft.plan_w)
        excess_w = float(load_w[node] - tree.rating_w[node])
        if excess_w > 0:
            under = ancestors_at(tree, int(depth_of[node]))[node_of_row] == node
            shedder.shed(draft, excess_w, among=under)
            held |= under
    return held


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _MayRise:
    lift: MaskColumn
    wake: MaskColumn


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Raised:
    marginal: float
    woken_w: FloatColumn
    circuit_held: MaskColumn
    wake_held: MaskColumn

    @classmethod
    def none(cls, view: FleetView) -> _Raised:
        rows, nodes = len(view.table), len(view.circuits.names)
        nobody = np.zeros(rows, dtype=np.bool_)
        return cls(marginal=float("nan"), woken_w=np.zeros(nodes), circuit_held=nobody, wake_held=nobody.copy())


def _raise(draft: Draft, seen: Seen, room_w: float, ask: Ask, policy: Policy, may: _MayRise) -> _Raised:
    """Raise rows in place into `room_w`, inside every rating with unconfirmed rows at their worst."""
    view = draft.view
    tree, node = view.circuits, view.table.node
    result = _Raised.none(view)
    late = wakes_late(view, SOON_UP_S if np.isfinite(ask.soon_s) else np.inf)
    moves = upward(view, draft.step, policy, may_raise=may.lift, may_wake=may.wake, late=late)
    if not len(moves):
        return result
    worst_w = np.maximum(seen.counted_w, draft.plan_w)
    headroom_w = tree.rating_w - node_load_w(tree, node, worst_w)
    waking = moves.start == 0
    on_time = _within_credit(view, moves, waking, ask.wake_credit_w)
    result.wake_held[moves.row[waking & ~on_time]] = True
    moves = moves.only(on_time)
    inside = fitting(tree, node[moves.row], moves.power_w, headroom_w)
    result.circuit_held[moves.row[~inside]] = True
    moves = moves.only(inside)
    if not len(moves):
        return result
    running = np.cumsum(moves.power_w)
    count = int(np.searchsorted(running, room_w, side="right"))
    taken = moves.only(np.arange(len(moves)) < count)
    draft.take(taken)
    woken = taken.only(taken.start == 0)
    woken_w = np.bincount(feeder_of(tree)[node[woken.row]], weights=woken.power_w, minlength=len(tree.names)).astype(
        np.float64
    )
    if count < len(moves):
        left_w = room_w - (float(running[count - 1]) if count else 0.0)
        _fill_last(draft, int(moves.row[count]), left_w)
    last = min(count, len(moves) - 1)
    return _Raised(
        marginal=float(moves.worth_per_w[last]),
        woken_w=woken_w,
        circuit_held=result.circuit_held,
        wake_held=result.wake_held,
    )


def _within_credit(view: FleetView, moves: Moves, waking: MaskColumn, credit_w: FloatColumn) -> MaskColumn:
    """Wakes, in order, until each feeder's start packet is used up."""
    keep = np.ones(len(moves), dtype=np.bool_)
    index = np.flatnonzero(waking)
    if not len(index):
        return keep
    feeder = feeder_of(view.circuits)[view.table.node[moves.row[index]]]
    order = np.argsort(feeder, kind="stable")
    running = np.cumsum(moves.power_w[index][order])
    starts = np.flatnonzero(np.diff(feeder[order], prepend=-1))
    base = np.repeat(running[starts] - moves.power_w[index][order][starts], np.diff([*starts, len(order)]))
    keep[index[order]] = running - base <= credit_w[feeder[order]]
    return keep


def _fill_last(draft: Draft, row: int, left_w: float) -> None:
    """The row that did not fit whole takes the step that does."""
    top = int(top_step(draft.view)[row])
    fits = best_step_within(draft.view, row, float(draft.plan_w[row]) + left_w, top)
    if fits > draft.step[row]:
        draft.put(row, fits)
