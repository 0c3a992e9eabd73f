"""The closed loop on the site meter: how the meter follows the sum of the miners, learned and slowly corrected.

The model is `meter = gain x rows + rest`. The gain holds what grows with the load (watts that devices under-report,
cooling), the rest holds what does not. A step of load moves the meter by the gain, so a wrong gain is an error
after every step, while the rest is corrected within seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from farmctl.core.confirm import Seen
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import MeterLoop, Standing
from farmctl.core.model import Quality
from farmctl.core.units import MS_PER_S, NEVER_MS

SMOOTHING_S = 8.0
"""Time constant of the slow correction; SCALE section 4 asks for about 10 s with gain 0.3 per step."""
WINDOW_MS = 60_000
METER_LAG_S = 1.0
"""A meter sample and a miner's reading of the same second may be this far apart."""
OVER_REPORTED = 0.2
"""The rest is never taken below what silent miners and this share of the others could explain."""
TELLING_FRACTION = 0.2
"""Below this share of the rating the first look says nothing about the gain."""
IDLE_FRACTION = 0.15
GAIN_BOUNDS = (0.85, 1.30)
"""Devices are 5-20 % off a PDU, and cooling adds a few percent (DEVICES section 6)."""
FIRST_SHARE = 0.5
"""Before the first lesson, so much of what the meter shows beyond the rows is taken to grow with the load."""
LEARN_FRACTION = 0.05
"""Two settled points at least this share of the load apart teach the gain."""
LEARN_WEIGHT = 0.3
SETTLED_MS = 12_000
SETTLED_FRACTION = 0.005
"""Settled: meter and rows both stayed within this share of the load for that long."""
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
        reports = (*(r for r in loop.reports if now_ms - r[0] < SETTLED_MS), (now_ms, meter.power_w, rows_w))
        loop = replace(loop, reports=reports)
        waited = now_ms - booted_ms > PRIME_MS
        if waited or _known(view, seen):
            loop = _corrected(loop, view, seen, now_ms, waited=waited)
        else:
            loop = replace(loop, updated_ms=meter.at_ms)
    # Headquarters has no rows to fall back on: what it was told of its sites is all that it knows.
    told = not len(view.table) and meter.quality is Quality.ESTIMATED and math.isfinite(meter.power_w)
    power_w = meter.power_w if fresh or told else loop.gain * rows_w + loop.unexplained_w
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


def _corrected(loop: MeterLoop, view: FleetView, seen: Seen, now_ms: int, *, waited: bool) -> MeterLoop:
    meter_w, at_ms, rated_w = view.meter.power_w, view.meter.at_ms, view.rules.rated_w
    rows_w, unseen_w = float(seen.power_now_w.sum()), _unseen_w(view, seen, now_ms)
    # The meter shows less than the rows only for rows that are silent, and for devices that over-report.
    silent_w = float(seen.power_now_w[~seen.fresh].sum())
    lowest_w = -silent_w - OVER_REPORTED * (rows_w - silent_w)
    if not loop.primed:
        quiet = unseen_w <= SETTLED_FRACTION * rows_w
        if not quiet and not waited:
            # An order that comes with the start moves the rows before the meter has told anything: what it shows
            # beyond them now is their way down, and would be carried for half a minute as load of the site.
            return replace(loop, updated_ms=at_ms)
        telling = rows_w > 0 and quiet and meter_w > TELLING_FRACTION * rated_w
        ratio = 1.0 + FIRST_SHARE * (meter_w / rows_w - 1.0) if telling else 1.0
        gain = min(max(ratio, GAIN_BOUNDS[0]), GAIN_BOUNDS[1])
        rest_w = max(meter_w - gain * rows_w, lowest_w)
        return replace(loop, gain=gain, unexplained_w=rest_w, primed=True, updated_ms=at_ms)
    if _settled(loop.reports):
        loop = _learned(loop, meter_w, rows_w)
    deviation_w = meter_w - loop.gain * rows_w - loop.unexplained_w
    sure_w = math.copysign(max(abs(deviation_w) - unseen_w, 0.0), deviation_w)
    weight = 1.0 - math.exp(-max(at_ms - loop.updated_ms, 0) / MS_PER_S / SMOOTHING_S)
    rest_w = max(loop.unexplained_w + weight * sure_w, lowest_w)
    return replace(loop, unexplained_w=rest_w, updated_ms=at_ms)


def _settled(reports: tuple[tuple[int, float, float], ...]) -> bool:
    """Meter and rows have both stood still; a step seen through slow polls is no lesson."""
    if not reports or reports[-1][0] - reports[0][0] < SETTLED_MS - 2 * MS_PER_S:
        return False
    meters, rows = [r[1] for r in reports], [r[2] for r in reports]
    band_w = SETTLED_FRACTION * max(*rows, 1.0)
    return max(meters) - min(meters) <= band_w and max(rows) - min(rows) <= band_w


def _learned(loop: MeterLoop, meter_w: float, rows_w: float) -> MeterLoop:
    """The slope between two settled points corrects the gain; the model stays where it was."""
    if loop.anchor is None:
        return replace(loop, anchor=(rows_w, meter_w))
    before_w, meter_before_w = loop.anchor
    if abs(rows_w - before_w) < LEARN_FRACTION * max(rows_w, before_w, 1.0):
        return replace(loop, anchor=(rows_w, meter_w))
    slope = min(max((meter_w - meter_before_w) / (rows_w - before_w), GAIN_BOUNDS[0]), GAIN_BOUNDS[1])
    gain = loop.gain + (LEARN_WEIGHT if loop.taught else 1.0) * (slope - loop.gain)
    rest_w = loop.unexplained_w + (loop.gain - gain) * rows_w
    return replace(loop, gain=gain, taught=True, unexplained_w=rest_w, anchor=(rows_w, meter_w))


def _known(view: FleetView, seen: Seen) -> bool:
    """False right after a start: the sum of the rows is then a worst case, not a measurement."""
    guessed_w = float(seen.power_now_w[view.table.seen_ms < 0].sum())
    return guessed_w <= GUESSED_FRACTION * float(seen.power_now_w.sum())


def _unseen_w(view: FleetView, seen: Seen, now_ms: int) -> float:
    """How much may have moved since the miners on their way were last read, W: no more than they can travel."""
    rows, table, book = seen.rows, view.table, view.ladders
    index = np.flatnonzero((rows.standing == Standing.PENDING) & (table.ladder != NO_LADDER))
    ladder = table.ladder[index]
    asleep = rows.wanted[index] == 0
    waking = (rows.before[index] == 0) & ~asleep
    seconds = np.where(asleep, book.down_s[ladder], np.where(waking, book.up_s[ladder], book.trim_s[ladder]))
    full_w = seen.full_w[index]
    # A miner that boots stands at idle for minutes, then climbs in seconds.
    climbing = waking & (seen.power_now_w[index] > IDLE_FRACTION * full_w)
    seconds = np.where(climbing, book.trim_s[ladder], seconds)
    since_s = np.minimum(now_ms - table.seen_ms[index], now_ms - rows.commanded_ms[index]) / MS_PER_S + METER_LAG_S
    travel_w = full_w / np.maximum(seconds, 1.0) * np.maximum(since_s, 0.0)
    left_w = np.abs(seen.wanted_w[index] - seen.power_now_w[index])
    return float(np.minimum(travel_w, left_w).sum())
