"""When the entries of a schedule hold: their occurrences around now, as grid events."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from farmctl.core.grid import LOWEST_PRIORITY, PLAN_PRIORITY, EventClass, GridEvent, Interval
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.signals._intake.convert import on_expiry, respond_within_s
from farmctl.signals._intake.duration import DAY_MS
from farmctl.signals._intake.origin import MOST_AUTHORITY_MS
from farmctl.signals._intake.standing import Pair
from farmctl.signals.schedule.entries import DAYS, Entry, Schedule
from farmctl.signals.schedule.rule import Rule

AHEAD_MS = DAY_MS
"""Occurrences are stated a day before they begin, so that the operator sees what comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One entry at one time."""

    event_id: str
    entry: Entry
    start_ms: int
    end_ms: int

    @property
    def digest(self) -> str:
        """Of what it says."""
        entry = self.entry
        said = (self.start_ms, self.end_ms, entry.limit_kw, entry.target_kw, _class(entry), entry.priority)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


def occurrences(schedule: Schedule, now_ms: int) -> tuple[Occurrence, ...]:
    """Those that hold now or begin within a day, by start."""
    found = [
        occurrence
        for number, entry in enumerate(schedule.entry)
        for occurrence in _of(entry, entry.name or f"entry-{number}", schedule, now_ms)
        if occurrence.start_ms < now_ms + AHEAD_MS and occurrence.end_ms > now_ms
    ]
    return tuple(sorted(found, key=lambda o: (o.start_ms, o.event_id)))


def event_of(occurrence: Occurrence, *, source: str, rating_w: float, pair: Pair, now_ms: int) -> GridEvent:
    """The event as the core knows it; a limit above the rating is the rating, authority is at most 7 days."""
    entry = occurrence.entry
    event_class = _class(entry)
    limit_w = None if entry.limit_kw is None else min(entry.limit_kw * WATTS_PER_KW, rating_w)
    setpoint_w = None if entry.target_kw is None else entry.target_kw * WATTS_PER_KW
    return GridEvent(
        event_id=occurrence.event_id,
        msg_id=f"{occurrence.event_id}-{pair[1]}",
        source=source,
        issuer=source,
        epoch=pair[0],
        seq=pair[1],
        event_class=event_class,
        priority=PLAN_PRIORITY if entry.priority is None else min(entry.priority, LOWEST_PRIORITY),
        created_ms=now_ms,
        expires_ms=min(occurrence.end_ms, now_ms + MOST_AUTHORITY_MS),
        intervals=(
            Interval(start_ms=occurrence.start_ms, end_ms=occurrence.end_ms, limit_w=limit_w, setpoint_w=setpoint_w),
        ),
        respond_within_s=respond_within_s(event_class),
        on_expiry=on_expiry(event_class),
    )


def _of(entry: Entry, name: str, schedule: Schedule, now_ms: int) -> Iterator[Occurrence]:
    if entry.start is not None and entry.end is not None:
        if entry.repeats is None:
            yield _made(entry, name, schedule, entry.start, entry.end)
        else:
            yield from _repeated(entry, entry.repeats, name, schedule, now_ms)
        return
    if entry.since is None or entry.until is None:
        return
    today = datetime.fromtimestamp(now_ms / MS_PER_S, tz=schedule.zone).date()
    for offset in (-1, 0, 1, 2):
        day = today + timedelta(days=offset)
        if entry.days is not None and DAYS[day.weekday()] not in entry.days:
            continue
        last = day if entry.since < entry.until else day + timedelta(days=1)
        yield _made(entry, name, schedule, _at(day, entry.since), _at(last, entry.until))


def _repeated(entry: Entry, rule: Rule, name: str, schedule: Schedule, now_ms: int) -> Iterator[Occurrence]:
    """The times around now; each begins at the same time of day, whatever the clocks did in between."""
    first, end = entry.start, entry.end
    if first is None or end is None:
        return
    today = datetime.fromtimestamp(now_ms / MS_PER_S, tz=first.tzinfo or schedule.zone).date()
    length = end - first
    since = today - timedelta(days=length.days + 1)
    for day in rule.starts(first.date(), since, today + timedelta(days=2)):
        start = datetime.combine(day, first.timetz())
        yield _made(entry, name, schedule, start, start + length)


def _at(day: date, clock: time) -> datetime:
    """That time of that day; 24:00 is the next midnight."""
    if clock == time.max:
        return datetime.combine(day + timedelta(days=1), time.min)
    return datetime.combine(day, clock)


def _made(entry: Entry, name: str, schedule: Schedule, start: datetime, end: datetime) -> Occurrence:
    start_ms, end_ms = (_ms(m if m.tzinfo is not None else m.replace(tzinfo=schedule.zone)) for m in (start, end))
    stamp = datetime.fromtimestamp(start_ms / MS_PER_S, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    return Occurrence(event_id=f"{name}-{stamp}", entry=entry, start_ms=start_ms, end_ms=end_ms)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * MS_PER_S)


def _class(entry: Entry) -> EventClass:
    if entry.event_class is not None:
        return EventClass(entry.event_class)
    return EventClass.TARGET if entry.limit_kw is None else EventClass.LIMIT
