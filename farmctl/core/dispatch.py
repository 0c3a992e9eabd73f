"""From an allocation to ordered commands, and the row memory that goes with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from farmctl.core.allocate import Allocation
from farmctl.core.circuits import feeder_of
from farmctl.core.confirm import Seen, nominal_at
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import RowMemory, Standing
from farmctl.core.model import Command, Lane, MinerId
from farmctl.core.reasons import CODE, ORDER, Reason
from farmctl.core.units import DAY_MS, MS_PER_S, NEVER_MS, FloatColumn, IntColumn, MaskColumn

COMMAND_LIFE_S = 30.0
"""A command that has not reached the wire by then is dropped: the next cycle knows better."""
RETRY_BACKOFF_S = 4.0
"""After a refusal on the wire; doubled for each attempt."""


_SHED, _RESTORE, _RETRY, _DRIFTED = (CODE[r] for r in (Reason.SHED, Reason.RESTORE, Reason.RETRY, Reason.DRIFTED))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Dispatch:
    """What is sent in this cycle, in the order in which it is to be sent."""

    commands: tuple[Command, ...]
    rows: RowMemory


def dispatch(
    view: FleetView,
    seen: Seen,
    allocation: Allocation,
    *,
    urgent: bool,
    cycle: int,
    now_ms: int,
    economic: bool = False,
) -> Dispatch:
    """Command what changed, what was not followed and what drifted; nothing in observe mode."""
    rows = seen.rows
    if not view.armed:
        return Dispatch(commands=(), rows=rows)
    changed = (allocation.step != rows.wanted) & (allocation.step >= 0) & seen.movable
    # A row that was given up is asked again as it stands; planning does not move it.
    again = (seen.retry | seen.drifted) & ~changed & (rows.wanted >= 0) & (view.table.ladder != NO_LADDER)
    index = np.flatnonzero(changed | again)
    if not len(index):
        return Dispatch(commands=(), rows=rows)
    after = _remembered(seen, allocation, changed, again, now_ms)
    if economic or allocation.refined:
        after = _worn(after, changed & (allocation.step == 0), now_ms)
    order = index[_order(view, seen, after, index)]
    lane = Lane.URGENT if urgent else Lane.NORMAL
    deadline_ms = now_ms + int(COMMAND_LIFE_S * MS_PER_S)
    commands = _commands(view, seen, after, order, lane=lane, deadline_ms=deadline_ms, cycle=cycle)
    return Dispatch(commands=commands, rows=after)


def _remembered(seen: Seen, allocation: Allocation, changed: MaskColumn, again: MaskColumn, now_ms: int) -> RowMemory:
    rows = seen.rows
    commanded = changed | again
    wanted = np.where(changed, allocation.step, rows.wanted).astype(np.int16)
    before = np.where(changed, rows.wanted, rows.before).astype(np.int16)
    standing = np.where(commanded, Standing.PENDING, rows.standing).astype(np.int16)
    still_given_up = again & (rows.standing == Standing.GAVE_UP)
    standing[still_given_up] = Standing.GAVE_UP
    attempts = np.where(changed, 1, rows.attempts + again).astype(np.int16)
    backoff_ms = (RETRY_BACKOFF_S * MS_PER_S * 2.0 ** np.minimum(attempts, 5)).astype(np.int64)
    retry_ms = np.where(commanded & ~still_given_up, now_ms + backoff_ms, rows.retry_ms)
    waking = changed & (wanted > 0) & (rows.wanted == 0)
    sleeping = changed & (wanted == 0)
    on_since_ms = np.where(waking, now_ms, np.where(sleeping, NEVER_MS, rows.on_since_ms))
    off_since_ms = np.where(sleeping, now_ms, np.where(waking, NEVER_MS, rows.off_since_ms))
    return replace(
        rows,
        wanted=wanted,
        before=before,
        standing=standing,
        attempts=attempts,
        commanded_ms=np.where(commanded, now_ms, rows.commanded_ms).astype(np.int64),
        retry_ms=retry_ms.astype(np.int64),
        mismatch_ms=np.where(commanded, NEVER_MS, rows.mismatch_ms).astype(np.int64),
        on_since_ms=on_since_ms.astype(np.int64),
        off_since_ms=off_since_ms.astype(np.int64),
    )


def _worn(rows: RowMemory, slept: MaskColumn, now_ms: int) -> RowMemory:
    """Count one more economic cycle of the day for the rows that were sent to sleep."""
    today = now_ms // DAY_MS
    so_far = np.where(rows.cycle_day == today, rows.cycles, 0)
    return replace(
        rows,
        cycles=np.where(slept, so_far + 1, so_far).astype(np.int16),
        cycle_day=np.where(slept, today, rows.cycle_day).astype(np.int64),
    )


def _order(view: FleetView, seen: Seen, after: RowMemory, index: IntColumn) -> IntColumn:
    """Most watts per second of travel first, lowering before raising, feeders interleaved."""
    table, book = view.table, view.ladders
    ladder = table.ladder[index]
    change_w: FloatColumn = nominal_at(view, index, after.wanted[index]) - seen.power_now_w[index]
    lowering = change_w <= 0
    seconds = np.where(after.wanted[index] == 0, book.down_s[ladder], book.trim_s[ladder])
    speed = np.abs(change_w) / np.maximum(seconds, 1.0)
    feeder = feeder_of(view.circuits)[table.node[index]]
    within = np.lexsort((index, -speed, ~lowering, feeder))
    place = np.empty(len(index), dtype=np.int64)
    starts = np.flatnonzero(np.diff(feeder[within], prepend=-1))
    place[within] = np.arange(len(index)) - np.repeat(starts, np.diff([*starts, len(index)]))
    return np.lexsort((feeder, place, ~lowering))


def _commands(
    view: FleetView, seen: Seen, after: RowMemory, order: IntColumn, *, lane: Lane, deadline_ms: int, cycle: int
) -> tuple[Command, ...]:
    """One object per command; the columns become lists first, because a fall of 30 % is 400,000 of them."""
    table, ladders = view.table, view.ladders.ladders
    step, step_before = after.wanted[order], seen.rows.wanted[order]
    again = np.where(seen.drifted[order], _DRIFTED, _RETRY)
    code = np.where(step < step_before, _SHED, np.where(step > step_before, _RESTORE, again))
    points = [ladder.points for ladder in ladders]
    return tuple(
        Command(
            miner=MinerId(miner),
            step=to,
            point=points[ladder][to],
            lane=lane,
            deadline_ms=deadline_ms,
            reason=ORDER[reason],
            attempt=attempt,
            cycle=cycle,
        )
        for miner, to, ladder, reason, attempt in zip(
            table.miner_id[order].tolist(),
            step.tolist(),
            table.ladder[order].tolist(),
            code.tolist(),
            after.attempts[order].tolist(),
            strict=True,
        )
    )
