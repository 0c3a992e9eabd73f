"""A regulation signal in the manner of a fast frequency-regulation product, and its published score.

The signal is made here from seeded noise: no operator's data is shipped. It moves every four seconds between
-1 and +1 and returns to zero on the average, as the fast signal of PJM does.

The score follows PJM Manual 12, Balancing Operations, section 4.5.6 "Performance Score Calculation": per interval
the delay score is (300 s - delay at the best correlation) / 300 s within five minutes, the correlation score is the
statistical correlation at that delay, the precision score is 1 minus the mean absolute error over the mean
absolute regulation signal, and the composite is a third of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.units import FloatColumn

PERIOD_S = 4
DELAY_WINDOW_S = 300
SAMPLE_S = 10
"""PJM computes the score on ten-second samples."""
FAST_POLE, SLOW_POLE = 0.90, 0.985


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The three terms, 0..1, and their mean."""

    precision: float
    delay: float
    correlation: float

    @property
    def composite(self) -> float:
        """A third of each."""
        return (self.precision + self.delay + self.correlation) / 3.0


def signal(minutes: int, *, seed: int = 11) -> FloatColumn:
    """One value per four seconds in [-1, 1], mean zero; the same for the same seed."""
    dice = np.random.default_rng(seed)
    count = minutes * 60 // PERIOD_S
    fast, slow = np.zeros(count), np.zeros(count)
    noise = dice.normal(size=(2, count))
    for n in range(1, count):
        fast[n] = FAST_POLE * fast[n - 1] + noise[0, n]
        slow[n] = SLOW_POLE * slow[n - 1] + noise[1, n]
    mixed = fast / fast.std() + slow / slow.std()
    mixed -= mixed.mean()
    scaled: FloatColumn = np.clip(mixed / np.quantile(np.abs(mixed), 0.97), -1.0, 1.0)
    return scaled


def score(asked: FloatColumn, given: FloatColumn) -> Score:
    """Compare two series of one-second values, in the same unit, both as deviations from the base point."""
    asked, given = asked[::SAMPLE_S], given[::SAMPLE_S]
    shifts = range(DELAY_WINDOW_S // SAMPLE_S + 1)
    correlations = [_correlation(asked[: len(asked) - k], given[k:]) for k in shifts]
    best = int(np.argmax(correlations))
    error = float(np.mean(np.abs(given - asked))) / float(np.mean(np.abs(asked)))
    return Score(
        precision=max(1.0 - error, 0.0),
        delay=(DELAY_WINDOW_S - best * SAMPLE_S) / DELAY_WINDOW_S,
        correlation=max(correlations[best], 0.0),
    )


def _correlation(first: FloatColumn, second: FloatColumn) -> float:
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
