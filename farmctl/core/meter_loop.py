"""The closed loop on the site meter: what the meter shows beyond the sum of the miners, smoothed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from farmctl.core.confirm import Seen, nominal_w
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import MeterLoop
from farmctl.core.model import Quality
from farmctl.core.units import MS_PER_S

SMOOTHING_S = 8.0
"""Time constant of the slow correction; SCALE section 4 asks for about 10 s with gain 0.3 per step."""
WINDOW_MS = 60_000
FLUX_FRACTION = 0.01
"""While more than this share of the load is on its way between points, the correction is frozen."""
LAG_S = 6.0
"""Telemetry is at most a poll interval old, and a meter a second: a change is settled this long after its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePower:
    """The site's real power as control sees it in this cycle."""

    power_w: float
    """Meter if it is good, else the sum of the rows and the last known rest."""
    mean_10s_w: float
    metered: bool
    quality: Quality
    unexplained_w: float
    """Auxiliary load and bias: meter less the sum of all rows."""


def follow(loop: MeterLoop, view: FleetView, seen: Seen, now_ms: int) -> tuple[MeterLoop, SitePower]:
    """Take one meter sample in; frozen while devices ramp, kept as it was while the meter is lost."""
    meter = view.meter
    rows_w = float(seen.power_now_w.sum())
    age_ms = now_ms - meter.at_ms
    good = meter.quality is Quality.OK and not math.isnan(meter.power_w)
    fresh = good and meter.at_ms >= 0 and age_ms <= view.rules.meter_stale_s * MS_PER_S
    if fresh and meter.at_ms != loop.updated_ms:
        loop = _corrected(loop, meter.power_w - rows_w, meter.at_ms, frozen=_in_flux(view, seen, now_ms))
    power_w = meter.power_w if fresh else rows_w + loop.unexplained_w
    samples = (*(s for s in loop.samples if now_ms - s[0] < WINDOW_MS), (now_ms, power_w))
    loop = replace(loop, samples=samples)
    site = SitePower(
        power_w=power_w,
        mean_10s_w=mean_w(samples, now_ms, 10 * MS_PER_S),
        metered=fresh,
        quality=Quality.OK if fresh else Quality.ESTIMATED,
        unexplained_w=loop.unexplained_w,
    )
    return loop, site


def mean_w(samples: tuple[tuple[int, float], ...], now_ms: int, window_ms: int) -> float:
    """Mean of the samples in the window, W; NaN without any."""
    recent = [power_w for at_ms, power_w in samples if now_ms - at_ms < window_ms]
    return sum(recent) / len(recent) if recent else math.nan


def _corrected(loop: MeterLoop, rest_w: float, at_ms: int, *, frozen: bool) -> MeterLoop:
    if not loop.primed:
        return replace(loop, unexplained_w=rest_w, primed=True, updated_ms=at_ms)
    if frozen:
        return replace(loop, updated_ms=at_ms)
    dt_s = (at_ms - loop.updated_ms) / MS_PER_S
    weight = 1.0 - math.exp(-dt_s / SMOOTHING_S)
    smoothed = loop.unexplained_w + weight * (rest_w - loop.unexplained_w)
    return replace(loop, unexplained_w=smoothed, updated_ms=at_ms)


def _in_flux(view: FleetView, seen: Seen, now_ms: int) -> bool:
    """Too much power was told to move too recently for the sum of the rows to be trusted.

    A miner that boots for minutes is no reason to freeze: its telemetry follows it.
    """
    rows, table, book = seen.rows, view.table, view.ladders
    told = (rows.commanded_ms >= 0) & (table.ladder != NO_LADDER)
    ladder = table.ladder[told]
    seconds = np.where(rows.wanted[told] == 0, book.down_s[ladder], book.trim_s[ladder])
    moving = now_ms - rows.commanded_ms[told] < (seconds + LAG_S) * MS_PER_S
    step_w = np.abs(nominal_w(view, rows.before) - nominal_w(view, rows.wanted))[told]
    flux_w = float((step_w * moving).sum())
    return flux_w > FLUX_FRACTION * max(float(seen.power_now_w.sum()), 1.0)
