"""A wanted point outlives its ladder: where a row's ladder changes, the point is found again by its watts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import NO_KEY, RowMemory
from farmctl.core.units import CodeColumn, FloatColumn, IntColumn, MaskColumn


def found_again(rows: RowMemory, view: FleetView) -> RowMemory:
    """Rows whose ladder is another than the one their points were chosen on, at the nearest points of the new one.

    A restarted controller knows the shipped ladder until the device has told its own (LuxOS profiles), and a step
    number of the one means nothing on the other. Sleep stays sleep. O(rows that changed).
    """
    key = _key(view)
    moved = (key != rows.ladder_key) & (key != NO_KEY)
    if not moved.any():
        return rows
    return replace(
        rows,
        wanted=_nearest(view, moved, rows.wanted, rows.wanted_w),
        before=_nearest(view, moved, rows.before, rows.before_w),
        ladder_key=np.where(moved, key, rows.ladder_key),
    )


def noted(rows: RowMemory, view: FleetView, heard: MaskColumn) -> RowMemory:
    """The watts of both points of every row in `heard`, whose ladder is the device's own by now."""
    stamp = heard & (view.table.ladder != NO_LADDER)
    return replace(
        rows,
        wanted_w=np.where(stamp, _watts(view, rows.wanted), rows.wanted_w),
        before_w=np.where(stamp, _watts(view, rows.before), rows.before_w),
    )


def _key(view: FleetView) -> IntColumn:
    ladder = view.table.ladder
    known = ladder != NO_LADDER
    if not len(view.ladders.key):
        return np.full(len(ladder), NO_KEY, dtype=np.int64)
    return np.where(known, view.ladders.key[np.where(known, ladder, 0)], NO_KEY)


def _watts(view: FleetView, step: CodeColumn) -> FloatColumn:
    """Ladder watts of a step, not scaled to the single miner; NaN where there is none."""
    table, book = view.table, view.ladders
    known = (table.ladder != NO_LADDER) & (step >= 0)
    if known.all():  # the usual case: one gather and no mask
        watts: FloatColumn = book.power_w.ravel().take(table.ladder * book.power_w.shape[1] + step)
        return watts
    power_w = np.full(len(table), np.nan)
    power_w[known] = book.power_w[table.ladder[known], step[known]]
    return power_w


def _nearest(view: FleetView, moved: MaskColumn, step: CodeColumn, power_w: FloatColumn) -> CodeColumn:
    book, awake = view.ladders, np.flatnonzero(moved & (step > 0))
    ladder = view.table.ladder[awake]
    watts = power_w[awake]
    away_w = np.abs(book.power_w[ladder] - watts[:, None])
    away_w[:, 0] = np.inf
    top = book.steps[ladder] - 1
    # Nothing noted: the same number where the ladder has it.
    guess = np.where(np.isnan(watts), np.minimum(step[awake], top), np.argmin(away_w, axis=1))
    again = step.copy()
    again[awake] = np.clip(guess, np.minimum(1, top), top).astype(step.dtype)
    return again
