"""Scalar units that cross borders, and the column types of the fleet."""

from __future__ import annotations

from typing import NewType

import numpy as np
from numpy.typing import NDArray

Watts = NewType("Watts", float)
"""Electrical power at the plug, W; consumption is positive."""
HashesPerSecond = NewType("HashesPerSecond", float)
Celsius = NewType("Celsius", float)
Millis = NewType("Millis", int)
"""Milliseconds since the Unix epoch, UTC."""

FloatColumn = NDArray[np.float64]
"""One value per row; NaN is unknown."""
IntColumn = NDArray[np.int64]
CodeColumn = NDArray[np.int16]
"""Small codes (steps, reasons, states); -1 is unknown."""
MaskColumn = NDArray[np.bool_]
IdColumn = NDArray[np.str_]

WATTS_PER_KW = 1_000.0
WATTS_PER_MW = 1_000_000.0
HASHES_PER_TERAHASH = 1e12
MS_PER_S = 1_000
DAY_MS = 86_400_000
NEVER_MS = -1
"""In a millisecond column: it has not happened."""


def from_kw(kw: float) -> Watts:
    """Kilowatts, as people and OpenADR write them, in W."""
    return Watts(kw * WATTS_PER_KW)


def to_kw(watts: float) -> float:
    """Watts in kilowatts, rounded to 1 W."""
    return round(watts / WATTS_PER_KW, 3)
