"""Lines over common steps from the tier that fits: what the control API and the command line show of the past."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from typing_extensions import override

from farmctl.core.units import FloatColumn, IntColumn
from farmctl.ports.history import History, HistoryLines
from farmctl.store.telemetry.layout import MEANS, Tier
from farmctl.store.telemetry.reading import NoSuchSeriesError, SeriesName, samples

STEPS_S = (10, 30, 60, 300, 900, 3_600, 14_400, 86_400)
POINTS = 600
"""About so many points where no step is asked for."""
MOST_POINTS = 20_000
MOST_SERIES = 32
_AVERAGED = frozenset((*MEANS, "meter_w", "target_w", "running", "age_s"))
"""Columns whose steps are means; of codes a step gives the last, of extremes the extreme."""


class FileHistory(History):
    """Reads telemetry files, also while a controller writes them."""

    def __init__(self, folder: Path, tiers: Sequence[Tier]) -> None:
        self._folder = folder
        self._tiers = tiers

    @override
    async def lines(self, series: Sequence[str], from_ms: int, to_ms: int, step_s: int | None) -> HistoryLines:
        """See History."""
        return await asyncio.to_thread(self.read, series, from_ms, to_ms, step_s)

    def read(self, series: Sequence[str], from_ms: int, to_ms: int, step_s: int | None) -> HistoryLines:
        """The same, in this thread."""
        names = [SeriesName.of(text) for text in dict.fromkeys(series)]
        if not 1 <= len(names) <= MOST_SERIES:
            raise NoSuchSeriesError(f"expected 1 to {MOST_SERIES} series, got {len(names)}")
        step_s = step_s or chosen_step_s(from_ms, to_ms)
        if (to_ms - from_ms) / 1000 / step_s > MOST_POINTS:
            raise NoSuchSeriesError(f"expected at most {MOST_POINTS} points: a longer step or a shorter time")
        tier = self._tier(from_ms, to_ms, step_s, names)
        first_ms = from_ms // (step_s * 1000) * step_s * 1000
        edges = np.arange(first_ms, to_ms, step_s * 1000, dtype=np.int64)
        values: dict[str, FloatColumn] = {}
        for name in names:
            found = samples(self._folder, tier, name.subject, from_ms, to_ms)
            if name.column in found.columns:
                values[f"{name.subject}.{name.column}"] = stepped(
                    found.at_ms, found.columns[name.column], edges, step_s, name.column
                )
            else:  # extremes are kept in quarters of an hour only
                values[f"{name.subject}.{name.column}"] = np.full(len(edges), np.nan)
        return HistoryLines(step_s=step_s, source=tier.name, at_ms=edges, values=values)

    def _tier(self, from_ms: int, to_ms: int, step_s: int, names: Sequence[SeriesName]) -> Tier:
        """The coarsest tier that has the step and the columns; a coarser one where the finer is gone already."""
        fitting = [
            tier
            for tier in self._tiers
            if all(name.summed or name.column in tier.columns for name in names)
            and next(tier.between(self._folder, from_ms, to_ms), None) is not None
        ]
        from_there = [tier for tier in fitting if tier.path(self._folder, from_ms).exists()]
        candidates = from_there or fitting or list(self._tiers)
        fine = [tier for tier in candidates if tier.step_s <= step_s]
        return fine[-1] if fine else candidates[0]


def chosen_step_s(from_ms: int, to_ms: int) -> int:
    """The shortest usual step that gives no more than some hundred points."""
    span_s = max(to_ms - from_ms, 1) / 1000
    return next((step for step in STEPS_S if span_s / step <= POINTS), STEPS_S[-1])


def stepped(at_ms: IntColumn, values: FloatColumn, edges: IntColumn, step_s: int, column: str) -> FloatColumn:
    """One value per step: the mean, the last code, or the extreme; NaN where nothing is known."""
    known = np.isfinite(values)
    at_ms, values = at_ms[known], values[known]
    result = np.full(len(edges), np.nan)
    if not len(edges) or not len(values):
        return result
    place = (at_ms - edges[0]) // (step_s * 1000)
    inside = (place >= 0) & (place < len(edges))
    place, values = place[inside], values[inside]
    if column in _AVERAGED:
        counts = np.bincount(place, minlength=len(edges))
        sums = np.bincount(place, weights=values, minlength=len(edges))
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    if column.endswith(("_min", "_max")):
        taken = np.fmin if column.endswith("_min") else np.fmax
        taken.at(result, place, values)
        return result
    result[place] = values  # in order of time: the last one stays
    return result
