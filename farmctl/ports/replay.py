"""The past as the glass sees it: a feed of recorded cycles with a playhead that a person moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from farmctl.ports.feed import Feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Playhead:
    """Where a replay stands; moments in ms since the epoch."""

    at_ms: int
    first_ms: int
    last_ms: int
    speed: float
    """Recorded seconds in a second; 0 stands still."""
    busy: bool
    """The place asked for is being worked out."""
    proved: int
    """Cycles that were decided again and came out as recorded."""
    fault: str
    """Why the replay goes no further; empty while it does."""


class PastFeed(Feed, Protocol):
    """Recorded cycles in the place of live ones; every question about anything but the past is refused."""

    @property
    def playhead(self) -> Playhead:
        """Where it stands."""
        ...

    def go(self, at_ms: int) -> None:
        """Move the playhead to a moment; the image comes when it has been worked out."""
        ...

    def step(self, cycles: int) -> None:
        """Move by single cycles, back for a negative number, and stand still."""
        ...

    def pace(self, speed: float) -> None:
        """Play so fast; 0 stands still."""
        ...

    def trend(self) -> Mapping[str, Sequence[float | None]]:
        """`at_ms`, `power_w`, `target_w` of the cycles up to the playhead, oldest first."""
        ...
