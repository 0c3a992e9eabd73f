"""Is the grid's supply there at all? Judged by voltage and power together, and remembered while the meter is silent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from farmctl.core.units import NEVER_MS

GONE_FRACTION = 0.1
"""IEEE 1159: a voltage below 10 % of nominal is an interruption, above it a sag."""
IDLE_FRACTION = 0.01
"""Of the rating: a meter that still shows power is no witness of an outage, whatever its voltage says."""
GONE_MS = 2_000
"""So long it must last: the shortest sags that utilities count as interruptions are over by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What was seen of the supply."""

    normal_volts: float = math.nan
    """The highest voltage seen; NaN before any."""
    dark_since_ms: int = NEVER_MS
    """Since when there is neither voltage nor power; -1 there is."""
    gone: bool = False


def seen(
    supply: Supply, *, volts: float, power_w: float, rated_w: float, now_ms: int, least_volts: float = math.nan
) -> Supply:
    """The supply after one answer of the meter; one without a voltage proves nothing.

    `least_volts` is the lowest that its register may say, for a start in the middle of an outage.
    """
    if math.isnan(volts):
        return supply
    normal = volts if math.isnan(supply.normal_volts) else max(supply.normal_volts, volts)
    reference = max(GONE_FRACTION * normal, least_volts if least_volts > 0 else 0.0)
    dark = volts < reference and not power_w > IDLE_FRACTION * rated_w
    if not dark:
        return replace(supply, normal_volts=normal, dark_since_ms=NEVER_MS, gone=False)
    since_ms = now_ms if supply.dark_since_ms == NEVER_MS else min(supply.dark_since_ms, now_ms)
    return Supply(normal_volts=normal, dark_since_ms=since_ms, gone=supply.gone or now_ms - since_ms >= GONE_MS)
