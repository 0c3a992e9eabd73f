"""The scalar nouns: miners, operating points, commands, proposals, budgets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NewType

from farmctl.core.reasons import Reason

MinerId = NewType("MinerId", str)
"""MAC address in lower case with colons, else the serial number; never the address."""


class PointKind(IntEnum):
    """What an operating point means to the machine."""

    SLEEP = 0
    THROTTLE = 1
    FULL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """One place where a miner can run."""

    kind: PointKind
    power_w: float
    """Nominal draw at the plug, W."""
    hash_rate_hs: float
    setting: str
    """What the driver applies: `sleep`, `full`, `percent:80`, `watts:3200`, `profile:NAME`, `mode:low`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Every operating point of a model and firmware, lowest power first; step 0 sleeps."""

    name: str
    points: tuple[OperatingPoint, ...]
    down_s: float
    """Seconds from the command to sleep until the draw is at standby."""
    up_s: float
    """Seconds from the wake command to the full draw."""
    trim_s: float
    """Seconds for a change between two awake points."""


class MinerState(IntEnum):
    """What a miner does, as its telemetry says; the per-miner metric carries the number."""

    UNKNOWN = 0
    HASHING = 1
    THROTTLED = 2
    CURTAILED = 3
    BOOTING = 4
    FAULT = 5
    OFFLINE = 6


class PowerSource(IntEnum):
    """Where a watt figure comes from, best first."""

    METER = 0
    PDU = 1
    DEVICE = 2
    LEARNED = 3
    NAMEPLATE = 4


class Quality(StrEnum):
    """How far a meter value can be trusted (OpenADR DATA_QUALITY)."""

    OK = "OK"
    ESTIMATED = "ESTIMATED"
    BAD = "BAD"
    MISSING = "MISSING"


class Lane(StrEnum):
    """How a command travels: urgent ones have slots that polls and normal ones cannot take."""

    URGENT = "urgent"
    NORMAL = "normal"


class Fate(StrEnum):
    """Life of one command; confirmed only by telemetry."""

    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Bring one miner to one operating point: absolute, idempotent, with a deadline."""

    miner: MinerId
    step: int
    point: OperatingPoint
    lane: Lane
    deadline_ms: int
    reason: Reason
    attempt: int
    """1 for the first try."""
    cycle: int
    """The decision that issued it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An operator's wish with owner, reason and expiry; it never beats a live limit."""

    override_id: str
    owner: str
    reason: str
    set_at_ms: int
    expires_ms: int
    target_w: float
    selector: str = ""
    """Empty: the whole site; else a circuit's name."""
    miners: tuple[str, ...] = ()
    """These miners alone, each at `target_w` or the next lower point of its own; empty: what `selector` names."""
    ramp_w_per_s: float | None = None
    """How fast the site goes down to it; None: as fast as the machines can."""
    from_w: float | None = None
    """What the site drew when it was set: a ramp starts there."""

    def wanted_w(self, now_ms: int) -> float:
        """Where the site should be now, W."""
        if self.ramp_w_per_s is None or self.from_w is None:
            return self.target_w
        return max(self.target_w, self.from_w - self.ramp_w_per_s * (now_ms - self.set_at_ms) / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One wish about the site's power; silence expires into safety."""

    source: str
    reason: Reason
    priority: int
    """Lower number wins among set-points."""
    newer_ms: int
    """Tie-break among equals: the newest wins."""
    ceiling_w: float | None = None
    target_w: float | None = None
    expires_ms: int | None = None
    event_id: str = ""
    urgent: bool = False
    """True where up-to-now ramps, dwell times and cycle budgets must not delay lowering."""
    economic: bool = False
    """True where only money is at stake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWish:
    """A wish that did not decide, and why."""

    source: str
    event_id: str
    reason: Reason
    asked_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What arbitration made of every proposal."""

    floor_w: float
    """What the site cannot shed."""
    target_w: float
    """Where the site's meter should stand."""
    ceiling_w: float
    """Effective limit: never above it."""
    reason: Reason
    """Why the target is what it is."""
    source: str
    event_id: str
    limit_reason: Reason
    limit_source: str
    shortfall_w: float
    """How far the wish was clamped; positive: less than asked."""
    emergency: bool
    urgent: bool
    """Lowering is for the grid or an operator, not for money: it takes the urgent lane."""
    lost: tuple[LostWish, ...]
    economic: bool = False
    """A price decides, nothing else: the cycle budget counts and binds."""
