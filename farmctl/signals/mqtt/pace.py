"""How patiently a source reconnects: capped, jittered, the same for every site only by chance."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Waits of one source, in seconds."""

    first_s: float = 0.5
    most_s: float = 30.0
    """With a jitter of a half, a thousand sites come back over 15 s instead of at once."""
    growth: float = 2.0
    resync_s: float = 5.0
    """Least time between two resyncs, however many messages ask for one."""
    watch_s: float = 1.0
    """How often the age of the link is told."""
    status_s: float = 60.0
    primary_s: float = 10.0
    """Pause between two watches of the primary broker, while another one serves."""
    steady_s: float = 60.0
    """The primary must have carried the grid's voice for so long before it serves again."""
    settled_s: float = 10.0
    """A connection that lasted this long starts the waits anew."""

    def wait_s(self, failures: int, dice: Random) -> float:
        """Wait after the n-th failure in a row, counted from 1: between half and all of the capped step."""
        step = min(self.most_s, self.first_s * self.growth ** min(failures - 1, 32))
        return step * dice.uniform(0.5, 1.0)
