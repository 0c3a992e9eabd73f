"""The way up: what there is room for, under every rating, at the pace of the feeders, and not for a moment only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.circuits import feeder_of, fitting, node_load_w
from farmctl.core.confirm import Seen, top_step
from farmctl.core.draft import Ask, Draft
from farmctl.core.fleet import FleetView
from farmctl.core.moves import Moves, best_step_within, restarting, upward, wakes_late
from farmctl.core.policies import Policy
from farmctl.core.units import FloatColumn, MaskColumn

SOON_UP_S = 120.0
"""While the grid waits, rows that need longer than this to wake are asked last."""
LIFT_WORTH_S = 3.0
"""Not even an awake row is lifted for less than this."""
WAKE_WORTH_S = 180.0
"""A miner is woken only if its full draw is wanted for at least this long."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MayRise:
    """Which rows may be lifted, and which woken."""

    lift: MaskColumn
    wake: MaskColumn


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Raised:
    """What the way up came to."""

    marginal: float
    woken_w: FloatColumn
    circuit_held: MaskColumn
    wake_held: MaskColumn

    @classmethod
    def none(cls, view: FleetView) -> Raised:
        """Nothing was raised."""
        rows, nodes = len(view.table), len(view.circuits.names)
        nobody = np.zeros(rows, dtype=np.bool_)
        return cls(marginal=float("nan"), woken_w=np.zeros(nodes), circuit_held=nobody, wake_held=nobody.copy())


def raise_into(draft: Draft, seen: Seen, room_w: float, ask: Ask, policy: Policy, may: MayRise) -> Raised:
    """Raise rows in place into `room_w`, inside every rating with unconfirmed rows at their worst."""
    view = draft.view
    tree, node = view.circuits, view.table.node
    result = Raised.none(view)
    late = wakes_late(view, SOON_UP_S if np.isfinite(ask.soon_s) else np.inf)
    moves = upward(view, draft.step, policy, may_raise=may.lift, may_wake=may.wake, late=late, plan_w=draft.plan_w)
    if not len(moves):
        return result
    worst_w = np.maximum(seen.counted_w, draft.plan_w)
    headroom_w = tree.rating_w - node_load_w(tree, node, worst_w)
    waking = moves.start == 0
    on_time = _within_credit(view, moves, waking, ask.wake_credit_w)
    result.wake_held[moves.row[waking & ~on_time]] = True
    # A process is not restarted in place of a sleeper that waits for its feeder's next packet.
    through = restarting(view)[moves.row] & ~waking
    moves = moves.only(on_time & ~(through & result.wake_held.any()))
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
    return Raised(
        marginal=float(moves.worth_per_w[last]),
        woken_w=woken_w,
        circuit_held=result.circuit_held,
        wake_held=result.wake_held,
    )


def raise_ahead(draft: Draft, seen: Seen, room_w: float, ask: Ask, policy: Policy, may: MayRise) -> Raised:
    """Raise into the room, but wake nobody who would be sent back to sleep soon after.

    `room_w` in watts of the rows. Up to where the target is known to fall everything may rise; above that only rows
    that are up long enough before the fall, and nobody at all just before it: orders that hand over with a gap of a
    millisecond or a second must not make the site rise in between.
    """
    outlook = ask.outlook
    lasting_w = room_w - max(min(ask.budget.target_w, ask.ramp_w) - outlook.falls_to_w, 0.0)
    if lasting_w >= room_w:
        return raise_into(draft, seen, room_w, ask, policy, may)
    first = raise_into(draft, seen, lasting_w, ask, policy, may) if lasting_w > 0 else Raised.none(draft.view)
    if outlook.falls_in_s <= LIFT_WORTH_S:
        return first
    left_w = room_w - max(lasting_w, 0.0)
    worth_it = ~wakes_late(draft.view, outlook.falls_in_s - WAKE_WORTH_S)
    second = raise_into(draft, seen, left_w, ask, policy, MayRise(lift=may.lift, wake=may.wake & worth_it))
    return Raised(
        marginal=second.marginal if np.isfinite(second.marginal) else first.marginal,
        woken_w=first.woken_w + second.woken_w,
        circuit_held=first.circuit_held | second.circuit_held,
        wake_held=first.wake_held | second.wake_held,
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
    """The row that did not fit whole takes the step that does; no process is restarted for a part of the way."""
    if draft.step[row] > 0 and restarting(draft.view)[row]:
        return
    top = int(top_step(draft.view)[row])
    fits = best_step_within(draft.view, row, float(draft.plan_w[row]) + left_w, top)
    if fits > draft.step[row]:
        draft.put(row, fits)
