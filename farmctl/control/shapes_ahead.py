"""Shapes of the answers about the controller itself, the hours ahead, and the alarms behind."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from farmctl.control.shapes import Answer, Moment, Shape


class Watcher(Shape):
    """One client that watches the stream."""

    name: str
    role: str
    since: Moment | None
    origin: str
    """Where it says that it comes from: declared, not known."""


class FeedState(Shape):
    """One signal source."""

    source: str
    connected: bool
    confirmed: bool
    age_s: float | None
    """Of its last valid message; null: never heard."""
    clock_offset_ms: int


class System(Answer):
    """How the controller itself does; `p50_ms` and `p99_ms` are null where nothing was measured yet."""

    rev: int | None
    watchers: list[Watcher]
    most_watchers: int
    feeds: list[FeedState]
    polls: dict[str, Any] = Field(default_factory=dict)
    commands: dict[str, Any] = Field(default_factory=dict)
    loop: dict[str, Any] = Field(default_factory=dict)
    refused: list[dict[str, Any]] = Field(default_factory=list)
    store: dict[str, Any] = Field(default_factory=dict)


class Stretch(Shape):
    """A time in which, by what is known now, nothing changes."""

    start: Moment | None
    end: Moment | None
    target_kw: float
    limit_kw: float
    reason: str
    source: str
    event: str


class PriceStretch(Shape):
    """A price that a signal stated."""

    start: Moment | None
    end: Moment | None
    price_per_kwh: float
    event: str


class Fallback(Shape):
    """What the site does when no signal is heard any more."""

    expects_grid: bool
    quiet_s: float
    """Silence after which an alarm says so."""
    stale_s: float
    """Silence after which the link counts as lost."""
    follows_schedule: bool
    """Received intervals are followed first."""
    firm_kw: float
    safe_min_kw: float
    ramp_down_kw_per_min: float | None
    ramp_up_kw_per_min: float


class Outlook(Answer):
    """The next four hours."""

    rev: int
    stretches: list[Stretch]
    prices: list[PriceStretch]
    standing_kw: float | None
    """Standing allocation; null: none, without a signal no more than the firm level."""
    own_price_per_kwh: float
    fallback: Fallback


class AlarmMove(Shape):
    """One change of one alarm."""

    seq: int
    at: Moment | None
    alarm: str
    priority: int
    before: str
    state: str
    detail: str
    owner: str
    note: str


class AlarmHistory(Answer):
    """Newest first; `before` is the cursor of the next page, null at the end."""

    rows: list[AlarmMove]
    before: int | None
