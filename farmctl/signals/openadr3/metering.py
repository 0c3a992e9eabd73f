"""Energy and mean power per interval of each event, and which measurement reports are due (reportDescriptors)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from farmctl.core.grid import GridEvent
from farmctl.core.model import Quality
from farmctl.ports.grid import Telemetry
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals.openadr3.reports import Measured, ReportBody, Reporter, measurement_report

KINDS = frozenset({"USAGE", "DEMAND"})
"""What this site can measure for a report; other report types are not produced."""
MOST_GAP_MS = 10_000
"""A sample holds until the next one, but not longer than a site meter may be silent (SIGNALS section 10)."""
WHOLE = 0.99
"""An interval measured for less than this part of its length is ESTIMATED at best."""
EVERY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One reportDescriptor with its defaults applied to the event's number of intervals."""

    kind: str
    covers: int
    """Intervals in one report."""
    every: int
    """Intervals between two reports."""
    first: int
    """Interval at whose end the first report is due."""
    repeat: int
    """Number of reports; -1 without end."""


@dataclass(slots=True, kw_only=True)
class _Cell:
    energy_wms: float = 0.0
    covered_ms: int = 0
    poor: bool = False


@dataclass(slots=True, kw_only=True)
class _Book:
    event: GridEvent
    wanted: tuple[Wanted, ...]
    cells: dict[int, _Cell] = field(default_factory=dict)
    sent: dict[Wanted, int] = field(default_factory=dict)


class Metering:
    """Adds up what the meter says while events last."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._books: dict[str, _Book] = {}
        self._last: Telemetry | None = None

    def watch(self, event: GridEvent, descriptors: object) -> None:
        """Measure for the reports that this event asks for; an updated event keeps what was measured."""
        wanted = tuple(_wanted(descriptors, len(event.intervals)))
        known = self._books.get(event.event_id)
        if known is not None and [i.start_ms for i in known.event.intervals] == [i.start_ms for i in event.intervals]:
            self._books[event.event_id] = _Book(event=event, wanted=wanted, cells=known.cells, sent=known.sent)
        elif wanted:
            self._books[event.event_id] = _Book(event=event, wanted=wanted)
        else:
            self._books.pop(event.event_id, None)

    def withdraw(self, event_id: str, now_ms: int) -> None:
        """A withdrawn event ends now; what was measured until here is still reported."""
        book = self._books.get(event_id)
        if book is not None:
            book.event = replace(book.event, expires_ms=min(book.event.expires_ms, now_ms))

    def sample(self, seen: Telemetry) -> None:
        """The power of the site now; the one before holds until here."""
        last, self._last = self._last, seen
        if last is None or seen.at_ms <= last.at_ms or not math.isfinite(last.power_w):
            return
        until_ms = min(seen.at_ms, last.at_ms + MOST_GAP_MS)
        for book in self._books.values():
            _add(book, last, until_ms)

    def due(self, now_ms: int) -> list[ReportBody]:
        """Reports whose interval has ended and was not reported; books whose last report is out are closed."""
        found: list[ReportBody] = []
        for event_id, book in list(self._books.items()):
            for wanted in book.wanted:
                found += self._due(book, wanted, now_ms)
            if now_ms >= book.event.end_ms:
                del self._books[event_id]
        return found

    def _due(self, book: _Book, wanted: Wanted, now_ms: int) -> Iterable[ReportBody]:
        intervals = book.event.intervals
        over = now_ms >= book.event.end_ms
        while wanted.repeat == EVERY or book.sent.get(wanted, 0) < wanted.repeat:
            last = wanted.first + book.sent.get(wanted, 0) * wanted.every
            if last >= len(intervals) or (intervals[last].end_ms > now_ms and not over):
                return
            rows = [_measured(book, number) for number in range(max(last - wanted.covers + 1, 0), last + 1)]
            book.sent[wanted] = book.sent.get(wanted, 0) + 1
            began = [row for row in rows if row.start_ms < row.end_ms]
            if began:
                yield measurement_report(book.event.event_id, wanted.kind, began, self._reporter)


def _wanted(descriptors: object, intervals: int) -> Iterable[Wanted]:
    for descriptor in descriptors if isinstance(descriptors, list) else []:
        if not isinstance(descriptor, dict) or descriptor.get("payloadType") not in KINDS:
            continue
        covers = _whole(descriptor, "numIntervals")
        covers = min(covers, intervals) if covers > 0 else intervals
        every = _whole(descriptor, "frequency")
        every = every if every > 0 else covers
        start = _whole(descriptor, "startInterval")
        repeat = _whole(descriptor, "repeat", 1)
        first = start if start >= 0 else every - 1
        yield Wanted(kind=descriptor["payloadType"], covers=covers, every=every, first=first, repeat=max(repeat, EVERY))


def _whole(descriptor: JsonObject, name: str, default: int = EVERY) -> int:
    value = descriptor.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _add(book: _Book, held: Telemetry, until_ms: int) -> None:
    for number, interval in enumerate(book.event.intervals):
        end_ms = min(interval.end_ms, book.event.end_ms)
        length_ms = min(until_ms, end_ms) - max(held.at_ms, interval.start_ms)
        if length_ms <= 0:
            continue
        cell = book.cells.setdefault(number, _Cell())
        cell.energy_wms += held.power_w * length_ms
        cell.covered_ms += length_ms
        cell.poor = cell.poor or held.quality is not Quality.OK


def _measured(book: _Book, number: int) -> Measured:
    interval = book.event.intervals[number]
    end_ms = min(interval.end_ms, book.event.end_ms)
    cell = book.cells.get(number, _Cell())
    length_ms = max(end_ms - interval.start_ms, 1)
    if cell.covered_ms == 0:
        quality = Quality.MISSING
    elif cell.poor or cell.covered_ms < WHOLE * length_ms:
        quality = Quality.ESTIMATED
    else:
        quality = Quality.OK
    return Measured(
        interval=number,
        start_ms=interval.start_ms,
        end_ms=end_ms,
        mean_w=cell.energy_wms / cell.covered_ms if cell.covered_ms else 0.0,
        covered_ms=cell.covered_ms,
        quality=quality.value,
    )
