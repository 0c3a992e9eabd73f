"""Values of a market over time, read from strangers' tables and documents."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from farmctl.core.units import MS_PER_S
from farmctl.errors import MalformedReplyError
from farmctl.signals.price.config import CsvFeed, Feed, HttpFeed, MqttFeed

MOST_ROWS = 100_000
MILLIS_FROM = 1e11
"""A number above this counts milliseconds since 1970: as seconds it would be the year 5138."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One value and when it holds, half-open."""

    start_ms: int
    end_ms: int
    value: float


def value_at(quotes: Iterable[Quote], at_ms: int) -> float | None:
    """The value that holds then; of several the one that began last."""
    holding = [q for q in quotes if q.start_ms <= at_ms < q.end_ms]
    return max(holding, key=lambda q: q.start_ms).value if holding else None


def from_csv(raw: bytes, feed: CsvFeed) -> tuple[Quote, ...]:
    """The rows of a table.  Raises MalformedReplyError naming file, line and column."""
    try:
        rows = list(itertools.islice(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))), MOST_ROWS))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedReplyError(f"{feed.path}: expected UTF-8 CSV: {error}") from error
    found = []
    for line, row in enumerate(rows, start=2):
        place = f"{feed.path}: line {line}"
        found.append(
            (_time(row.get(feed.start), feed, place), _end(row, feed, place), _value(row.get(feed.value), feed, place))
        )
    if not found:
        raise MalformedReplyError(f"{feed.path}: expected rows under {feed.start} and {feed.value}")
    return _quotes(found, feed.step_s)


def from_json(document: Any, feed: HttpFeed | MqttFeed) -> tuple[Quote, ...]:
    """The items of a document.  Raises MalformedReplyError naming address, item and path."""
    items = at_path(document, feed.items)
    if not isinstance(items, list) or not items:
        raise MalformedReplyError(f"{feed.url}: {feed.items or 'document'}: expected a list of values")
    found = []
    for number, item in enumerate(items[:MOST_ROWS]):
        place = f"{feed.url}: item {number}"
        end = None if feed.end is None else _time(at_path(item, feed.end), feed, place)
        found.append(
            (_time(at_path(item, feed.start), feed, place), end, _value(at_path(item, feed.value), feed, place))
        )
    return _quotes(found, feed.step_s)


def from_message(document: Any, feed: MqttFeed, at_ms: int | None) -> tuple[Quote, ...]:
    """The values of a message: a list as in a document, or a single one, as an object or a bare number.

    `at_ms` is when it came, None for a retained message, which may be of any age: a single value without a time of
    its own then says nothing.  Raises MalformedReplyError naming the topic and what was expected.
    """
    if isinstance(at_path(document, feed.items), list):
        return from_json(document, feed)
    stated = at_path(document, feed.start)
    start = at_ms if stated is None else _time(stated, feed, feed.url)
    bare = document if not isinstance(document, dict) else at_path(document, feed.value)
    value = _value(bare, feed, feed.url)
    if start is None:
        raise MalformedReplyError(f"{feed.url}: {feed.start}: expected a time in a retained message")
    end = None if feed.end is None else _time(at_path(document, feed.end), feed, feed.url)
    return _quotes([(start, end, value)], feed.step_s)


def joined(known: Iterable[Quote], new: Sequence[Quote], now_ms: int) -> tuple[Quote, ...]:
    """What still holds or is to come, with the newer word about the same start."""
    restated = {quote.start_ms for quote in new}
    kept = [quote for quote in known if quote.end_ms > now_ms and quote.start_ms not in restated]
    return tuple(sorted([*kept, *new], key=lambda quote: quote.start_ms))[-MOST_ROWS:]


def at_path(document: Any, path: str) -> Any:
    """The member at a dotted path, list positions as numbers; None where there is none."""
    found = document
    for part in path.split(".") if path else ():
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def _quotes(found: Sequence[tuple[int, int | None, float]], step_s: float) -> tuple[Quote, ...]:
    """A value without an end holds until the next begins, but not longer than a step."""
    ordered = sorted(found, key=lambda row: row[0])
    starts = [row[0] for row in ordered]
    made = []
    for place, (start, end, value) in enumerate(ordered):
        later = next((s for s in starts[place + 1 :] if s > start), start + round(step_s * MS_PER_S))
        until = end if end is not None else min(later, start + round(step_s * MS_PER_S))
        if until > start:
            made.append(Quote(start_ms=start, end_ms=until, value=value))
    return tuple(made)


def _end(row: dict[str, Any], feed: CsvFeed, place: str) -> int | None:
    return None if feed.end is None else _time(row.get(feed.end), feed, place)


def _time(value: Any, feed: Feed, place: str) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return round(value if value > MILLIS_FROM else value * MS_PER_S)
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise MalformedReplyError(f"{place}: {feed.start}: expected an ISO 8601 time, got {value!r}") from error
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(feed.timezone))
    return round(aware.timestamp() * MS_PER_S)


def _value(value: Any, feed: Feed, place: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value) * feed.scale
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise MalformedReplyError(f"{place}: {feed.value}: expected a finite number, got {value!r}")
    return number
