"""Sizes and times as people write them, always with a unit: `20MW`, `85%`, `90m`, `18:00`; nothing but stdlib."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from farmctl.errors import AskHumanError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(W|kW|MW|GW|%)", re.IGNORECASE)
_WATTS = {"w": 1.0, "kw": 1e3, "mw": 1e6, "gw": 1e9}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
LONGEST_S = 36_500 * 86_400.0
"""A century: what is longer has no end that a calendar could name."""
LARGEST_W = 1e12
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class SizeError(AskHumanError):
    """A size or a time without a unit, or with one that nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """An amount of power, or a share of one."""

    amount: float
    percent: bool
    """True: `amount` is a percentage of something that the reader names."""

    def watts(self, whole_w: float) -> float:
        """In W; a share is taken of `whole_w`."""
        return self.amount / 100.0 * whole_w if self.percent else self.amount


def size_of(text: str) -> Size:
    """`20MW`, `500 kW`, `85%`. Raises SizeError for a bare number or an unknown unit."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        message = f"{text!r}: expected a size with its unit, such as 20MW, 500kW or 85%"
        raise SizeError(message)
    number, unit = float(match[1]), match[2].lower()
    size = Size(amount=number, percent=True) if unit == "%" else Size(amount=number * _WATTS[unit], percent=False)
    if size.amount > LARGEST_W:
        message = f"{text[:30]!r}: expected at most 1000GW"
        raise SizeError(message)
    return size


def span_s(text: str) -> float:
    """`90s`, `30m`, `2h`, `1d` in seconds. Raises SizeError for a bare number, and for more than a century."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        message = f"{text!r}: expected a time with its unit, such as 90s, 30m or 2h"
        raise SizeError(message)
    span = float(match[1]) * _SECONDS[match[2]]
    if span > LONGEST_S:
        message = f"{text[:30]!r}: expected at most 36500d"
        raise SizeError(message)
    return span


def lasting_s(text: str) -> float:
    """The same for what lasts: more than nothing. Raises SizeError."""
    span = span_s(text)
    if not span:
        message = f"{text!r}: expected a time longer than nothing, such as 90s, 30m or 2h"
        raise SizeError(message)
    return span


def moment(text: str, zone: str, now: datetime) -> datetime:
    """`18:00` (the next one, site time) or an ISO date and time (site time unless it names a zone), in UTC.

    Raises SizeError for anything else, and for a moment that is over.
    """
    try:
        site = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        message = f"{zone!r}: expected an IANA time zone, such as Asia/Karachi"
        raise SizeError(message) from None
    if clock := _CLOCK.fullmatch(text.strip()):
        local = now.astimezone(site)
        due = datetime.combine(local.date(), time(int(clock[1]), int(clock[2])), site)
        return (due if due > local else due + timedelta(days=1)).astimezone(UTC)
    try:
        due = datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{text!r}: expected a time such as 18:00 or 2026-11-24T18:00, or one with a zone"
        raise SizeError(message) from None
    due = (due if due.tzinfo else due.replace(tzinfo=site)).astimezone(UTC)
    if due <= now:
        message = f"{text!r}: expected a time that is still to come"
        raise SizeError(message)
    return due
