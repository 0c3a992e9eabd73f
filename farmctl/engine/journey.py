"""When a miner that was told to move is looked at: on its way, and then when its own watts say that it has arrived.

The time that a firmware states is its worst. A look that comes too early costs a poll (0.15 ms of CPU) and tells how
far the watts have got; what cannot be extrapolated is looked at when the stated time is over.
"""

from __future__ import annotations

from dataclasses import dataclass

FAST_S, MOST_TRAVEL_S = 1.5, 5.0
"""Kinds within are looked at by their own time; slower ones every 1.5 s, which also shows how they move."""
EARLY = 0.45
"""Of the stated time: the first look, so that the second, a second later at least, is not late by that."""
LEAST_GAP_S = 1.0
"""Between two looks at one miner."""
MARGIN = 0.03
"""Of the stated time: a look that comes a moment too early costs another second, one that is late only the moment."""
ARRIVED = 0.95
"""Share of the way from which on a miner is taken to be there: one in standby still tells of some watts."""
MOVED = 0.1
"""Share of the way below which its speed is not known: readings are whole watts of a machine that drifts."""
NEAR_FRACTION = 0.05
"""A way shorter than this share of the draw is lost in the drift."""


@dataclass(frozen=True, slots=True)
class Journey:
    """One acknowledged command of a fast kind."""

    told_s: float
    """Monotonic."""
    travel_s: float
    """As the firmware states it, in (FAST_S, MOST_TRAVEL_S]."""
    from_w: float
    to_w: float

    @property
    def first_look_s(self) -> float:
        """After the command, s."""
        return max(EARLY * self.travel_s, LEAST_GAP_S)

    def next_look_s(self, now_s: float, power_w: float) -> float | None:
        """From now on, after a look that showed `power_w`; None: it is there, or its stated time is over."""
        left_s = self.told_s + self.travel_s - now_s
        gone = self._gone(power_w)
        if left_s <= 0 or gone >= ARRIVED:
            return None
        if gone < MOVED:
            return max(left_s, LEAST_GAP_S)
        gone_s = now_s - self.told_s
        arrives_s = gone_s / gone - gone_s + MARGIN * self.travel_s
        return max(min(arrives_s, left_s), LEAST_GAP_S)

    def _gone(self, power_w: float) -> float:
        """Share of the way that the watts have gone; 0 where that cannot be said."""
        way_w = self.from_w - self.to_w
        if not abs(way_w) > NEAR_FRACTION * max(self.from_w, self.to_w):  # NaN too
            return 0.0
        gone = (self.from_w - power_w) / way_w
        return max(0.0, gone)


def journey(told_s: float, travel_s: float, from_w: float, to_w: float) -> Journey | None:
    """The way of a miner of a fast kind; None for others."""
    return Journey(told_s, travel_s, from_w, to_w) if FAST_S < travel_s <= MOST_TRAVEL_S else None
