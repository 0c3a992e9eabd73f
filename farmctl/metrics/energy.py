"""Energy of the site as a counter: the meter's own register where it has one, else the integral of its samples."""

from __future__ import annotations

import math

from farmctl.core.units import MS_PER_S, NEVER_MS

GAP_S = 30.0
"""A longer silence between two good samples is a gap: its energy is unknown and is not made up."""


class EnergyCount:
    """Joules since it was made; never falls."""

    def __init__(self) -> None:
        self.joules = 0.0
        self._at_ms = NEVER_MS
        self._power_w = math.nan
        self._register_j = math.nan

    def sample(self, at_ms: int, power_w: float, register_j: float = math.nan) -> None:
        """Take one good sample in: W, and the meter's register in J, NaN where it has none; repeats are ignored.

        A register counts alone from its second reading on; one that falls was exchanged and starts anew.
        """
        if at_ms <= self._at_ms:
            return
        span_s = (at_ms - self._at_ms) / MS_PER_S
        if not math.isnan(register_j - self._register_j):
            self.joules += max(register_j - self._register_j, 0.0)
        elif self._at_ms != NEVER_MS and span_s <= GAP_S and not math.isnan(power_w + self._power_w):
            self.joules += max((power_w + self._power_w) / 2.0 * span_s, 0.0)
        self._at_ms, self._power_w, self._register_j = at_ms, power_w, register_j
