"""The closed loop on the site meter: how the meter follows the sum of the miners, learned and slowly corrected.

The model is `meter = gain x rows + rest`. The gain holds what grows with the load (watts that devices under-report,
cooling), the rest holds what does not. A step of load moves the meter by the gain, so a wrong gain is an error
after every step, while the rest is corrected within seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from farmctl.core.confirm import Seen, nominal_w
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import MeterLoop
from farmctl.core.model import Quality
from farmctl.core.units import MS_PER_S, NEVER_MS

SMOOTHING_S = 8.0
"""Time constant of the slow correction; SCALE section 4 asks for about 10 s with gain 0.3 per step."""
WINDOW_MS = 60_000
LAG_S = 6.0
"""Telemetry is at most a poll interval old, and a meter a second: a change is settled this long after its time."""
GAIN_BOUNDS = (0.85, 1.30)
"""Devices are 5-20 % off a PDU, and cooling adds a few percent (DEVICES section 6)."""
LEARN_FRACTION = 0.05
"""Two settled points at least this share of the load apart teach the gain."""
LEARN_WEIGHT = 0.5
SETTLED_FRACTION = 0.005
GUESSED_FRACTION = 0.02
"""While more than this share of the sum is assumed for miners not heard yet, its error is ignorance, not load."""
PRIME_MS = 60_000
"""The first correction waits at most this long for the fleet to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePower:
    """The site's real power as control sees it in this cycle."""

    power_w: float
    """Meter if it is good, else the sum of the rows by the learned model."""
    mean_10s_w: float
    metered: bool
    quality: Quality
    gain: float
    """Watts at the meter for a watt that the rows report."""
    unexplained_w: float
    """What the meter shows beyond `gain x rows`: load that does not follow the miners."""


def follow(
    loop: MeterLoop, view: FleetView, seen: Seen, now_ms: int, booted_ms: int = NEVER_MS
) -> tuple[MeterLoop, SitePower]:
    """Take one meter sample in; while devices ramp only what exceeds their ramp is believed.

    While the meter is lost the model stays as it was learned. After a start the sum of the rows is a worst case,
    not a measurement, until most of them have answered.
    """
    meter = view.meter
    rows_w = float(seen.power_now_w.sum())
    good = meter.quality is Quality.OK and not math.isnan(meter.power_w)
    fresh = good and meter.at_ms >= 0 and now_ms - meter.at_ms <= view.rules.meter_stale_s * MS_PER_S
    if fresh and meter.at_ms != loop.updated_ms:
        flux_w = _flux_w(view, seen, now_ms)
        if now_ms - booted_ms > PRIME_MS or _known(view, seen):
            loop = _corrected(loop, meter.power_w, rows_w, meter.at_ms, flux_w=flux_w)
        else:
            loop = replace(loop, updated_ms=meter.at_ms)
    power_w = meter.power_w if fresh else loop.gain * rows_w + loop.unexplained_w
    samples = (*(s for s in loop.samples if now_ms - s[0] < WINDOW_MS), (now_ms, power_w))
    loop = replace(loop, samples=samples)
    site = SitePower(
        power_w=power_w,
        mean_10s_w=mean_w(samples, now_ms, 10 * MS_PER_S),
        metered=fresh,
        quality=Quality.OK if fresh else Quality.ESTIMATED,
        gain=loop.gain,
        unexplained_w=loop.unexplained_w,
    )
    return loop, site


def mean_w(samples: tuple[tuple[int, float], ...], now_ms: int, window_ms: int) -> float:
    """Mean of the samples in the window, W; NaN without any."""
    recent = [power_w for at_ms, power_w in samples if now_ms - at_ms < window_ms]
    return sum(recent) / len(recent) if recent else math.nan


def _corrected(loop: MeterLoop, meter_w: float, rows_w: float, at_ms: int, *, flux_w: float) -> MeterLoop:
    if not loop.primed:
        gain = min(max(meter_w / rows_w, GAIN_BOUNDS[0]), GAIN_BOUNDS[1]) if rows_w > 0 else 1.0
        rest_w = meter_w - gain * rows_w
        return replace(loop, gain=gain, unexplained_w=rest_w, primed=True, updated_ms=at_ms)
    loop = _learned(loop, meter_w, rows_w, settled=flux_w <= SETTLED_FRACTION * max(rows_w, 1.0))
    deviation_w = meter_w - loop.gain * rows_w - loop.unexplained_w
    sure_w = math.copysign(max(abs(deviation_w) - flux_w, 0.0), deviation_w)
    weight = 1.0 - math.exp(-(at_ms - loop.updated_ms) / MS_PER_S / SMOOTHING_S)
    return replace(loop, unexplained_w=loop.unexplained_w + weight * sure_w, updated_ms=at_ms)


def _learned(loop: MeterLoop, meter_w: float, rows_w: float, *, settled: bool) -> MeterLoop:
    """The slope between two settled points corrects the gain; the model stays where it was."""
    if not settled:
        return loop
    if loop.anchor is None:
        return replace(loop, anchor=(rows_w, meter_w))
    before_w, meter_before_w = loop.anchor
    if abs(rows_w - before_w) < LEARN_FRACTION * max(rows_w, before_w, 1.0):
        return replace(loop, anchor=(rows_w, meter_w))
    slope = min(max((meter_w - meter_before_w) / (rows_w - before_w), GAIN_BOUNDS[0]), GAIN_BOUNDS[1])
    gain = loop.gain + LEARN_WEIGHT * (slope - loop.gain)
    rest_w = loop.unexplained_w + (loop.gain - gain) * rows_w
    return replace(loop, gain=gain, unexplained_w=rest_w, anchor=(rows_w, meter_w))


def _known(view: FleetView, seen: Seen) -> bool:
    """False right after a start: the sum of the rows is then a worst case, not a measurement."""
    guessed_w = float(seen.power_now_w[view.table.seen_ms < 0].sum())
    return guessed_w <= GUESSED_FRACTION * float(seen.power_now_w.sum())


def _flux_w(view: FleetView, seen: Seen, now_ms: int) -> float:
    """Power that was told to move too recently for the sum of the rows to be trusted, W.

    A miner that boots or winds down for minutes does not count: its telemetry follows it.
    """
    rows, table, book = seen.rows, view.table, view.ladders
    told = (rows.commanded_ms >= 0) & (table.ladder != NO_LADDER)
    ladder = table.ladder[told]
    seconds = np.where(rows.wanted[told] == 0, book.down_s[ladder], book.trim_s[ladder])
    moving = now_ms - rows.commanded_ms[told] < (np.minimum(seconds, LAG_S) + LAG_S) * MS_PER_S
    step_w = np.abs(nominal_w(view, rows.before) - nominal_w(view, rows.wanted))[told]
    return float((step_w * moving).sum())
