"""The nouns of the grid: events, their classes and states, site modes, signal messages, acks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from farmctl.core.model import Quality


class EventClass(StrEnum):
    """How hard an event binds."""

    EMERGENCY = "EMERGENCY"
    LIMIT = "LIMIT"
    TARGET = "TARGET"
    ECONOMIC = "ECONOMIC"
    TEST = "TEST"


class OnExpiry(StrEnum):
    """What an event leaves behind when it ends (SIGNALS 3.3)."""

    SUBSCRIPTION = "SUBSCRIPTION"
    HOLD = "HOLD"
    RELEASE = "RELEASE"


class EventState(StrEnum):
    """Life of a grid event (SIGNALS section 5)."""

    RECEIVED = "RECEIVED"
    REJECTED = "REJECTED"
    ACCEPTED = "ACCEPTED"
    SCHEDULED = "SCHEDULED"
    ACTIVE = "ACTIVE"
    RAMPING = "RAMPING"
    REACHED = "REACHED"
    DEVIATING = "DEVIATING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SUPERSEDED = "SUPERSEDED"
    OPTED_OUT = "OPTED_OUT"
    EXPIRED = "EXPIRED"


class SiteMode(StrEnum):
    """What decides the site's power now (SIGNALS section 5)."""

    INIT_FAILSAFE = "INIT_FAILSAFE"
    AUTONOMOUS = "AUTONOMOUS"
    FOLLOWING = "FOLLOWING"
    LIMITED = "LIMITED"
    EMERGENCY = "EMERGENCY"
    FAILSAFE = "FAILSAFE"
    LOCAL_OVERRIDE = "LOCAL_OVERRIDE"
    MAINTENANCE = "MAINTENANCE"


class OptReason(StrEnum):
    """Why a site does not take part in an event: the seven words of OpenADR 2.0b (SIGNALS section 6)."""

    ECONOMIC = "economic"
    EMERGENCY = "emergency"
    MUST_RUN = "mustRun"
    NOT_PARTICIPATING = "notParticipating"
    OUTAGE = "outageRunStatus"
    OVERRIDE = "overrideStatus"
    PARTICIPATING = "participating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One stretch of an event, half-open [start, end)."""

    start_ms: int
    end_ms: int
    limit_w: float | None = None
    """Import limit; None is no statement, 0 is zero watts."""
    setpoint_w: float | None = None
    """Absolute consumption asked for; None is no statement."""
    subscription_w: float | None = None
    """Standing allocation or granted reservation that this interval states."""
    price: float | None = None
    """Currency per kWh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEvent:
    """One accepted signal: who wants what, when, and how fast."""

    event_id: str
    msg_id: str
    source: str
    """Name of the signal source that brought it."""
    issuer: str
    epoch: int
    seq: int
    event_class: EventClass
    priority: int
    """0 is the highest; `LOWEST_PRIORITY` when the message had none."""
    created_ms: int
    expires_ms: int
    """End of authority."""
    intervals: tuple[Interval, ...]
    respond_within_s: float
    ramp_down_w_per_s: float | None = None
    ramp_up_w_per_s: float | None = None
    tolerance_w: float | None = None
    """None: the default of the contract, max(2 % of the set-point, 100 kW) capped for small sites."""
    on_expiry: OnExpiry = OnExpiry.RELEASE
    ack_states: frozenset[EventState] = frozenset(EventState)
    """States the issuer wants to hear of; REJECTED and FAILED are always sent."""
    randomize_start_s: float = 0.0
    shift_ms: int = 0
    """What was rolled for `randomize_start_s`; the intervals are already moved by it."""

    @property
    def start_ms(self) -> int:
        """When the first interval begins."""
        return self.intervals[0].start_ms

    @property
    def end_ms(self) -> int:
        """The earlier of the last interval's end and the end of authority."""
        return min(self.intervals[-1].end_ms, self.expires_ms)

    def at(self, now_ms: int) -> Interval | None:
        """The interval that holds now, or None."""
        if now_ms >= self.expires_ms:
            return None
        return next((i for i in self.intervals if i.start_ms <= now_ms < i.end_ms), None)


LOWEST_PRIORITY = 2**31
PLAN_PRIORITY = LOWEST_PRIORITY + 1
"""Of the site's own plan, which is stated again and again: on a tie with the grid's the newest would win."""
MARKET_PRIORITY = LOWEST_PRIORITY + 2
"""Of a market's set-point where nobody gave it one: it gives way to every other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPut:
    """A new or updated event was accepted."""

    event: GridEvent
    replaces_source: bool = False
    """True for the simple form: this statement replaces all earlier ones of its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDelete:
    """An event was withdrawn; an EMERGENCY needs `release`."""

    source: str
    event_id: str
    msg_id: str
    epoch: int
    seq: int
    release: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPut:
    """All live events of a source; those absent from it are cancelled, except an EMERGENCY."""

    source: str
    msg_id: str
    epoch: int
    seq: int
    events: tuple[GridEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """The site itself takes no part in an event; nothing but its release ends an EMERGENCY."""

    source: str
    event_id: str
    why: OptReason
    text: str = ""
    """The person's own words; may be empty."""


SignalMessage = EventPut | EventDelete | SnapshotPut | OptOut


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """Is a signal source alive? Judged by the age of its last valid message."""

    source: str
    connected: bool
    last_valid_ms: int
    """Last valid message or heartbeat; -1 never."""
    confirmed: bool
    """The boot or recovery test has been passed (SIGNALS section 7)."""
    clock_offset_ms: int = 0
    told_all_ms: int | None = None
    """When it last told everything that holds, -1 never; None: it tells everything with each message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What the grid is told about one event; `code` is the IEEE 2030.5 response code."""

    source: str
    event_id: str
    msg_id: str
    epoch: int
    seq: int
    state: EventState
    code: int
    reason: str
    at_ms: int
    target_w: float | None = None
    expected_w: float | None = None
    eta_s: float | None = None
    shortfall_w: float | None = None
    measured_w: float | None = None
    meter_quality: Quality = Quality.MISSING
