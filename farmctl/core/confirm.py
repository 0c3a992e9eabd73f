"""Wanted versus seen: what each miner really does, what it counts for, and which commands were followed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from farmctl.core.fleet import NO_LADDER, UNKNOWN_STEP, FleetView
from farmctl.core.memory import RowMemory, Standing
from farmctl.core.model import MinerState
from farmctl.core.rungs import found_again
from farmctl.core.units import MS_PER_S, NEVER_MS, CodeColumn, FloatColumn, IntColumn, MaskColumn

POWER_BAND = 0.20
"""Share of the full draw by which a device's watts may miss a point that its own setting names: self-reported
power is 5-20 % off a PDU (DEVICES section 6)."""
STEP_BAND = 0.08
"""The same where the device names no setting, so that watts are the only evidence."""
ASLEEP_FRACTION = 0.12
"""A sleeping miner draws less than this share of its full draw: 25-60 W of 3,000 W, fans included."""
GIVE_UP_RETRY_S = 300.0
"""A row that was given up is tried again this often."""
LOWER_RETRY_S = 30.0
"""The same where it answers and draws more than it should. Seed 459 of the simulation: three miners
that were well again stood awake for 150 s in a latched emergency."""
DRIFT_S = 8.0
"""A settled row must be seen elsewhere for this long, over at least two polls, before it is put back."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Seen:
    """What the rows do now, judged by telemetry alone."""

    rows: RowMemory
    """Row memory with newly confirmed, failed and drifted rows marked."""
    top: IntColumn
    """Highest step of each row; -1 where no operating points are known."""
    full_w: FloatColumn
    """Draw of each row at its highest step, W; 0 where none is known."""
    wanted_w: FloatColumn
    """Draw of each row where it is wanted, W; 0 where nothing is."""
    power_now_w: FloatColumn
    """Best knowledge of each row's present draw, W; never NaN."""
    counted_w: FloatColumn
    """What each row counts for under a limit: the worst of old and new until confirmed."""
    movable: MaskColumn
    """Rows that can be planned and commanded now."""
    fresh: MaskColumn
    confirmed: MaskColumn
    """Rows whose command was proved by telemetry in this cycle."""
    retry: MaskColumn
    """Rows to be commanded again."""
    drifted: MaskColumn
    """Rows that left their point by themselves, upwards."""
    gave_up: MaskColumn
    """Rows given up in this cycle."""


def nominal_w(view: FleetView, step: CodeColumn | IntColumn) -> FloatColumn:
    """Draw of every row at a ladder step, W, scaled to the single miner; 0 where there is no ladder or step."""
    table, book = view.table, view.ladders
    known = (table.ladder != NO_LADDER) & (step >= 0)
    if known.all():  # the usual case, called a dozen times a cycle: one gather and no mask
        watts_of = book.power_w.ravel().take(table.ladder * book.power_w.shape[1] + step)
        scaled_w: FloatColumn = np.where(step > 0, watts_of * table.power_scale, watts_of)
        return scaled_w
    power_w = np.zeros(len(table))
    watts = book.power_w[table.ladder[known], step[known]]
    scale = np.where(step[known] > 0, table.power_scale[known], 1.0)
    power_w[known] = watts * scale
    return power_w


def nominal_at(view: FleetView, row: IntColumn, step: IntColumn | CodeColumn) -> FloatColumn:
    """Draw of some rows at a step of theirs, W; every one must have a ladder, shapes (n,) and (n,)."""
    table = view.table
    watts_of = view.ladders.power_w[table.ladder[row], step]
    return np.where(step > 0, watts_of * table.power_scale[row], watts_of)


def top_step(view: FleetView) -> IntColumn:
    """Highest step that every row may take; -1 where no operating points are known."""
    top = ladder_top(view)
    return top if view.cap is None else np.minimum(top, view.cap)


def ladder_top(view: FleetView) -> IntColumn:
    """Highest step of every row's ladder; -1 where no operating points are known."""
    table, book = view.table, view.ladders
    top = np.full(len(table), UNKNOWN_STEP, dtype=np.int64)
    known = table.ladder != NO_LADDER
    top[known] = book.steps[table.ladder[known]] - 1
    return top


def confirm(rows: RowMemory, view: FleetView, now_ms: int) -> Seen:
    """Compare what is wanted with what telemetry shows; O(rows), no Python loop."""
    table, rules = view.table, view.rules
    # A reading from the future was stamped by a clock that has been put back since: how old it is nobody knows.
    fresh = (table.seen_ms >= 0) & (table.seen_ms <= now_ms) & (now_ms - table.seen_ms <= rules.seen_stale_s * MS_PER_S)
    top = ladder_top(view)
    laddered = top >= 0
    rows = _adopted(found_again(rows, view), view, fresh & laddered, now_ms)
    full_w, wanted_w = nominal_w(view, top), nominal_w(view, rows.wanted)
    at_wanted = _matches(rows.wanted, view, full_w, wanted_w) & fresh & (table.seen_ms > rows.commanded_ms)
    pending = rows.standing == Standing.PENDING
    gave_up_before = rows.standing == Standing.GAVE_UP
    confirmed = (pending | gave_up_before) & at_wanted
    due_ms = rows.commanded_ms + _allowed_ms(rows, view, pending)
    refused = table.refused_ms > np.maximum(table.acked_ms, rows.commanded_ms)
    overdue = pending & ~at_wanted & ((now_ms >= due_ms) | (refused & (now_ms >= rows.retry_ms)))
    exhausted = overdue & (rows.attempts >= rules.max_attempts)
    too_high = fresh & (table.power_w > wanted_w + POWER_BAND * full_w)
    sooner_ms = np.where(too_high, int((GIVE_UP_RETRY_S - LOWER_RETRY_S) * MS_PER_S), 0)
    try_later = gave_up_before & ~at_wanted & (now_ms >= rows.retry_ms - sooner_ms)
    standing = rows.standing.copy()
    standing[confirmed] = Standing.SETTLED
    standing[exhausted] = Standing.GAVE_UP
    retry_ms = rows.retry_ms.copy()
    retry_ms[exhausted | try_later] = now_ms + int(GIVE_UP_RETRY_S * MS_PER_S)
    mismatch_ms = _mismatch(rows, fresh, at_wanted, standing, now_ms)
    drifting = (mismatch_ms != NEVER_MS) & (now_ms - mismatch_ms >= DRIFT_S * MS_PER_S)
    rows = replace(rows, standing=standing, retry_ms=retry_ms, mismatch_ms=mismatch_ms)
    rows, drifted = _drift(rows, view, drifting, now_ms)
    if drifting.any():
        wanted_w = nominal_w(view, rows.wanted)
    power_now_w = _present_w(rows, view, full_w, wanted_w)
    movable = fresh & laddered & table.commandable & (rows.standing != Standing.GAVE_UP)
    return Seen(
        rows=rows,
        top=top,
        full_w=full_w,
        wanted_w=wanted_w,
        power_now_w=power_now_w,
        counted_w=_counted_w(rows, view, power_now_w, wanted_w),
        movable=movable,
        fresh=fresh,
        confirmed=confirmed,
        retry=((overdue & ~exhausted) | try_later) & table.commandable,
        drifted=drifted & table.commandable,
        gave_up=exhausted,
    )


def _adopted(rows: RowMemory, view: FleetView, known: MaskColumn, now_ms: int) -> RowMemory:
    """A row that was never commanded is wanted where it is: boot writes nothing."""
    blank = known & (rows.wanted < 0)
    if not blank.any():
        return rows
    wanted = rows.wanted.copy()
    wanted[blank] = nearest_step(view)[blank]
    before = rows.before.copy()
    before[blank] = wanted[blank]
    off_since_ms = rows.off_since_ms.copy()
    on_since_ms = rows.on_since_ms.copy()
    asleep = blank & (wanted == 0)
    # How long it has been so is unknown, and counts as long: a limit is not kept waiting for want of a figure. A known
    # uptime tells of a miner that is on.
    off_since_ms[asleep & (off_since_ms < 0)] = 0
    awake = blank & (wanted > 0) & (on_since_ms < 0)
    uptime_ms = np.nan_to_num(view.table.uptime_s, nan=np.inf) * MS_PER_S
    on_since_ms[awake] = np.maximum(now_ms - uptime_ms[awake], 0).astype(np.int64)
    return replace(rows, wanted=wanted, before=before, off_since_ms=off_since_ms, on_since_ms=on_since_ms)


def nearest_step(view: FleetView) -> CodeColumn:
    """The ladder step a row is at: what its setting names, else the one nearest to its watts; -1 unknown."""
    table, book = view.table, view.ladders
    step = table.step.astype(np.int16)
    laddered = table.ladder != NO_LADDER
    asleep = laddered & (table.state == MinerState.CURTAILED)
    guess = laddered & (step < 0) & ~asleep
    if guess.any():
        index = np.flatnonzero(guess)
        watts = table.power_w[index] / table.power_scale[index]
        ladder_w = book.power_w[table.ladder[index]]
        finite = np.where(np.isfinite(ladder_w), ladder_w, 1e12)
        nearest = np.argmin(np.abs(finite - np.nan_to_num(watts, nan=1e12)[:, None]), axis=1)
        top = book.steps[table.ladder[index]] - 1
        step[index] = np.where(np.isnan(watts), top, np.maximum(nearest, 1)).astype(np.int16)
    step[asleep] = 0
    return step


def _matches(step: CodeColumn, view: FleetView, full_w: FloatColumn, step_w: FloatColumn) -> MaskColumn:
    """Telemetry shows the row at `step`."""
    table = view.table
    watts = table.power_w
    asleep = (table.state == MinerState.CURTAILED) & ~(watts > ASLEEP_FRACTION * full_w)
    hashing = (table.state == MinerState.HASHING) | (table.state == MinerState.THROTTLED)
    error_w = np.abs(watts - step_w)
    named = (table.step == step) & ~(error_w > POWER_BAND * full_w)
    guessed = (table.step < 0) & (error_w <= STEP_BAND * full_w)
    awake = hashing & (table.hash_rate_hs > 0) & (named | guessed)
    matched: MaskColumn = np.where(step == 0, asleep, awake & (step > 0))
    return matched


def _allowed_ms(rows: RowMemory, view: FleetView, pending: MaskColumn) -> IntColumn:
    """How long a pending row may take to follow: its ladder's own time and the confirmation margin."""
    table, book = view.table, view.ladders
    seconds = np.zeros(len(table))
    known = pending & (table.ladder != NO_LADDER)
    ladder = table.ladder[known]
    to_sleep = rows.wanted[known] == 0
    waking = (rows.before[known] == 0) & ~to_sleep
    seconds[known] = np.where(to_sleep, book.down_s[ladder], np.where(waking, book.up_s[ladder], book.trim_s[ladder]))
    return ((seconds + view.rules.confirm_timeout_s) * MS_PER_S).astype(np.int64)


def _mismatch(
    rows: RowMemory, fresh: MaskColumn, at_wanted: MaskColumn, standing: CodeColumn, now_ms: int
) -> IntColumn:
    """Since when each settled, freshly seen row is somewhere else; unknown rows keep what they had."""
    astray = fresh & (standing == Standing.SETTLED) & (rows.wanted >= 0) & ~at_wanted
    since = np.where(astray & (rows.mismatch_ms == NEVER_MS), now_ms, rows.mismatch_ms)
    return np.where(fresh & ~astray, NEVER_MS, since).astype(np.int64)


def _drift(rows: RowMemory, view: FleetView, drifting: MaskColumn, now_ms: int) -> tuple[RowMemory, MaskColumn]:
    """A row that went lower by itself is adopted there; one that went higher is put back."""
    if not drifting.any():
        return rows, drifting
    table = view.table
    at = nearest_step(view)
    hashing = (table.state == MinerState.HASHING) | (table.state == MinerState.THROTTLED)
    lower = drifting & (at >= 0) & (at < rows.wanted) & (hashing | (table.state == MinerState.CURTAILED))
    higher = drifting & hashing & (at > rows.wanted)
    wanted = np.where(lower, at, rows.wanted).astype(np.int16)
    mismatch_ms = np.where(lower, NEVER_MS, rows.mismatch_ms).astype(np.int64)
    fell_asleep = lower & (at == 0)
    off_since_ms = np.where(fell_asleep, now_ms, rows.off_since_ms).astype(np.int64)
    on_since_ms = np.where(fell_asleep, NEVER_MS, rows.on_since_ms).astype(np.int64)
    changed = replace(rows, wanted=wanted, mismatch_ms=mismatch_ms, off_since_ms=off_since_ms, on_since_ms=on_since_ms)
    return changed, higher


def _present_w(rows: RowMemory, view: FleetView, full_w: FloatColumn, wanted_w: FloatColumn) -> FloatColumn:
    """Measured where known; else where it was last wanted; a row of which nothing is known counts at its full draw.

    After a restart the remembered point is the best knowledge until the first poll: to take every row for full
    would shed miners of a site that is on its target.
    """
    table = view.table
    unheard = np.isnan(table.power_w)
    if not unheard.any():
        return table.power_w
    at_point_w = np.where(rows.wanted > 0, rows.wanted_w * table.power_scale, rows.wanted_w)
    remembered_w = np.where(np.isnan(at_point_w), wanted_w, at_point_w)
    return np.where(unheard, np.where(rows.wanted >= 0, np.maximum(remembered_w, 0.0), full_w), table.power_w)


def _counted_w(rows: RowMemory, view: FleetView, power_now_w: FloatColumn, wanted_w: FloatColumn) -> FloatColumn:
    """The worst of old and new until a command is confirmed."""
    unsure = rows.standing == Standing.PENDING
    counted_w = np.where(unsure, np.maximum(power_now_w, wanted_w), power_now_w)
    blind = unsure & np.isnan(view.table.power_w)
    if blind.any():
        counted_w = np.where(blind, np.maximum(counted_w, nominal_w(view, rows.before)), counted_w)
    return counted_w
