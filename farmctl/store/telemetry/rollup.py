"""Means of a minute and of a quarter of an hour, gathered sweep by sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from farmctl.core.units import IdColumn
from farmctl.ports.history import MINER_COLUMNS, SUM_COLUMNS, UNKNOWN_SHORT, ShortMatrix, Sweep
from farmctl.store.telemetry.layout import MEANS

_MEAN_ROWS = [list(MINER_COLUMNS).index(name) for name in MEANS]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rolled:
    """A step that is over."""

    at_ms: int
    """Its begin."""
    miner_id: IdColumn
    columns: ShortMatrix
    sums: Mapping[str, Sequence[float | None]]


@dataclass(slots=True, eq=False)
class Rollup:
    """Gathers one step at a time."""

    step_ms: int
    extremes: bool
    """Give mean, lowest and highest of `MEANS`; else every column, the mean of `MEANS` and the last of codes."""
    _begin_ms: int = -1
    _ids: IdColumn | None = None
    _last: ShortMatrix | None = None
    _sum: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    _count: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int32))
    _low: ShortMatrix = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int16))
    _high: ShortMatrix = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int16))
    _sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, sweep: Sweep) -> Rolled | None:
        """Take a sweep; the step before it, where this one begins a new step or another list of miners."""
        begin_ms = sweep.at_ms // self.step_ms * self.step_ms
        same = self._ids is not None and (sweep.miner_id is self._ids or np.array_equal(sweep.miner_id, self._ids))
        over = self._rolled() if begin_ms != self._begin_ms or not same else None
        if begin_ms != self._begin_ms or not same:
            self._reset(begin_ms, sweep)
        values = sweep.columns[_MEAN_ROWS]
        known = values != UNKNOWN_SHORT
        self._sum += np.where(known, values, 0)
        self._count += known
        self._last = sweep.columns
        if self.extremes:
            np.minimum(self._low, np.where(known, values, np.int16(2**15 - 1)), out=self._low)
            np.maximum(self._high, values, out=self._high)
        for name, figures in sweep.sums.items():
            kept = self._sums.setdefault(name, np.zeros((2, len(SUM_COLUMNS))))
            given = np.array(figures, dtype=np.float64)
            kept[0] += np.nan_to_num(given)
            kept[1] += np.isfinite(given)
        return over

    def _rolled(self) -> Rolled | None:
        if self._ids is None or self._last is None:
            return None
        known = self._count > 0
        mean = np.rint(self._sum / np.maximum(self._count, 1)).astype(np.int16)
        mean[~known] = UNKNOWN_SHORT
        if self.extremes:
            low = np.where(known, self._low, np.int16(UNKNOWN_SHORT))
            columns = np.stack([mean, low, self._high], axis=1).reshape(-1, mean.shape[1])
        else:
            columns = self._last.copy()
            columns[_MEAN_ROWS] = mean
        sums = {
            name: [float(total / count) if count else None for total, count in zip(*kept, strict=True)]
            for name, kept in self._sums.items()
        }
        return Rolled(at_ms=self._begin_ms, miner_id=self._ids, columns=columns, sums=sums)

    def _reset(self, begin_ms: int, sweep: Sweep) -> None:
        shape = (len(MEANS), sweep.columns.shape[1])
        self._begin_ms, self._ids, self._last = begin_ms, sweep.miner_id, None
        self._sum, self._count = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int32)
        self._low = np.full(shape, 2**15 - 1, dtype=np.int16)
        self._high = np.full(shape, UNKNOWN_SHORT, dtype=np.int16)
        self._sums = {}


def plain(sums: Mapping[str, Sequence[float]]) -> dict[str, list[float | None]]:
    """Sums as SQLite takes them."""
    return {name: [value if math.isfinite(value) else None for value in values] for name, values in sums.items()}
