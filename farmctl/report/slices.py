"""The event in settlement intervals: kWh per interval and baseline method, for the CSV that settles."""

from __future__ import annotations

from collections.abc import Sequence

from farmctl.core.model import Quality
from farmctl.report.baselines import Baseline, energies
from farmctl.report.canonical import MS_PER_S, Json, iso, rounded
from farmctl.report.case import Case

SHORT_MS = 30 * 60_000
SHORT_SLICE_MS, SLICE_MS = 60_000, 300_000
"""Up to half an hour is cut into minutes, a longer event into five minutes, on the clock's marks."""
COMPLETE = 0.999
KWH_PER_MWH = 1_000.0


def slices(case: Case, lines: Sequence[Baseline]) -> list[Json]:
    """Rows in order of time and method."""
    step_ms = SHORT_SLICE_MS if case.end_ms - case.start_ms <= SHORT_MS else SLICE_MS
    power, source = case.series.power()
    rows: list[Json] = []
    begin_ms = case.start_ms
    while begin_ms < case.end_ms:
        end_ms = min(begin_ms // step_ms * step_ms + step_ms, case.end_ms)
        metered = power.clipped(begin_ms, end_ms)
        covered = metered.covered_s() * MS_PER_S / (end_ms - begin_ms)
        quality = Quality.ESTIMATED if source != "METER" else Quality.OK if covered >= COMPLETE else Quality.BAD
        for line in lines:
            energy = energies(metered, line)
            rows.append(
                {
                    "start": iso(begin_ms),
                    "end": iso(end_ms),
                    "method": line.method,
                    "baseline_kwh": _kwh(energy["baseline_mwh"]),
                    "metered_kwh": rounded(metered.integral() / 3.6e6, 6),
                    "delivered_kwh": _kwh(energy["delivered_mwh"]),
                    "absorbed_kwh": _kwh(energy["absorbed_mwh"]),
                    "quality": (quality if covered > 0 else Quality.MISSING).value,
                    "coverage_pct": rounded(100.0 * covered, 2),
                }
            )
        begin_ms = end_ms
    return rows


def _kwh(energy_mwh: float) -> float | None:
    return rounded(energy_mwh * KWH_PER_MWH, 6)
