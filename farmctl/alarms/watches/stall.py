"""The control cycle itself: one that has stopped cannot say so, hence a task beside it looks every second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farmctl.core.alarms import Condition
from farmctl.core.units import MS_PER_S
from farmctl.ports.site import Clock

EVERY_S = 1.0
CYCLE_S = 5.0
SWEEPS = 3.0
"""OPERATIONS section 5.2: the last cycle older than 5 s, or the poll sweep older than three intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StallWatch:
    """Tells the desk of a cycle that stands still, and of a sweep that does not get round."""

    clock: Clock
    last_cycle_ms: Callable[[], int]
    """0 before the first."""
    late_s: Callable[[], float]
    """By how much the poll that is due longest is late."""
    interval_s: float
    observe: Callable[[str, Sequence[Condition]], None]
    """While the cycle goes on, it advances the alarms with this."""
    alone: Callable[[Condition], None]
    """While it does not, this is all that advances them."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await self.clock.sleep(EVERY_S)

    def look(self) -> None:
        """cycle_stalled, once."""
        last_ms, late_s = self.last_cycle_ms(), self.late_s()
        age_s = (self.clock.now_ms() - last_ms) / MS_PER_S if last_ms else 0.0
        if age_s > CYCLE_S:
            self.alone(_stalled(f"the last control cycle is {age_s:.0f} s old"))
        slow = late_s > SWEEPS * self.interval_s
        told = (_stalled(f"a poll is {late_s:.0f} s late: three sweeps of {self.interval_s:.0f} s"),) if slow else ()
        self.observe("sweep", told)


def _stalled(detail: str) -> Condition:
    return Condition(alarm="cycle_stalled", priority=1, where="site", detail=detail)
