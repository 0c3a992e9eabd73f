"""A host's clock that was put back: no stamp may lie in the future, or every wait lasts that much longer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from farmctl.core.memory import Memory, MeterLoop, RowMemory
from farmctl.core.outage import Outage
from farmctl.core.units import NEVER_MS, IntColumn


def put_back(memory: Memory, now_ms: int) -> Memory:
    """The memory as if the clock had always been right: what lies after `now_ms` becomes now, dues keep their distance.

    An hour's step of NTP, found by simulation: miners put to sleep under the wrong clock were locked by their minimum
    off time for an hour, and the meter loop stood still as long.
    """
    ahead_ms = memory.last_ms - now_ms
    if ahead_ms <= 0:
        return memory
    pace = memory.pace
    return replace(
        memory,
        booted_ms=min(memory.booted_ms, now_ms),
        last_ms=now_ms,
        mode_since_ms=min(memory.mode_since_ms, now_ms),
        rows=_rows(memory.rows, now_ms, ahead_ms),
        tracks=tuple(
            replace(track, since_ms=min(track.since_ms, now_ms), active_ms=min(track.active_ms, now_ms))
            for track in memory.tracks
        ),
        loop=_loop(memory.loop, now_ms),
        pace=replace(
            pace,
            release_ms=pace.release_ms if pace.release_ms <= now_ms else max(pace.release_ms - ahead_ms, now_ms),
            refined_ms=min(pace.refined_ms, now_ms),
            disturbed_ms=min(pace.disturbed_ms, now_ms),
        ),
        held=tuple(replace(limit, since_ms=min(limit.since_ms, now_ms)) for limit in memory.held),
        outage=None if memory.outage is None else _outage(memory.outage, now_ms),
    )


def _outage(outage: Outage, now_ms: int) -> Outage:
    return Outage(since_ms=min(outage.since_ms, now_ms), back_ms=min(outage.back_ms, now_ms))


def _rows(rows: RowMemory, now_ms: int, ahead_ms: int) -> RowMemory:
    return replace(
        rows,
        commanded_ms=np.minimum(rows.commanded_ms, now_ms),
        retry_ms=_nearer(rows.retry_ms, ahead_ms),
        mismatch_ms=np.minimum(rows.mismatch_ms, now_ms),
        on_since_ms=np.minimum(rows.on_since_ms, now_ms),
        off_since_ms=np.minimum(rows.off_since_ms, now_ms),
    )


def _nearer(due_ms: IntColumn, ahead_ms: int) -> IntColumn:
    return np.where(due_ms == NEVER_MS, NEVER_MS, np.maximum(due_ms - ahead_ms, 0))


def _loop(loop: MeterLoop, now_ms: int) -> MeterLoop:
    return replace(
        loop,
        updated_ms=min(loop.updated_ms, now_ms),
        samples=tuple(sample for sample in loop.samples if sample[0] <= now_ms),
        reports=tuple(report for report in loop.reports if report[0] <= now_ms),
    )
