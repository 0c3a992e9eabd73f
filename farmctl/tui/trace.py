"""What the site drew and should have drawn over the last hours: a ring of samples, and the braille picture of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from farmctl.core.units import FloatColumn
from farmctl.ports.feed import FleetImage

SPAN_S = 7_200.0
MOST = 7_200
"""One sample a second for two hours."""
BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of a dot by row and column of a cell (Unicode chapter 21, Braille patterns)."""
DASH = 4
"""The target is drawn as dashes of three dot columns in four, so that it differs without colour."""


@dataclass(slots=True)
class Trace:
    """Samples of power and target, kW, oldest first."""

    at_s: list[float] = field(default_factory=list)
    power_kw: list[float] = field(default_factory=list)
    target_kw: list[float] = field(default_factory=list)

    def add(self, image: FleetImage) -> None:
        """One more sample; at most one a second is kept."""
        at_s = image.at_ms / 1_000
        if self.at_s and at_s - self.at_s[-1] < 1.0:
            return
        for values, value in (
            (self.at_s, at_s),
            (self.power_kw, image.strip.power_kw),
            (self.target_kw, image.strip.target_kw),
        ):
            values.append(value)
            del values[:-MOST]

    def fill(self, past: Mapping[str, Sequence[float | None]]) -> None:
        """Put the past before what was seen: `at_ms`, `power_w`, `target_w`, oldest first."""
        first_s = self.at_s[0] if self.at_s else np.inf
        older = [
            (at_ms / 1_000, power_w / 1_000, np.nan if target_w is None else target_w / 1_000)
            for at_ms, power_w, target_w in zip(past["at_ms"], past["power_w"], past["target_w"], strict=True)
            if at_ms is not None and power_w is not None and at_ms / 1_000 < first_s
        ]
        if older:
            at_s, power_kw, target_kw = (list(column) for column in zip(*older, strict=True))
            self.at_s[:0], self.power_kw[:0], self.target_kw[:0] = at_s, power_kw, target_kw

    def retell(self, past: Mapping[str, Sequence[float | None]]) -> None:
        """Forget what was there: a replay's playhead goes back too."""
        self.at_s.clear()
        self.power_kw.clear()
        self.target_kw.clear()
        self.fill(past)

    def span_s(self) -> float:
        """Length to draw: what there is, at least a minute, at most two hours."""
        have_s = self.at_s[-1] - self.at_s[0] if self.at_s else 0.0
        return next((s for s in (60.0, 300.0, 900.0, 3_600.0) if have_s <= s), SPAN_S)

    def binned(self, columns: int) -> tuple[FloatColumn, FloatColumn]:
        """Power and target per dot column, kW, newest at the right; NaN where there is nothing."""
        power, target = np.full(columns, np.nan), np.full(columns, np.nan)
        if not self.at_s:
            return power, target
        back_s = self.at_s[-1] - np.array(self.at_s)
        place = columns - 1 - np.floor(back_s / self.span_s() * columns).astype(np.int64)
        inside = place >= 0
        place = place[inside]
        power[place] = np.array(self.power_kw)[inside]
        target[place] = np.array(self.target_kw)[inside]
        return _held(power), _held(target)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Chart:
    """Cells of a chart, top line first."""

    actual: tuple[str, ...]
    """Lines of braille: the solid line."""
    target: tuple[str, ...]
    """Lines of braille: the dashed line; drawn where `actual` has no dot in the cell."""
    high_kw: float
    low_kw: float


def drawn(trace: Trace, width: int, height: int) -> Chart:
    """The chart in `width` x `height` cells, scaled to what it shows with zero at the bottom unless that hides it."""
    power, target = trace.binned(2 * width)
    values = np.concatenate([power, target])
    known = values[np.isfinite(values)]
    high = float(known.max()) if len(known) else 1.0
    low = float(known.min()) if len(known) else 0.0
    room = max(high - low, 0.02 * max(high, 1.0))
    high, low = high + 0.1 * room, max(low - 0.1 * room, 0.0)
    return Chart(
        actual=_lines(_dots(power, high, low, 4 * height), height),
        target=_lines(_dashed(_dots(target, high, low, 4 * height)), height),
        high_kw=high,
        low_kw=low,
    )


def _held(values: FloatColumn) -> FloatColumn:
    """Every gap between samples holds the sample before it."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    before = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    held: FloatColumn = np.where(before >= 0, values[known[np.maximum(before, 0)]], np.nan)
    return held


def _dots(values: FloatColumn, high: float, low: float, rows: int) -> np.ndarray:
    """Dots, shape (rows, columns), bool; steps are joined by a vertical line."""
    columns = len(values)
    dots = np.zeros((rows, columns), dtype=np.bool_)
    level = (high - values) / max(high - low, 1e-9) * (rows - 1)
    at = np.where(np.isfinite(level), np.clip(np.rint(np.nan_to_num(level)), 0, rows - 1), -1).astype(np.int64)
    before = np.concatenate([at[:1], at[:-1]])
    joined = np.where(before >= 0, before, at)
    index = np.arange(rows)[:, None]
    dots |= (index >= np.minimum(at, joined)) & (index <= np.maximum(at, joined)) & (at >= 0)
    return dots


def _dashed(dots: np.ndarray) -> np.ndarray:
    gaps: np.ndarray = dots & (np.arange(dots.shape[1]) % DASH < DASH - 1)
    return gaps


def _lines(dots: np.ndarray, height: int) -> tuple[str, ...]:
    cells = np.zeros((height, dots.shape[1] // 2), dtype=np.int64)
    for row, bits in enumerate(DOTS):
        for column, bit in enumerate(bits):
            cells += np.where(dots[row::4, column::2], bit, 0)
    return tuple("".join(chr(BRAILLE + int(cell)) if cell else " " for cell in line) for line in cells)
