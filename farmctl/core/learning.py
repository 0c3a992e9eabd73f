"""Learns from every command that telemetry proved or that was given up: seconds and success by kind of miner.

Seconds run from the command to the poll that proved it, so they hold up to one poll more than the device needs.
"""

from __future__ import annotations

import numpy as np

from farmctl.core.confirm import Seen
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.lessons import Lessons, Move
from farmctl.core.units import MS_PER_S, FloatColumn, IntColumn, MaskColumn

WEIGHT = 0.05
"""Of one more command; some sixty of them forget the old behaviour."""
FEW = 5.0
"""Commands below which the ladder's own times are believed."""
SURE_DEVIATIONS = 2.0
POLL_S = 3.0
SLOWER = 1.25
"""Learned times count where they are longer than the ladder's by this factor and a poll, or shorter."""


def learned(lessons: Lessons, view: FleetView, seen: Seen, now_ms: int) -> Lessons:
    """Take in the commands that were proved or given up in this cycle."""
    lessons = lessons.aligned(view.groups)
    proved = np.flatnonzero(seen.confirmed)
    failed = np.flatnonzero(seen.gave_up)
    if not lessons.groups or not (len(proved) or len(failed)):
        return lessons
    took_s = _took_s(view, seen, proved, now_ms)
    key, size = _key(view, seen, proved), lessons.seconds.size
    count = np.bincount(key, minlength=size).reshape(lessons.seconds.shape)
    mean_s = np.bincount(key, weights=took_s, minlength=size).reshape(count.shape) / np.maximum(count, 1)
    weight = np.where(lessons.proved > 0, 1.0 - (1.0 - WEIGHT) ** count, np.minimum(count, 1))
    seconds = lessons.seconds + weight * (mean_s - lessons.seconds)
    off_s = np.bincount(key, weights=np.abs(took_s - seconds.ravel()[key]), minlength=size).reshape(count.shape)
    deviation = lessons.deviation + weight * (off_s / np.maximum(count, 1) - lessons.deviation)
    return Lessons(
        groups=lessons.groups,
        seconds=seconds,
        deviation=deviation,
        proved=lessons.proved + _count(view, seen, proved, lessons),
        failed=lessons.failed + _count(view, seen, failed, lessons),
    )


def travel_s(lessons: Lessons, view: FleetView, move: Move) -> FloatColumn:
    """Seconds that each row needs for a move: its ladder's, or what its kind has shown where that is far off."""
    table, book = view.table, view.ladders
    stated = (book.down_s, book.up_s, book.trim_s)[move]
    known = table.ladder != NO_LADDER
    ladder_s = np.full(len(table), np.inf)
    ladder_s[known] = stated[table.ladder[known]]
    lessons = lessons.aligned(view.groups)
    if not lessons.groups:
        return ladder_s
    sure_s = lessons.seconds[:, move] + SURE_DEVIATIONS * lessons.deviation[:, move]
    shown_s = np.where(lessons.proved[:, move] >= FEW, sure_s, np.nan)[table.group]
    counts: MaskColumn = (shown_s < ladder_s) | (shown_s > SLOWER * ladder_s + POLL_S)
    return np.where(counts & known, shown_s, ladder_s)


def _took_s(view: FleetView, seen: Seen, row: IntColumn, now_ms: int) -> FloatColumn:
    """From the first command to the proof; each retry came when the last one's time was over."""
    rows, book, ladder = seen.rows, view.ladders, view.table.ladder[row]
    last_s = (np.minimum(view.table.seen_ms[row], now_ms) - rows.commanded_ms[row]) / MS_PER_S
    asleep, booting = rows.wanted[row] == 0, rows.before[row] == 0
    stated_s = np.where(asleep, book.down_s[ladder], np.where(booting, book.up_s[ladder], book.trim_s[ladder]))
    retries = np.maximum(rows.attempts[row] - 1, 0)
    return last_s + retries * (stated_s + view.rules.confirm_timeout_s)


def _key(view: FleetView, seen: Seen, row: IntColumn) -> IntColumn:
    rows = seen.rows
    move = np.where(rows.wanted[row] == 0, Move.DOWN, np.where(rows.before[row] == 0, Move.UP, Move.TRIM))
    return view.table.group[row].astype(np.int64) * len(Move) + move


def _count(view: FleetView, seen: Seen, row: IntColumn, lessons: Lessons) -> FloatColumn:
    counts: FloatColumn = np.bincount(_key(view, seen, row), minlength=lessons.seconds.size).astype(np.float64)
    return counts.reshape(lessons.seconds.shape)
