"""The nouns of an alarm's life: its state, everything the board remembers, and what changed in one cycle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from farmctl.core.alarms.nouns import Condition
from farmctl.core.units import NEVER_MS


class AlarmState(StrEnum):
    """Where an alarm stands (ISA-18.2); append-only."""

    NORMAL = "NORMAL"
    UNACK = "UNACK"
    ACK = "ACK"
    RTN_UNACK = "RTN_UNACK"
    SHELVED = "SHELVED"
    SUPPRESSED = "SUPPRESSED"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"


ANNUNCIATED = frozenset({AlarmState.UNACK, AlarmState.ACK, AlarmState.RTN_UNACK})
ACTIVE = frozenset({AlarmState.UNACK, AlarmState.ACK})
HIDDEN = frozenset({AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm at one place, from the first sight of its condition until it is normal again."""

    alarm: str
    where: str
    priority: int
    detail: str
    state: AlarmState = AlarmState.NORMAL
    n: int = 1
    holds: bool = False
    """The condition as last seen, without delays."""
    valid: bool = True
    stands: bool = False
    """The condition after its delays."""
    edge_ms: int = NEVER_MS
    """When `holds` last changed, or when a suppression ended: delays count from here."""
    raised_ms: int = NEVER_MS
    count: int = 0
    """Times the condition came back while the alarm was open."""
    first_out: bool = False
    """Nothing else was raised within the minute before it."""
    owner: str = ""
    note: str = ""
    shelved_until_ms: int = NEVER_MS
    one_shot: bool = False
    """Shelved until its condition is over, whenever that is."""
    edges_ms: tuple[int, ...] = ()
    """When the condition lately became true."""
    permits: bool = False
    """Its place is in maintenance."""
    damped_s: float = 0.0
    """Off-delay after chattering; 0 while it behaves."""

    @property
    def key(self) -> str:
        """`ALARM@WHERE`."""
        return f"{self.alarm}@{self.where}"

    @property
    def condition(self) -> Condition:
        """What it says."""
        return Condition(alarm=self.alarm, priority=self.priority, where=self.where, detail=self.detail, n=self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One annunciation, kept for a day for the figures."""

    at_ms: int
    key: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """One acknowledgement, kept for a day."""

    at_ms: int
    priority: int
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmBoard:
    """Everything that is remembered of alarms; immutable."""

    alarms: tuple[Alarm, ...] = ()
    """By key."""
    raised: tuple[Raised, ...] = ()
    acked: tuple[Acked, ...] = ()
    floods: tuple[tuple[int, int], ...] = ()
    """(start, end) in ms of the last day's floods."""
    flood_ms: int = NEVER_MS
    """Since when there is a flood; -1 while there is none."""
    chattering: tuple[Raised, ...] = ()
    """When an alarm was damped for chattering."""

    def get(self, key: str) -> Alarm | None:
        """One alarm by its key."""
        return next((alarm for alarm in self.alarms if alarm.key == key), None)

    @property
    def flooded(self) -> bool:
        """P3 and P4 are shown as counts."""
        return self.flood_ms != NEVER_MS

    @property
    def listed(self) -> tuple[Alarm, ...]:
        """What a person may see: worst first, unacknowledged before the rest, newest first."""
        shown = [alarm for alarm in self.alarms if alarm.state is not AlarmState.NORMAL]
        return tuple(sorted(shown, key=lambda a: (_RANK[a.state], a.priority, -a.raised_ms, a.key)))

    @property
    def single(self) -> tuple[Alarm, ...]:
        """The same without what a flood collapses into counts: annunciated alarms of P3 and P4."""
        return tuple(a for a in self.listed if not (self.flooded and a.priority > 2 and a.state in ANNUNCIATED))  # noqa: PLR2004 - P1 and P2 stay single (OPERATIONS 5.3)

    @property
    def active(self) -> tuple[Alarm, ...]:
        """What holds and is neither shelved nor suppressed, worst first."""
        return tuple(sorted((a for a in self.alarms if a.state in ACTIVE), key=lambda a: (a.priority, a.key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmChange:
    """One transition, for the journal."""

    key: str
    priority: int
    before: AlarmState
    after: AlarmState
    at_ms: int
    detail: str
    owner: str = ""
    """The person who did it; empty: the site did."""
    note: str = ""


_RANK = {
    AlarmState.UNACK: 0,
    AlarmState.RTN_UNACK: 1,
    AlarmState.ACK: 1,
    AlarmState.SHELVED: 2,
    AlarmState.SUPPRESSED: 3,
    AlarmState.OUT_OF_SERVICE: 3,
    AlarmState.NORMAL: 4,
}
EMPTY_BOARD = AlarmBoard()
