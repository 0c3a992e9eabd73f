"""The site behind the meter: miners plus auxiliaries, their energy, and a record of the truth."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

HISTORY_PERIOD_S = 0.2
"""Five samples a second: a 10-s mean has fifty of them."""
HISTORY_SAMPLES = 5 * 3_600
"""One hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auxiliary:
    """What the site draws besides its miners: lighting and controls, and cooling that follows the heat with a lag."""

    base_w: float = 0.0
    share: float = 0.0
    """Cooling watts per watt of miners; 0.03-0.05 is an air-cooled hall."""
    lag_s: float = 60.0
    """Time constant of the cooling; 0 follows at once."""


class SiteLoad:
    """The true load at the point of connection; `clock` gives seconds that never jump."""

    def __init__(self, *, source: Callable[[], float], aux: Auxiliary, clock: Callable[[], float]) -> None:
        self.energy_wh = 0.0
        self._source = source
        self._aux = aux
        self._clock = clock
        self._cooling_w: float | None = None
        self._last: tuple[float, float] | None = None
        self._history: deque[tuple[float, float]] = deque(maxlen=HISTORY_SAMPLES)

    @property
    def history(self) -> list[tuple[float, float]]:
        """(clock seconds, W), oldest first."""
        return list(self._history)

    def record(self) -> None:
        """Append one sample to the history."""
        self._history.append((self._clock(), self.power_w()))

    def power_w(self) -> float:
        """W drawn now; integrates energy and lets the cooling follow up to this instant."""
        now, it_w = self._clock(), self._source()
        wanted_w = self._aux.share * it_w
        step_s = 0.0 if self._last is None else now - self._last[0]
        if self._cooling_w is None or self._aux.lag_s <= 0:
            self._cooling_w = wanted_w
        else:
            self._cooling_w += (wanted_w - self._cooling_w) * -math.expm1(-step_s / self._aux.lag_s)
        site_w = it_w + self._aux.base_w + self._cooling_w
        if self._last is not None:
            self.energy_wh += (self._last[1] + site_w) / 2 * step_s / 3_600
        self._last = (now, site_w)
        return site_w

    def means_w(self, window_s: float, *, since_s: float = -math.inf) -> list[tuple[float, float]]:
        """Trailing means of the history as (clock seconds at the window's end, W).

        Only windows that lie wholly after `since_s` and inside the record; empty when there is none.
        """
        samples = [sample for sample in self._history if sample[0] >= since_s]
        means: list[tuple[float, float]] = []
        energy_j = [0.0]
        for (t0, w0), (t1, w1) in itertools.pairwise(samples):
            energy_j.append(energy_j[-1] + (w0 + w1) / 2 * (t1 - t0))
        first = 0
        for last, (t, _) in enumerate(samples):
            while first < last and samples[first + 1][0] <= t - window_s:
                first += 1
            span_s = t - samples[first][0]
            if span_s >= window_s:
                means.append((t, (energy_j[last] - energy_j[first]) / span_s))
        return means
