"""RFC 3339 times with Z and ISO 8601 durations, both in milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from farmctl.core.units import MS_PER_S

DAY_MS = 86_400 * MS_PER_S
YEAR_MS = 365 * DAY_MS
MONTH_MS = 30 * DAY_MS
"""A calendar-free reading of Y and M: durations are always cut by the end of authority, at most 7 days on."""
OPEN_ENDED_MS = 9_999 * YEAR_MS
"""P9999Y, OpenADR 3.1's word for infinity."""
START_NOW = -1
"""What `start_ms_of` gives for 0001-01-01, OpenADR 3.1's word for now."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z")
_NOW = re.compile(r"0001-01-01(T00:00:00(\.0{1,9})?Z?)?")
_DURATION = re.compile(
    r"P(?=[0-9]|T[0-9])"
    r"(?:(?P<years>[0-9]{1,6})Y)?(?:(?P<months>[0-9]{1,6})M)?(?:(?P<weeks>[0-9]{1,6})W)?(?:(?P<days>[0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?"
)
_UNIT_MS = {
    "years": YEAR_MS,
    "months": MONTH_MS,
    "weeks": 7 * DAY_MS,
    "days": DAY_MS,
    "hours": 3_600 * MS_PER_S,
    "minutes": 60 * MS_PER_S,
    "seconds": MS_PER_S,
}


def time_ms_of(text: object) -> int:
    """Milliseconds since the epoch of an RFC 3339 time in UTC with Z.  Raises ValueError."""
    if not isinstance(text, str) or _TIME.fullmatch(text) is None:
        raise ValueError("expected an RFC 3339 time in UTC, such as 2026-11-23T10:05:00Z")
    moment = datetime.fromisoformat(f"{text[:19]}+00:00")
    if moment.year < 1970:  # noqa: PLR2004 - the Unix epoch
        raise ValueError("expected a time after 1970")
    fraction_ms = int(f"{text[20:-1]:0<3}"[:3]) if text[19] == "." else 0
    return int(moment.timestamp()) * MS_PER_S + fraction_ms


def start_ms_of(text: object) -> int:
    """As `time_ms_of`, and START_NOW for 0001-01-01 with or without its midnight.  Raises ValueError."""
    if isinstance(text, str) and _NOW.fullmatch(text):
        return START_NOW
    return time_ms_of(text)


def duration_ms_of(text: object) -> int:
    """Milliseconds of an ISO 8601 duration without sign; at most OPEN_ENDED_MS.  Raises ValueError."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("expected an ISO 8601 duration without sign, such as PT5M")
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    total = sum(float(value) * _UNIT_MS[name] for name, value in parts.items())
    return min(round(total), OPEN_ENDED_MS)


def rfc3339(at_ms: int) -> str:
    """The time as the grid reads it, to the second when it is whole, else to the millisecond."""
    moment = datetime.fromtimestamp(at_ms / MS_PER_S, tz=UTC)
    spec = "seconds" if at_ms % MS_PER_S == 0 else "milliseconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")
