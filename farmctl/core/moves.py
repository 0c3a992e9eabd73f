"""Candidate moves: what each row could give up or take on, and in which order to ask.

A ladder is walked in two coarse segments, deepest throttle to full and sleep to deepest throttle, so that a
change of load touches few miners; only the last one is trimmed to a step in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.confirm import nominal_at, nominal_w, top_step
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.policies import Policy
from farmctl.core.units import CodeColumn, FloatColumn, IntColumn, MaskColumn

SMALL_FRACTION = 0.35
"""Share of a row's full draw; a throttle from full to the deepest point moves 40-60 % of it."""


RESTART_S = 120.0
"""Longer than this between two awake points is a restart of the mining process, and no draw at all in between: the
shipped ladders have 300-600 s where modes or presets restart it and 10-120 s where they do not."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Moves:
    """Moves of single rows from one step to another, in the order in which they should be taken."""

    row: IntColumn
    start: IntColumn
    end: IntColumn
    power_w: FloatColumn
    """Change of draw, W; positive in the direction of the question."""
    worth_per_w: FloatColumn

    def __len__(self) -> int:
        """Return the number of moves."""
        return len(self.row)

    def only(self, keep: MaskColumn) -> Moves:
        """The kept moves, in the same order."""
        return Moves(
            row=self.row[keep],
            start=self.start[keep],
            end=self.end[keep],
            power_w=self.power_w[keep],
            worth_per_w=self.worth_per_w[keep],
        )


def throttle_step(view: FleetView) -> IntColumn:
    """Lowest awake step below full of every row; its top step where it has no throttle."""
    top = top_step(view)
    return np.where(top >= 2, 1, top)  # noqa: PLR2004 - sleep, throttle, full


def downward(  # noqa: PLR0913 - who may do what is three masks, in which order three columns
    view: FleetView,
    step: IntColumn,
    policy: Policy,
    *,
    may_throttle: MaskColumn,
    may_sleep: MaskColumn,
    soon_s: float,
    trim_soon_s: float,
    waking: MaskColumn,
    wear: CodeColumn,
    plan_w: FloatColumn,
) -> Moves:
    """Every way down from `step`: throttling before sleeping, then the least worth per watt; tier by tier.

    A throttled miner is back in seconds, a sleeping one in minutes, and throttled points hash more per watt.
    Rows that cannot be asleep within `soon_s`, or throttled within `trim_soon_s`, come after all that can: a deadline
    beats a better J/TH. Rows that are still `waking` go back to sleep before any that runs does.
    """
    trim_late, off_late = _late(view, soon_s, trim_soon_s)
    off_late &= ~waking  # what draws nothing yet is asleep at once
    throttles = may_throttle & ~(trim_late & ~off_late & may_sleep)
    low = throttle_step(view)
    trim = _segment(view, step, np.minimum(step, low), policy, throttles & (step > low), from_w=plan_w)
    sleep_from = np.where(throttles, np.minimum(step, low), step)
    # A row that should run and does not gives up nothing, whatever its ladder says of the point that it passes.
    from_w = np.where(sleep_from < step, np.minimum(nominal_w(view, sleep_from), plan_w), plan_w)
    off = _segment(view, sleep_from, np.zeros_like(step), policy, may_sleep & (sleep_from > 0), from_w=from_w)
    both = _joined(trim, off)
    late = np.concatenate([trim_late[trim.row], off_late[off.row] | (trim_late & throttles)[off.row]])
    stage = np.concatenate([np.zeros(len(trim), dtype=np.int64), np.ones(len(off), dtype=np.int64)])
    rank = policy.rank(view)[both.row]
    runs = ~waking[both.row] | (stage == 0)
    return _taken(
        both, np.lexsort((both.row, wear[both.row], both.worth_per_w, _small(view, both), runs, stage, -rank, late))
    )


def upward(
    view: FleetView,
    step: IntColumn,
    policy: Policy,
    *,
    may_raise: MaskColumn,
    may_wake: MaskColumn,
    late: MaskColumn,
    plan_w: FloatColumn,
) -> Moves:
    """Every way up from `step`: awake rows first, they follow in seconds; most worth per watt first.

    Sleeping rows that are `late` come after these, and last those that give up all they draw on the way to more.
    """
    top = top_step(view)
    lift = _segment(view, step, top, policy, may_raise & (step > 0) & (step < top), from_w=plan_w)
    wake = _segment(view, step, top, policy, may_wake & (step == 0) & (top > 0), from_w=plan_w)
    both = _joined(lift, wake)
    stage = np.concatenate([3 * restarting(view)[lift.row].astype(np.int64), 1 + late[wake.row].astype(np.int64)])
    rank = policy.rank(view)[both.row]
    return _taken(both, np.lexsort((both.row, -both.worth_per_w, _small(view, both), rank, stage)))


def _small(view: FleetView, moves: Moves) -> MaskColumn:
    """Moves that change little for a command: they come after the large ones, refinement makes up for it."""
    top = view.ladders.steps[view.table.ladder[moves.row]] - 1
    full_w = nominal_at(view, moves.row, top)
    return moves.power_w < SMALL_FRACTION * full_w


def wakes_late(view: FleetView, soon_s: float) -> MaskColumn:
    """Rows that need longer than `soon_s` from the wake command to their full draw."""
    known = view.table.ladder != NO_LADDER
    late = np.zeros(len(known), dtype=np.bool_)
    late[known] = view.ladders.up_s[view.table.ladder[known]] > soon_s
    return late


def restarting(view: FleetView) -> MaskColumn:
    """Rows whose way from one awake point to another leads through zero."""
    known = view.table.ladder != NO_LADDER
    through = np.zeros(len(known), dtype=np.bool_)
    through[known] = view.ladders.trim_s[view.table.ladder[known]] > RESTART_S
    return through


def best_step_within(view: FleetView, row: int, ceiling_w: float, top: int) -> int:
    """Highest step of a row, not above `top`, that draws at most `ceiling_w`; 0 where none does."""
    ladder = int(view.table.ladder[row])
    if ladder == NO_LADDER:
        return 0
    watts = view.ladders.power_w[ladder, 1 : top + 1] * view.table.power_scale[row]
    return int(np.searchsorted(watts, ceiling_w, side="right"))


def _segment(
    view: FleetView, start: IntColumn, end: IntColumn, policy: Policy, mask: MaskColumn, *, from_w: FloatColumn
) -> Moves:
    """`from_w` is what each row is planned to draw before the move; it may differ from its ladder's watts."""
    row = np.flatnonzero(mask)
    ladder = view.table.ladder[row]
    worth = policy.worth(view)
    end_w = nominal_at(view, row, end[row])
    sign = np.where(end[row] > start[row], 1.0, -1.0)
    nominal = sign * (end_w - nominal_at(view, row, start[row]))
    gain = sign * (worth[ladder, end[row]] - worth[ladder, start[row]]) * policy.weight(view)[row]
    return Moves(
        row=row,
        start=start[row],
        end=end[row],
        power_w=np.maximum(sign * (end_w - from_w[row]), 0.0),
        worth_per_w=gain / np.where(nominal > 0, nominal, 1.0),
    )


def _joined(first: Moves, second: Moves) -> Moves:
    return Moves(
        row=np.concatenate([first.row, second.row]),
        start=np.concatenate([first.start, second.start]),
        end=np.concatenate([first.end, second.end]),
        power_w=np.concatenate([first.power_w, second.power_w]),
        worth_per_w=np.concatenate([first.worth_per_w, second.worth_per_w]),
    )


def _taken(moves: Moves, order: IntColumn) -> Moves:
    return Moves(
        row=moves.row[order],
        start=moves.start[order],
        end=moves.end[order],
        power_w=moves.power_w[order],
        worth_per_w=moves.worth_per_w[order],
    )


def _late(view: FleetView, soon_s: float, trim_soon_s: float) -> tuple[MaskColumn, MaskColumn]:
    """Which rows cannot throttle within `trim_soon_s`, and which cannot sleep within `soon_s`."""
    ladder, book = view.table.ladder, view.ladders
    known = ladder != NO_LADDER
    trim_late = np.zeros(len(ladder), dtype=np.bool_)
    off_late = np.zeros(len(ladder), dtype=np.bool_)
    trim_late[known] = book.trim_s[ladder[known]] > trim_soon_s
    off_late[known] = book.down_s[ladder[known]] > soon_s
    return trim_late, off_late
