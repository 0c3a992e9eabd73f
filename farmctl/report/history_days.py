"""Earlier days at the same hours, for the baseline X of Y."""

from __future__ import annotations

from dataclasses import dataclass

from farmctl.core.units import DAY_MS
from farmctl.report import source
from farmctl.report.canonical import MS_PER_S, iso
from farmctl.report.case import BEFORE_MS, Case, other_events
from farmctl.report.series import joined, pages
from farmctl.report.source import Journal

FURTHEST_DAYS = 45
"""Days looked back at most for eligible ones."""
LEAST_COVERED = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMean:
    """One earlier day."""

    day: str
    mean_w: float
    """Mean of the meter at the event's hours."""
    before_w: float | None
    """Mean of the 15 minutes before those hours."""
    excluded: str
    """Why the day does not count; empty where it does."""


async def earlier_days(journal: Journal, case: Case, wanted: int) -> tuple[DayMean, ...]:
    """The days before the event, newest first, until `wanted` of them count."""
    found: list[DayMean] = []
    for back in range(1, FURTHEST_DAYS + 1):
        start_ms, end_ms = case.start_ms - back * DAY_MS, case.end_ms - back * DAY_MS
        records = (await source.window(journal, start_ms - BEFORE_MS, end_ms)).records
        series = joined(pages(records), start_ms - BEFORE_MS, end_ms)
        power = series.metered().clipped(start_ms, end_ms)
        mean_w = power.mean()
        others = other_events(records, "", start_ms, end_ms)
        excluded = ""
        if mean_w is None or power.covered_s() < LEAST_COVERED * (end_ms - start_ms) / MS_PER_S:
            excluded = "less than 90 % of its samples are there"
        elif others:
            excluded = f"an event was live: {', '.join(others[:3])}"
        before_w = series.metered().clipped(start_ms - BEFORE_MS, start_ms).mean()
        found.append(DayMean(day=iso(start_ms)[:10], mean_w=mean_w or 0.0, before_w=before_w, excluded=excluded))
        if sum(not day.excluded for day in found) >= wanted:
            break
    return tuple(found)
