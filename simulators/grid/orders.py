"""What a dispatcher can ask of a site, and the identifiers and times it writes."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

OPEN_ENDED = "P9999Y"
"""OpenADR's way to say until further notice."""
HOUR_S, MINUTE_S = 3_600, 60


class EventClass(StrEnum):
    """Why the site must obey, and how hard."""

    EMERGENCY = "EMERGENCY"
    LIMIT = "LIMIT"
    TARGET = "TARGET"
    ECONOMIC = "ECONOMIC"
    TEST = "TEST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One wish of the grid, before it has an identity, a sequence number or a time."""

    target_kw: float | None = None
    """Set-point, absolute consumption; None says nothing about it."""
    limit_kw: float | None = None
    """Import limit; 0 is zero kW, None says nothing about it."""
    duration_s: float = 300.0
    lead_s: float = 0.0
    """How long before its start the order is sent."""
    event_class: EventClass | None = None
    """None: LIMIT where there is a limit, else TARGET."""
    name: str = ""
    priority: int | None = 10
    """0 is the highest."""
    respond_within_s: int | None = None
    ramp_down_kw_per_min: float | None = None
    ramp_up_kw_per_min: float | None = None
    tolerance_kw: float | None = None
    on_expiry: str | None = None
    """SUBSCRIPTION, HOLD, RELEASE; None leaves it to the class."""
    randomize_s: float = 0.0
    """Range of the random shift of the start."""
    expires_in_s: float | None = None
    """End of authority, counted from sending; None: the end of the interval."""
    alert: str | None = None
    """Text of a grid emergency."""
    acks: tuple[str, ...] = ()
    """States to report; none named means all."""

    @property
    def effective_class(self) -> EventClass:
        """The class, inferred where it is not stated."""
        if self.event_class is not None:
            return self.event_class
        return EventClass.TARGET if self.limit_kw is None else EventClass.LIMIT


def uuid7(now: datetime) -> str:
    """UUID version 7 (RFC 9562): 48 bits of milliseconds, the rest random."""
    millis = int(now.timestamp() * 1_000)
    value = millis << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def utc_now() -> datetime:
    """The clock of a dispatcher."""
    return datetime.now(UTC)


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC with Z; milliseconds only where there are any."""
    precision = "milliseconds" if moment.microsecond >= 1_000 else "seconds"  # noqa: PLR2004 - a millisecond
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def duration_text(seconds: float) -> str:
    """ISO 8601 duration, as short as it gets: PT5M, PT1H30M, PT17.5S."""
    hours, rest = divmod(round(seconds, 3), HOUR_S)
    minutes, left = divmod(rest, MINUTE_S)
    parts = [
        (f"{hours:.0f}H", hours),
        (f"{minutes:.0f}M", minutes),
        (f"{left:.3f}".rstrip("0").rstrip(".") + "S", left),
    ]
    return "PT" + ("".join(text for text, amount in parts if amount) or "0S")


def number(value: float) -> float:
    """A whole number loses its fraction, so that 18500.0 is written as 18500."""
    return int(value) if float(value).is_integer() else value
