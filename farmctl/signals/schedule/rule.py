"""Repeating entries as calendars write them: what days and weeks need of iCalendar's RRULE (RFC 5545, 3.3.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAYS_PER = {"DAILY": 1, "WEEKLY": 7}
KEYS = ("FREQ", "INTERVAL", "BYDAY", "BYMONTH", "COUNT", "UNTIL")
MOST = 10_000
MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """On which days an entry begins again."""

    freq: str
    interval: int = 1
    days: tuple[str, ...] = ()
    months: tuple[int, ...] = ()
    count: int | None = None
    until: date | None = None
    """Last day on which it may begin."""

    def starts(self, first: date, since: date, last: date) -> Iterator[date]:
        """Days on which it begins, of those from `since` to `last`; `first` is the day of the entry's own start."""
        end = last if self.until is None else min(last, self.until)
        begun = 0
        day = first if self.count is not None else max(first, since)
        while day <= end and (self.count is None or begun < self.count):
            if self._fits(first, day):
                begun += 1
                if day >= since:
                    yield day
            day += timedelta(days=1)

    def _fits(self, first: date, day: date) -> bool:
        if self.months and day.month not in self.months:
            return False
        if self.freq == "DAILY":
            named = not self.days or WEEKDAYS[day.weekday()] in self.days
            return named and (day - first).days % self.interval == 0
        days = self.days or (WEEKDAYS[first.weekday()],)
        weeks = ((day - timedelta(days=day.weekday())) - (first - timedelta(days=first.weekday()))).days // 7
        return WEEKDAYS[day.weekday()] in days and weeks % self.interval == 0


def read_rule(text: object) -> object:
    """The rule in a text such as `FREQ=WEEKLY;BYDAY=MO,TU;UNTIL=20261231`.  Raises ValueError naming the part."""
    if not isinstance(text, str):
        return text
    parts = dict(part.partition("=")[::2] for part in text.upper().removeprefix("RRULE:").split(";"))
    unknown = sorted(parts.keys() - set(KEYS))
    if unknown:
        raise ValueError(f"{unknown[0]}: expected {', '.join(KEYS)}")
    if parts.get("FREQ") not in DAYS_PER:
        raise ValueError("FREQ: expected DAILY or WEEKLY")
    days = tuple(parts["BYDAY"].split(",")) if "BYDAY" in parts else ()
    if set(days) - set(WEEKDAYS):
        raise ValueError(f"BYDAY: expected some of {','.join(WEEKDAYS)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT: expected either it or UNTIL")
    return Rule(
        freq=parts["FREQ"],
        interval=_number("INTERVAL", parts.get("INTERVAL", "1"), MOST),
        days=days,
        months=tuple(_number("BYMONTH", m, MONTHS) for m in parts["BYMONTH"].split(",")) if "BYMONTH" in parts else (),
        count=_number("COUNT", parts["COUNT"], MOST) if "COUNT" in parts else None,
        until=_day(parts["UNTIL"]) if "UNTIL" in parts else None,
    )


def _number(name: str, text: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"{name}: expected a number from 1 to {most}")
    return int(text)


def _day(text: str) -> date:
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()  # noqa: DTZ007 - a day of the schedule's own zone
    except ValueError:
        raise ValueError("UNTIL: expected a day such as 20261231") from None
