"""The nouns of alarms: a condition as seen in one cycle, and a kind of alarm as the catalogue describes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Truth(Enum):
    """What one cycle can say about a condition; one that is not mentioned is false."""

    TRUE = "true"
    NEAR = "near"
    """Back within the limit, but not by the deadband: neither raises nor clears."""
    UNKNOWN = "unknown"
    """The guard is invalid: the data cannot be trusted, the state is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that wants a person's response."""

    alarm: str
    priority: int
    where: str
    detail: str
    """Value and limit."""
    n: int = 1
    """Members of a common cause."""
    truth: Truth = Truth.TRUE
    permits: bool = False
    """The place is in maintenance: as if that suppressed the whole site, for this alarm alone."""

    @property
    def key(self) -> str:
        """`ALARM@WHERE`, the identity of the alarm."""
        return f"{self.alarm}@{self.where}"


class Suppress(StrEnum):
    """A state of the site that explains an alarm away; append-only."""

    CURTAILED = "planned curtailment"
    RAMPING = "the load is being moved"
    WARM_UP = "miners are warming up"
    MAINTENANCE = "maintenance"


class AlarmSource(StrEnum):
    """Who sees the condition; append-only."""

    CORE = "core"
    """The conditions of this package, every cycle."""
    WATCH = "watch"
    """The shell: disk, certificates, slow facts of the miners, what takes days to see."""
    REPORT = "report"
    """The site's own systems, through `farmctl alarms report`."""
    PROMETHEUS = "prometheus"
    """Prometheus: the controller cannot see its own death."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmKind:
    """One row of the catalogue."""

    alarm: str
    priority: int
    """1 minutes, safety, grid breach; 2 within 30 min; 3 this shift; 4 this week."""
    cause: str
    consequence: str
    response: str
    """First step of the person who responds."""
    on_delay_s: float = 0.0
    measured_s: float = 0.0
    """So much of the on-delay is already part of the condition (a silence of 30 s is 30 s old when it is seen)."""
    off_delay_s: float = 0.0
    suppressed_by: frozenset[Suppress] = frozenset()
    """Empty for every P1: those are never suppressed."""
    note_to_ack: bool = False
    """Acknowledging it needs a note."""
    watched_by: str = "controller"
    """`controller`, or `prometheus` where the controller cannot see its own death."""
    summary: str = ""
    """What holds, in a few words."""
    source: AlarmSource = AlarmSource.CORE
    setpoint: str = ""
    """The limit."""
    deadband: str = ""
    """Where it clears."""
    guard: str = ""
    """What must be so for the condition to be judged at all."""
    owner: str = ""
    """Whose task the response is."""

    @property
    def runbook(self) -> str:
        """Path of the page that says what to do."""
        return f"docs/runbooks/{self.alarm}.md"

    @property
    def wait_s(self) -> float:
        """How long a condition must be seen to hold before it is raised."""
        return max(self.on_delay_s - self.measured_s, 0.0)
