"""What the grid asked for at every moment of an event, and when a sample may be judged by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.progress import LIMIT_TOLERANCE, TOLERANCE_FRACTION, TOLERANCE_W
from farmctl.core.reasons import Reason
from farmctl.core.units import FloatColumn, IntColumn, MaskColumn
from farmctl.ports.store import RecordKind
from farmctl.report.canonical import MS_PER_S
from farmctl.report.case import Case

_GRID_LIMITS = frozenset(
    {Reason.LIMITED.value, Reason.EMERGENCY.value, Reason.STANDING_ALLOCATION.value, Reason.SITE_RATING.value}
)
"""Limits that bind the order itself; what an operator or a lost meter takes away is a shortfall, not an order."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Asked:
    """The order at given moments, W; NaN where nothing was asked."""

    at_ms: IntColumn
    target_w: FloatColumn
    low_w: FloatColumn
    """Lower edge of the band; -inf under a limit."""
    high_w: FloatColumn
    setpoint: MaskColumn
    """True where a set-point is asked, false where only a limit is."""
    due: MaskColumn
    """The response time after the last change of the order is over."""
    judged: MaskColumn
    """Due, and before the end: the value at the end itself is drawn between two samples."""


def asked(case: Case, at_ms: IntColumn) -> Asked:
    """The order in force at each moment: the newest statement heard by then, under the grid's limits."""
    setpoint_w, limit_w, tolerance_w = (np.full(len(at_ms), np.nan) for _ in range(3))
    for index, version in enumerate(case.versions):
        since_ms = version.heard_ms if index else 0
        later = at_ms >= since_ms
        for column in (setpoint_w, limit_w, tolerance_w):
            column[later] = np.nan
        shift_ms = _shift_ms(case) if index == 0 else 0
        for interval in version.event.intervals:
            end_ms = min(interval.end_ms, version.event.expires_ms) + shift_ms
            inside = later & (at_ms >= interval.start_ms + shift_ms) & (at_ms < end_ms)
            setpoint_w[inside] = np.nan if interval.setpoint_w is None else interval.setpoint_w
            limit_w[inside] = np.nan if interval.limit_w is None else interval.limit_w
            tolerance_w[inside] = np.nan if version.event.tolerance_w is None else version.event.tolerance_w
    changes = order_changes(case)
    ceiling_w = np.fmin(limit_w, _at(changes.grid_limits, at_ms))
    over = (at_ms < case.start_ms) | (at_ms > case.end_ms)
    setpoint_w[over], limit_w[over] = np.nan, np.nan
    has_setpoint = np.isfinite(setpoint_w)
    target_w = np.where(has_setpoint, np.fmin(setpoint_w, ceiling_w), limit_w)
    band_w = np.where(np.isfinite(tolerance_w), tolerance_w, np.fmax(TOLERANCE_FRACTION * target_w, TOLERANCE_W))
    low_w = np.where(has_setpoint, target_w - band_w, -np.inf)
    high_w = np.where(has_setpoint, target_w + band_w, target_w * (1.0 + LIMIT_TOLERANCE))
    settling = np.zeros(len(at_ms), dtype=np.bool_)
    for change_ms in changes.at_ms:
        settling |= (at_ms >= change_ms) & (at_ms < change_ms + changes.respond_ms)
    due = np.isfinite(target_w) & ~settling
    return Asked(
        at_ms=at_ms,
        target_w=target_w,
        low_w=np.where(np.isfinite(target_w), low_w, np.nan),
        high_w=high_w,
        setpoint=has_setpoint,
        due=due,
        judged=due & (at_ms < case.end_ms),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """When the order changed."""

    at_ms: tuple[int, ...]
    respond_ms: int
    grid_limits: tuple[tuple[int, float], ...]
    """(since, W) of the effective limit where the grid or the rating set it, else +inf."""


def order_changes(case: Case) -> Changes:
    """Starts of intervals and of newer statements, and moves of the grid's limit below the set-point."""
    last = case.versions[-1].event
    at_ms = {case.start_ms}
    for version in case.versions:
        at_ms |= {interval.start_ms for interval in version.event.intervals}
        at_ms |= {version.heard_ms} if version.heard_ms > case.start_ms else set()
    stated_w = [i.setpoint_w for version in case.versions for i in version.event.intervals if i.setpoint_w is not None]
    highest_w = max(stated_w, default=-np.inf)
    limits: list[tuple[int, float]] = []
    for each in case.records:
        if each.record.kind is not RecordKind.DECISION:
            continue
        body = each.record.body
        ceiling, binding = body.get("ceiling_w"), body.get("limit_reason") in _GRID_LIMITS
        limit_w = float(ceiling) if binding and isinstance(ceiling, int | float) else np.inf
        moved = bool(limits) and limits[-1][1] != limit_w and min(limits[-1][1], limit_w) < highest_w
        if moved and case.start_ms < each.record.at_ms < case.end_ms:
            at_ms.add(each.record.at_ms)
        limits.append((each.record.at_ms, limit_w))
    inside = tuple(sorted(at for at in at_ms if case.start_ms <= at <= case.end_ms))
    return Changes(at_ms=inside, respond_ms=int(last.respond_within_s * MS_PER_S), grid_limits=tuple(limits))


def _at(steps: tuple[tuple[int, float], ...], at_ms: IntColumn) -> FloatColumn:
    """The value of a step function at each moment; +inf before its first step."""
    if not steps:
        return np.full(len(at_ms), np.inf)
    since = np.array([step[0] for step in steps], dtype=np.int64)
    values = np.array([np.inf, *(step[1] for step in steps)])
    found: FloatColumn = values[np.searchsorted(since, at_ms, side="right")]
    return found


def _shift_ms(case: Case) -> int:
    """A randomised start moves the whole event; the site rolled for it, the journal says when it began."""
    first = case.versions[0].event
    late_ms = case.start_ms - first.start_ms
    return late_ms if 0 < late_ms <= first.randomize_start_s * MS_PER_S else 0
