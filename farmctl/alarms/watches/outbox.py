"""Messages that wait to be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from farmctl.core.alarms import Condition
from farmctl.core.units import MS_PER_S

LATE_MS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The oldest message of one channel that is not delivered."""

    channel: str
    since_ms: int
    """When its delivery was due first."""
    n: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxWatch:
    """One look at every channel."""

    waiting: Callable[[], Iterable[Waiting]]

    def look(self, now_ms: int) -> Sequence[Condition]:
        """outbox_backlog, one for each channel that is late."""
        return tuple(
            Condition(
                alarm="outbox_backlog",
                priority=3,
                where=each.channel,
                detail=f"{each.n} wait for {(now_ms - each.since_ms) / MS_PER_S / 60:.0f} min: {each.error}",
                n=each.n,
            )
            for each in self.waiting()
            if now_ms - each.since_ms > LATE_MS
        )
