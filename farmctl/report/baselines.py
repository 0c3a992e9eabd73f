"""What would have been drawn without the event, by each method of SIGNALS section 12; computed apart, never mixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.report.canonical import MS_PER_S, Json, kw, mwh, rounded
from farmctl.report.case import BEFORE_MS, Case
from farmctl.report.history_days import DayMean
from farmctl.report.series import Line, minus, positive, wh

LEAST_BEFORE_S = 300.0
"""MBMA wants 5-15 minutes before the event."""
ADJUSTMENT_CAP = 0.20
"""Same-day adjustment of X_OF_Y, as commonly stated; SIGNALS marks it as not verified."""
MBMA, FIRM, BOTTOM_UP, X_OF_Y = "MBMA", "FIRM", "BOTTOM_UP", "X_OF_Y"
DEFINITIONS = {
    MBMA: "mean of the meter over the last 15 minutes before the event",
    FIRM: "contracted firm level (maximum base load)",
    BOTTOM_UP: "sum over the miners of what each would have drawn by its learned curve, at the meter, within what the "
    "site may draw without an order",
    X_OF_Y: "mean of the X highest of the last Y eligible days at the same hours, adjusted to the day within 20 %",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Baseline:
    """One method's answer."""

    method: str
    value_w: float | Line
    estimate: bool
    flags: tuple[str, ...]
    detail: Json

    def at(self, line: Line) -> Line:
        """The baseline at a line's moments, W."""
        if isinstance(self.value_w, Line):
            at_w = np.interp(line.at_ms, self.value_w.at_ms, self.value_w.value)
            return Line(at_ms=line.at_ms, value=at_w)
        return Line(at_ms=line.at_ms, value=np.full(len(line.at_ms), self.value_w))


def baselines(case: Case, days: tuple[DayMean, ...] | None, wanted: tuple[int, int] | None) -> list[Baseline]:
    """Every method that the journal has the data for, in a fixed order."""
    found = [each for each in (_mbma(case), _firm(case), _bottom_up(case)) if each is not None]
    if days is not None and wanted is not None:
        found += [each for each in (_x_of_y(case, days, wanted),) if each is not None]
    return found


def told(case: Case, baseline: Baseline) -> Json:
    """A method with its energies over the event."""
    metered = case.series.power()[0].clipped(case.start_ms, case.end_ms)
    return {
        "method": baseline.method,
        "definition": DEFINITIONS[baseline.method],
        "estimate": baseline.estimate,
        "flags": sorted(baseline.flags),
        "detail": baseline.detail,
        "baseline_kw": kw(baseline.at(metered).mean()),
        **energies(metered, baseline),
    }


def energies(metered: Line, baseline: Baseline) -> Json:
    """Baseline, delivered and absorbed MWh over a metered stretch; no energy is counted across gaps."""
    below = minus(baseline.at(metered), metered)
    above = minus(metered, baseline.at(metered))
    return {
        "baseline_mwh": mwh(wh(baseline.at(metered))),
        "delivered_mwh": mwh(wh(positive(below))),
        "absorbed_mwh": mwh(wh(positive(above))),
        "net_mwh": mwh(wh(below)),
    }


def _mbma(case: Case) -> Baseline | None:
    power, source = case.series.power()
    before = power.clipped(case.start_ms - BEFORE_MS, case.start_ms)
    mean_w = before.mean()
    if mean_w is None:
        return None
    flags = [f"another event was live before it: {name}" for name in _others_before(case)]
    if before.covered_s() < LEAST_BEFORE_S:
        flags.append(f"only {before.covered_s():.0f} s of samples before the event, expected at least 300 s")
    detail = {"covered_s": rounded(before.covered_s(), 1), "window_s": BEFORE_MS / MS_PER_S}
    return Baseline(method=MBMA, value_w=mean_w, estimate=source != "METER", flags=tuple(flags), detail=detail)


def _others_before(case: Case) -> list[str]:
    return case.others_live(case.start_ms - BEFORE_MS, case.start_ms)


def _firm(case: Case) -> Baseline:
    firm_w = float(case.facts.body["firm_w"])
    return Baseline(method=FIRM, value_w=firm_w, estimate=False, flags=(), detail={"firm_kw": kw(firm_w)})


def _bottom_up(case: Case) -> Baseline | None:
    could = case.series.line("could_w")
    if not len(could.at_ms):
        return None
    free_w = float(case.facts.body["free_w"])
    bounded = Line(at_ms=could.at_ms, value=np.minimum(could.value, free_w))
    detail = {"free_kw": kw(free_w), "could_kw": kw(could.clipped(case.start_ms, case.end_ms).mean())}
    flags = ("no ambient temperature is measured: the learned curves stand for it",)
    return Baseline(method=BOTTOM_UP, value_w=bounded, estimate=True, flags=flags, detail=detail)


def _x_of_y(case: Case, days: tuple[DayMean, ...], wanted: tuple[int, int]) -> Baseline | None:
    most, of = wanted
    eligible = [day for day in days if day.excluded == ""][:of]
    chosen = sorted(eligible, key=lambda day: -day.mean_w)[:most]
    if not chosen:
        return None
    mean_w = sum(day.mean_w for day in chosen) / len(chosen)
    flags = [f"only {len(eligible)} eligible days, expected {of}"] if len(eligible) < of else []
    before_w = case.series.power()[0].clipped(case.start_ms - BEFORE_MS, case.start_ms).mean()
    known = [day.before_w for day in chosen if day.before_w is not None]
    factor = 1.0
    if before_w is not None and known and sum(known) > 0:
        factor = float(np.clip(before_w / (sum(known) / len(known)), 1 - ADJUSTMENT_CAP, 1 + ADJUSTMENT_CAP))
    detail = {
        "x": most,
        "y": of,
        "adjustment": rounded(factor, 4),
        "days": [{"day": day.day, "mean_kw": kw(day.mean_w), "chosen": day in chosen} for day in eligible],
        "excluded": [{"day": day.day, "why": day.excluded} for day in days if day.excluded],
    }
    return Baseline(method=X_OF_Y, value_w=mean_w * factor, estimate=False, flags=tuple(flags), detail=detail)
