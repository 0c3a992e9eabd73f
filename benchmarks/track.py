"""How exactly the real core follows a set-point, in virtual time, against the simulated meter.

Five-minute base points over a fleet of mixed firmware; the same with warm air, with devices that mis-report, with the
meter lost; falling ones over machines that only stop and start, or restart to change their mode; and a four-second
regulation signal on the fast part of the fleet. No sleep and no socket: one cycle a virtual second through
`farmctl.core.step`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks._host import StealWatch
from benchmarks._regulation import BASE_PU, PERIOD_S, SWING_PU, Score, score, signal
from tests.scenarios.day import Day
from tests.scenarios.site import Farm, farm, ladder

BASE_POINTS = (0.80, 0.62, 0.71, 0.55, 0.90, 0.77, 0.84, 0.66)
"""Shares of the rating, one per five minutes."""
BASE_POINT_S = 300
SETTLING_S = 60
OVERLAP_S = 10
"""A dispatcher sends the next base point before the last one ends."""
MIXES = {
    "luxos": (ladder("luxos"), ladder("luxos-xp", full_w=3_010.0, j_per_th=21.5)),
    "luxos+whatsminer": (ladder("luxos"), ladder("whatsminer", down_s=30.0, up_s=120.0, trim_s=5.0, j_per_th=26.0)),
    "braiins+vnish": (
        ladder("braiins", down_s=5.0, up_s=300.0, trim_s=60.0, j_per_th=23.0),
        ladder("vnish", full_w=3_050.0, down_s=10.0, up_s=300.0, trim_s=60.0, j_per_th=27.0),
    ),
    "luxos+stock": (ladder("luxos"), ladder("stock", throttle=False, down_s=60.0, up_s=240.0, j_per_th=29.5)),
}
COARSE = (
    ladder("m30s++", full_w=3_472.0, throttle=False, down_s=60.0, up_s=600.0, j_per_th=31.0),
    ladder("s19pro", full_w=3_250.0, throttle=(80,), down_s=60.0, up_s=600.0, trim_s=300.0, j_per_th=29.5),
    ladder("vnish", full_w=3_050.0, throttle=(70, 80, 90), down_s=10.0, up_s=600.0, trim_s=600.0, j_per_th=30.5),
)
"""As configs/profiles has them: a mode or a preset is changed by a restart of the mining process."""
FALLING = (0.85, 0.78, 0.72, 0.66)
"""Base points of the coarse fleet: no rise is asked of machines that wake in ten minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Absolute error against the meter, percent of the set-point."""

    mean: float
    p95: float
    end: float
    """Worst of all intervals, mean of the last ten seconds."""

    def told(self) -> dict[str, float]:
        """Rounded, for JSON."""
        return {"mean": round(self.mean, 3), "p95": round(self.p95, 3), "worst_end": round(self.end, 3)}


def main() -> None:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miners", type=int, default=300)
    parser.add_argument("--coarse-miners", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object (the only form)")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.miners, arguments.coarse_miners)))


def measure(miners: int, coarse_miners: int, mixes: tuple[str, ...] = tuple(MIXES)) -> dict[str, object]:
    """Every story of every mix once."""
    steal = StealWatch()
    told = {name: {story: run(miners, name) for story, run in STORIES.items()} for name in mixes}
    plain = [stories["plain"] for stories in told.values()]
    error, terms = regulation(_site(miners, "luxos"))
    return {
        "miners": miners,
        "base_point_mean_error_pct": round(float(np.mean([e.mean for e in plain])), 3),
        "base_point_p95_error_pct": round(max(e.p95 for e in plain), 3),
        "base_point_worst_end_error_pct": round(max(e.end for e in plain), 3),
        "regulation_mean_error_pct": round(error, 3),
        "coarse": {
            "miners": coarse_miners,
            **{story: run(coarse_miners).told() for story, run in COARSE_STORIES.items()},
        },
        "mixes": {name: {story: e.told() for story, e in stories.items()} for name, stories in told.items()},
        "regulation_score": {
            "precision": round(terms.precision, 3),
            "delay": round(terms.delay, 3),
            "correlation": round(terms.correlation, 3),
            "composite": round(terms.composite, 3),
        },
        "steal_pct": steal.steal_pct(),
    }


def base_points(
    site: Farm,
    *,
    shares: Sequence[float] = BASE_POINTS,
    each: Callable[[Day], None] | None = None,
    meter_lost: bool = False,
) -> Error:
    """Follow the base points; the first minute of each is the response window and does not count."""
    day = Day(site, standing_w=float(site.full_w.sum()))
    day.run(120)
    errors: list[float] = []
    ends: list[float] = []
    for number, share in enumerate(shares):
        if meter_lost and number == 2:  # noqa: PLR2004 - two base points with the meter teach the model
            day.metered = False
        target_w = share * day.rated_w
        day.event(f"base-{number}", setpoint_w=target_w, for_s=BASE_POINT_S + OVERLAP_S)
        for second in range(BASE_POINT_S):
            day.run(1)
            if each is not None:
                each(day)
            if second >= SETTLING_S:
                errors.append(abs(day.power_w - target_w) / target_w)
        ends.append(abs(day.mean_w(10) - target_w) / target_w)
    mean, p95 = float(np.mean(errors)), float(np.quantile(errors, 0.95))
    return Error(mean=100.0 * mean, p95=100.0 * p95, end=100.0 * max(ends))


def regulation(site: Farm, minutes: int = 40) -> tuple[float, Score]:
    """Mean error in percent of the set-point, and the terms of the score, over a four-second signal."""
    day = Day(site).run(120)
    base_w, swing_w = BASE_PU * day.rated_w, SWING_PU * day.rated_w
    day.event("warm-up", setpoint_w=base_w, for_s=60)
    day.run(60)
    asked: list[float] = []
    given: list[float] = []
    for number, value in enumerate(signal(minutes)):
        target_w = base_w + swing_w * float(value)
        day.event(f"regulation-{number}", setpoint_w=target_w, for_s=2 * PERIOD_S)
        for _ in range(PERIOD_S):
            day.run(1)
            asked.append(target_w)
            given.append(day.power_w)
    wanted, got = np.array(asked), np.array(given)
    return 100.0 * float(np.mean(np.abs(got - wanted) / wanted)), score(wanted - base_w, got - base_w)


def _site(miners: int, mix: str) -> Farm:
    site = farm(miners, ladders=MIXES.get(mix, COARSE), feeders=3, aux_w=0.03 * miners * 3_400.0)
    site.warmth[:] = 1.0 + 0.03 * np.sin(np.arange(miners))  # machines of one model differ by a few percent
    return site


def _misreporting(site: Farm) -> Farm:
    site.bias[:] = 0.9
    return site


def _warming(intervals: int = len(BASE_POINTS)) -> Callable[[Day], None]:
    def warm(day: Day) -> None:
        day.farm.warmth *= 1.0 + 0.07 / (BASE_POINT_S * intervals)

    return warm


STORIES: dict[str, Callable[[int, str], Error]] = {
    "plain": lambda miners, mix: base_points(_site(miners, mix)),
    "ambient_drift_7_pct": lambda miners, mix: base_points(_site(miners, mix), each=_warming()),
    "device_power_10_pct_wrong": lambda miners, mix: base_points(_misreporting(_site(miners, mix))),
    "meter_lost": lambda miners, mix: base_points(_site(miners, mix), meter_lost=True),
    "meter_lost_and_10_pct_wrong": lambda miners, mix: base_points(_misreporting(_site(miners, mix)), meter_lost=True),
    "meter_lost_and_drift": lambda miners, mix: base_points(_site(miners, mix), each=_warming(), meter_lost=True),
}
"""What each mix goes through."""


def coarse(miners: int, *, drift: bool = False, wrong: bool = False, meter_lost: bool = False) -> Error:
    """The falling base points, all in a row; with the meter lost the last two are without it."""
    site = _site(miners, "coarse")
    site = _misreporting(site) if wrong else site
    return base_points(site, shares=FALLING, each=_warming(len(FALLING)) if drift else None, meter_lost=meter_lost)


COARSE_STORIES: dict[str, Callable[[int], Error]] = {
    "plain": coarse,
    "ambient_drift_7_pct": lambda miners: coarse(miners, drift=True),
    "device_power_10_pct_wrong": lambda miners: coarse(miners, wrong=True),
    "meter_lost": lambda miners: coarse(miners, meter_lost=True),
    "meter_lost_and_10_pct_wrong": lambda miners: coarse(miners, wrong=True, meter_lost=True),
    "meter_lost_and_drift": lambda miners: coarse(miners, drift=True, meter_lost=True),
}
"""What the coarse fleet goes through; warming air gets as warm in its twenty minutes."""

if __name__ == "__main__":
    main()
