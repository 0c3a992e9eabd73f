"""Makes regulation.csv: forty minutes of a set-point that moves every four seconds, as a regulation product sends it.

`python -m simulators.traces.regulation` writes the file anew; the seed makes it the same every time. No operator's
data is in it: two first-order noises, one fast and one slow, are added, made neutral and clipped, as the fast signal of
PJM is neutral over a few minutes and runs between -1 and +1.
"""

from __future__ import annotations

import random
import statistics
from pathlib import Path

SEED = 11
PERIOD_S = 4
COUNT = 600
FAST_POLE, SLOW_POLE = 0.90, 0.985
CLIPPED_SHARE = 0.03
BASE_PU, SWING_PU = 0.75, 0.15
"""Set-point in fractions of rated power: the base point, and how far a signal of 1 is from it."""
OVERLAP_S = 4
"""An order outlasts the next one's arrival, so that nothing is released in between."""
HEADER = "# Made by simulators.traces.regulation: forty minutes of a four-second regulation signal.\n"
COLUMNS = "t_s,kind,name,target_pu,duration_s,class,respond_within_s\n"


def signal(count: int = COUNT, seed: int = SEED) -> list[float]:
    """One value in [-1, 1] per period, mean about zero."""
    dice = random.Random(seed)  # noqa: S311 - a made-up signal, not a secret
    fast, slow = _noise(dice, FAST_POLE, count), _noise(dice, SLOW_POLE, count)
    mixed = [one + other for one, other in zip(fast, slow, strict=True)]
    middle = statistics.fmean(mixed)
    loudest = sorted(abs(value - middle) for value in mixed)[round((1.0 - CLIPPED_SHARE) * (count - 1))]
    return [max(-1.0, min(1.0, (value - middle) / loudest)) for value in mixed]


def text() -> str:
    """The CSV."""
    rows = [
        f"{number * PERIOD_S},create,reg-{number:03},{BASE_PU + SWING_PU * value:.5f},{PERIOD_S + OVERLAP_S},TARGET,0\n"
        for number, value in enumerate(signal())
    ]
    return HEADER + COLUMNS + "".join(rows)


def _noise(dice: random.Random, pole: float, count: int) -> list[float]:
    """First-order noise of standard deviation 1."""
    values = [0.0]
    while len(values) < count:
        values.append(pole * values[-1] + dice.gauss(0.0, 1.0))
    spread = statistics.pstdev(values)
    return [value / spread for value in values]


if __name__ == "__main__":
    Path(__file__).with_name("regulation.csv").write_text(text(), encoding="utf-8")
