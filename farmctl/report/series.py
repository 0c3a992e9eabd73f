"""The power of a stretch of time, from the journal's pages, and its energy by trapezoids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from farmctl.core.model import Quality
from farmctl.core.units import FloatColumn, IntColumn, MaskColumn
from farmctl.ports.series import QUALITIES, SITE_COLUMNS, UNKNOWN, SeriesPage, unpack
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.report.canonical import MS_PER_S, S_PER_H

MAX_GAP_MS = 5_000
"""Two samples further apart than this have a gap between them, which no energy is counted for."""
_OK = QUALITIES.index(Quality.OK)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Line:
    """A quantity over time: straight lines between samples, nothing across gaps."""

    at_ms: IntColumn
    value: FloatColumn

    def between(self, from_ms: int, to_ms: int) -> Line:
        """The samples in [from, to]."""
        inside = (self.at_ms >= from_ms) & (self.at_ms <= to_ms)
        return Line(at_ms=self.at_ms[inside], value=self.value[inside])

    def clipped(self, from_ms: int, to_ms: int) -> Line:
        """The line in [from, to], with its values at the ends where no gap is there."""
        inner = self.between(from_ms, to_ms)
        at_ms, value = [*inner.at_ms.tolist()], [*inner.value.tolist()]
        for edge_ms, place in ((from_ms, 0), (to_ms, len(at_ms) + 1)):
            found = self._at(edge_ms)
            if found is not None and edge_ms not in at_ms:
                at_ms.insert(place, edge_ms)
                value.insert(place, found)
        return Line(at_ms=np.array(at_ms, dtype=np.int64), value=np.array(value, dtype=np.float64))

    def mean(self) -> float | None:
        """Mean over the covered time; of a single sample its value, of none None."""
        covered_s = self.covered_s()
        if covered_s > 0:
            return self.integral() / covered_s
        return float(self.value.mean()) if len(self.value) else None

    def integral(self) -> float:
        """Value x seconds."""
        step_s = self._steps_s()
        return float((step_s * (self.value[1:] + self.value[:-1]) / 2.0).sum())

    def covered_s(self) -> float:
        """Seconds that samples stand for."""
        return float(self._steps_s().sum())

    def _steps_s(self) -> FloatColumn:
        step_ms = np.diff(self.at_ms)
        seconds: FloatColumn = np.where(step_ms <= MAX_GAP_MS, step_ms, 0) / MS_PER_S
        return seconds

    def _at(self, at_ms: int) -> float | None:
        after = int(np.searchsorted(self.at_ms, at_ms))
        if after == 0 or after == len(self.at_ms) or self.at_ms[after] - self.at_ms[after - 1] > MAX_GAP_MS:
            return None
        return float(np.interp(at_ms, self.at_ms[after - 1 : after + 1], self.value[after - 1 : after + 1]))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SiteSeries:
    """Every sample of a stretch, in order of time, doubles dropped."""

    site: dict[str, IntColumn]
    """By name of `SITE_COLUMNS`."""

    @property
    def at_ms(self) -> IntColumn:
        """When each sample was taken."""
        return self.site["at_ms"]

    def line(self, column: str, scale: float = 1.0) -> Line:
        """A column where it is known."""
        known = self.site[column] != UNKNOWN
        return Line(at_ms=self.at_ms[known], value=self.site[column][known] * scale)

    def metered(self) -> Line:
        """The meter by its own clock, where it vouches for its value."""
        good = self.ok
        at_ms, first = np.unique(self.site["meter_at_ms"][good], return_index=True)
        return Line(at_ms=at_ms, value=self.site["meter_w"][good][first].astype(np.float64))

    def power(self) -> tuple[Line, str]:
        """What the site draws, and where that is from: METER, or SUMMED where no meter vouches for one sample."""
        metered = self.metered()
        return (metered, "METER") if len(metered.at_ms) else (self.line("device_w"), "SUMMED")

    @property
    def ok(self) -> MaskColumn:
        """Samples with a good meter value."""
        good: MaskColumn = (self.site["quality"] == _OK) & (self.site["meter_w"] != UNKNOWN)
        return good


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Page:
    """One page with the record that carries it."""

    facts: int
    page: SeriesPage


def pages(records: Iterable[StoredRecord]) -> list[Page]:
    """The series pages among records. Raises StoreError for one that cannot be read."""
    found: list[Page] = []
    for stored in records:
        if stored.record.kind is RecordKind.SERIES:
            facts = stored.record.body.get("facts", 0)
            found.append(Page(facts=facts if isinstance(facts, int) else 0, page=unpack(stored.record.blob)))
    return found


def joined(found: Sequence[Page], from_ms: int, to_ms: int) -> SiteSeries:
    """All samples in [from, to] as one series."""
    columns = {
        name: np.concatenate([np.zeros(0, dtype=np.int64), *(each.page.column(name) for each in found)])
        for name in SITE_COLUMNS
    }
    at_ms, first = np.unique(columns["at_ms"], return_index=True)
    inside = first[(at_ms >= from_ms) & (at_ms <= to_ms)]
    return SiteSeries(site={name: column[inside] for name, column in columns.items()})


def raw_csv(series: SiteSeries) -> str:
    """The samples as they were recorded, one line each, empty where unknown."""
    rows = zip(*(series.site[name].tolist() for name in SITE_COLUMNS), strict=True)
    quality = SITE_COLUMNS.index("quality")
    lines = [",".join(SITE_COLUMNS)]
    for row in rows:
        cells = ["" if value == UNKNOWN else str(value) for value in row]
        cells[quality] = QUALITIES[row[quality]].value
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def raw_digest(series: SiteSeries) -> str:
    """SHA-256 of the raw CSV."""
    return hashlib.sha256(raw_csv(series).encode()).hexdigest()


def wh(line: Line) -> float:
    """Energy of a line of watts, Wh."""
    return line.integral() / S_PER_H


def minus(line: Line, other_w: float | Line) -> Line:
    """A line less a constant, or less another line at this line's moments."""
    if isinstance(other_w, Line):
        if not len(other_w.at_ms):
            return Line(at_ms=line.at_ms[:0], value=line.value[:0])
        return Line(at_ms=line.at_ms, value=line.value - np.interp(line.at_ms, other_w.at_ms, other_w.value))
    return Line(at_ms=line.at_ms, value=line.value - other_w)


def positive(line: Line) -> Line:
    """The line where it is above zero, else zero."""
    return Line(at_ms=line.at_ms, value=np.maximum(line.value, 0.0))
