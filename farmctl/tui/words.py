"""Numbers and states as an operator reads them: fixed decimals, units, a glyph beside every colour."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

UNKNOWN = "?"
ALARM_GLYPHS = {1: "▲1", 2: "◆2", 3: "●3", 4: "▪4"}
"""Shape and digit, so that no alarm is told by its colour alone."""
STATE_GLYPHS = {
    "hashing": "■",
    "throttled": "▪",
    "curtailed": "·",
    "booting": "~",
    "fault": "!",
    "offline": "x",
    "unknown": UNKNOWN,
}
WORST_FIRST = ("fault", "offline", "unknown", "booting", "throttled", "curtailed", "hashing")
FAULTY = ("fault", "offline")
"""States that are work for somebody; curtailed by plan is none."""
TWO_DECIMALS_MW = 10
"""From here on the third decimal is noise."""
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def known(value: float | None) -> bool:
    """True for a number that is one."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, decimals: int, width: int = 0) -> str:
    """A number right-aligned with fixed decimals, `?` where it is unknown."""
    if value is None or not math.isfinite(value):
        return UNKNOWN.rjust(width)
    return f"{value:.{decimals}f}".rjust(width)


def megawatts(kw: float | None, *, sign: str = "") -> str:
    """Power in MW with two decimals above 10 MW, three below."""
    if kw is None or not math.isfinite(kw):
        return UNKNOWN
    value = kw / 1_000
    decimals = 2 if abs(value) >= TWO_DECIMALS_MW else 3
    return f"{value:{sign}.{decimals}f}"


def hash_rate(ths: float | None) -> str:
    """Hash rate with the unit that keeps it short."""
    if ths is None or not math.isfinite(ths):
        return f"{UNKNOWN} TH/s"
    for size, unit in ((1e6, "EH/s"), (1e3, "PH/s")):
        if ths >= size:
            return f"{ths / size:.3f} {unit}"
    return f"{ths:.1f} TH/s"


def span(seconds: float | None) -> str:
    """A length of time in at most two units: 14s, 3m05, 2h16, 5d03."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    whole = max(int(seconds), 0)
    if whole < MINUTE_S:
        return f"{whole}s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S}m{whole % MINUTE_S:02}"
    if whole < DAY_S:
        return f"{whole // HOUR_S}h{whole % HOUR_S // MINUTE_S:02}"
    return f"{whole // DAY_S}d{whole % DAY_S // HOUR_S:02}"


def clock(at_ms: float, zone: str = "UTC") -> str:
    """A moment as the clock on the wall of that zone says it."""
    return datetime.fromtimestamp(at_ms / 1_000, tz=UTC).astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")


def moment(text: str | None, zone: str) -> str:
    """An ISO 8601 moment as a clock time in a zone; `-` for none."""
    if text is None:
        return "-"
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")


def day_moment(text: str | None, zone: str) -> str:
    """An ISO 8601 moment with its day; `-` for none."""
    if text is None:
        return "-"
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M")


def clip(text: str, width: int) -> str:
    """The text in exactly `width` cells, an ellipsis where it was cut."""
    if width <= 0:
        return ""
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def percent(share: float | None) -> str:
    """A share of one in whole percent."""
    return f"{UNKNOWN}%" if share is None or not math.isfinite(share) else f"{100 * share:.0f}%"
