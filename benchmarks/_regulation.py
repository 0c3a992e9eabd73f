"""A regulation signal in the manner of a fast frequency-regulation product, and its published score.

The signal ships as simulators/traces/regulation.csv; `simulators.traces.regulation` made it from seeded noise.

The score follows PJM Manual 12, Balancing Operations, section 4.5.6 "Performance Score Calculation": per interval
the delay score is (300 s - delay at the best correlation) / 300 s within five minutes, the correlation score is the
statistical correlation at that delay, the precision score is 1 minus the mean absolute error over the mean
absolute regulation signal, and the composite is a third of each.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farmctl.core.units import FloatColumn

PERIOD_S = 4
DELAY_WINDOW_S = 300
SAMPLE_S = 10
"""PJM computes the score on ten-second samples."""
BASE_PU, SWING_PU = 0.75, 0.15
SHIPPED = Path(__file__).resolve().parents[1] / "simulators" / "traces" / "regulation.csv"


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


def signal(minutes: int) -> FloatColumn:
    """One value per four seconds in [-1, 1], from the shipped signal; it is 40 minutes long."""
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    targets = np.array([float(row["target_pu"]) for row in rows[: minutes * 60 // PERIOD_S]])
    return (targets - BASE_PU) / SWING_PU


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
