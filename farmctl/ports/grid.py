"""How the grid speaks to the site and the site answers: SignalSource, Inbox, Uplink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from farmctl.core.grid import Ack, SignalMessage, SiteMode
from farmctl.core.model import Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A signal that was not accepted, and the ack for it where its issuer is known."""

    source: str
    topic: str
    reason: str
    """A word of `Reason`."""
    detail: str
    ack: Ack | None
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A signal that passed every check, with what must be durable before it acts."""

    source: str
    topic: str
    message: SignalMessage
    raw: bytes
    states: Mapping[str, bytes]
    """Named store states (sequence counters) to set in the same transaction as the journal record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something heard that changes what is remembered and commands nothing: announced or revoked keys."""

    source: str
    topic: str
    what: str
    """A word for the journal, such as `keys`."""
    raw: bytes
    states: Mapping[str, bytes]
    refused: str = ""
    """Why a good signal is recorded and not obeyed; empty: it was no signal."""


class Inbox(Protocol):
    """Where sources put what they heard; journals first, then wakes the cycle."""

    async def accept(self, receipt: Receipt) -> None:
        """Make it durable, then act on it. Raises StoreError: then the message must count as not received."""
        ...

    async def refuse(self, refusal: Refusal) -> None:
        """Journal it verbatim; never actuates."""
        ...

    def link(
        self,
        source: str,
        *,
        connected: bool,
        last_valid_ms: int,
        confirmed: bool,
        clock_offset_ms: int,
        told_all_ms: int | None = None,
    ) -> None:
        """Tell how alive the source is."""
        ...

    async def state(self, name: str) -> bytes | None:
        """A named state from the store, for counters that survive restarts."""
        ...

    async def note(self, notice: Notice) -> None:
        """Journal it and set its states in one transaction; never actuates. Raises StoreError."""
        ...

    async def keep(self, states: Mapping[str, bytes]) -> None:
        """Set named states without a record, durable on return. Raises StoreError."""
        ...


class SignalSource(Protocol):
    """One way by which the grid speaks."""

    name: str

    async def run(self, inbox: Inbox) -> None:
        """Listen until cancelled; reconnects for ever, and speaks twice: when lost and when back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What the grid sees of the site every 2 s."""

    at_ms: int
    power_w: float
    power_source: Literal["METER", "SUMMED", "ESTIMATED"]
    """METER, SUMMED or ESTIMATED; a sum is never called a meter."""
    quality: Quality
    setpoint_w: float | None
    limit_w: float | None
    min_w: float
    max_w: float
    up_available_w: float
    down_available_w: float
    ramp_up_w_per_s: float
    ramp_down_w_per_s: float
    hash_rate_hs: float
    on: int
    throttled: int
    sleep: int
    offline: int
    mode: SiteMode
    event_id: str
    epoch: int
    seq: int
    reactive_var: float | None = None
    volts: float | None = None
    hz: float | None = None
    """None: the site meter does not measure it; the message then leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSource:
    """One live limit on the site; the lowest of all of them binds."""

    source: str
    """Signal source, or `site`, `standing`, `fail-safe`, `operator`."""
    limit_w: float
    until_ms: int | None = None
    """None: no end of its own."""
    event_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteState:
    """What the grid sees of the site's mode, retained and sent on change."""

    at_ms: int
    mode: SiteMode
    since_ms: int
    limit_w: float
    limit_source: str
    setpoint_w: float | None
    live_events: tuple[str, ...]
    emergency_latched: bool
    signed: bool
    last_epoch: int
    last_seq: int
    link_age_s: float | None
    clock_offset_ms: int
    audit_head: str
    version: str
    limits: tuple[LimitSource, ...] = ()
    """Every live limit, the lowest first; empty: only the binding one is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """What the site could do, retained for the grid; `down` and `up` are learned from measurement."""

    at_ms: int
    rated_w: float
    safe_min_w: float
    failsafe_limit_w: float
    subscription_w: float
    down_w_in_s: Mapping[int, float]
    up_w_in_s: Mapping[int, float]
    ramp_up_w_per_s: float
    curve_w: tuple[float, ...] = ()
    """Capability curve: power from the least to the most, at most 50 points; empty: not known."""
    curve_hs_per_w: tuple[float, ...] = ()
    """H/s that one more watt makes in the segment that ends at each point; the first counts for nothing."""
    meter_class: str = ""
    """Accuracy class of the site meter; empty: not stated."""
    meter_period_s: float = 1.0


class Uplink(Protocol):
    """The way back to the grid; queues what must not be lost, drops what is stale."""

    async def ack(self, ack: Ack) -> None:
        """Queue one ack; delivered in order, again after a reconnect."""
        ...

    async def telemetry(self, telemetry: Telemetry) -> None:
        """Send if connected, else drop: an old value is worth nothing."""
        ...

    async def site_state(self, state: SiteState) -> None:
        """Send as retained; the last one wins."""
        ...


@runtime_checkable
class KeepsAcks(Protocol):
    """An uplink that makes its acks durable, and knows which are not yet."""

    @property
    def unkept(self) -> int:
        """How many a kill would lose."""
        ...


@runtime_checkable
class AsksAgain(Protocol):
    """A source that can be made to tell again everything that holds, as after a grid outage."""

    def ask_again(self) -> None:
        """Forget what was told and ask for it anew; `LinkStatus.told_all_ms` says when that was done."""
        ...


class GridEnd(SignalSource, Uplink, Protocol):
    """A signal source and the way back to the same party."""


@runtime_checkable
class CapabilityUplink(Protocol):
    """An uplink that also says what the site could give up or take on; call it on change and every 5 min."""

    async def capability(self, able: Capability) -> None:
        """Send as retained; the last one wins."""
        ...
