"""Where the meter said nothing that counts: flagged, never filled."""

from __future__ import annotations

import numpy as np

from farmctl.ports.series import QUALITIES
from farmctl.report.canonical import MS_PER_S, Json, iso, rounded
from farmctl.report.series import MAX_GAP_MS, SiteSeries

SAMPLE_MS = 1_000
LEAST_THERE = 0.5
NO_SAMPLES = "no samples: the controller did not run, or could not write"


def data_gaps(series: SiteSeries, from_ms: int, to_ms: int) -> list[Json]:
    """Every stretch in [from, to] without a good sample for more than five seconds, and why."""
    good_ms = series.metered().between(from_ms, to_ms).at_ms
    edges = np.concatenate([[from_ms], good_ms, [to_ms]])
    found: list[Json] = []
    for index in np.flatnonzero(np.diff(edges) > MAX_GAP_MS):
        begin_ms, end_ms = int(edges[index]), int(edges[index + 1])
        inside = (series.at_ms > begin_ms) & (series.at_ms < end_ms)
        bad = {QUALITIES[code].value for code in np.unique(series.site["quality"][inside])} - {"OK"}
        there = inside.sum() * SAMPLE_MS >= LEAST_THERE * (end_ms - begin_ms)
        why = f"meter {', '.join(sorted(bad))}" if bad and there else NO_SAMPLES
        found.append(
            {
                "from": iso(begin_ms),
                "to": iso(end_ms),
                "seconds": rounded((end_ms - begin_ms) / MS_PER_S, 1),
                "why": why,
            }
        )
    return found


def meter_source(series: SiteSeries, meters: list[str]) -> Json:
    """Where the power of a report comes from, and how much of it the meter vouched for."""
    samples = len(series.at_ms)
    counts = {quality.value: int((series.site["quality"] == code).sum()) for code, quality in enumerate(QUALITIES)}
    return {
        "source": series.power()[1],
        "meter": meters[0] if meters else "",
        "samples": samples,
        "quality": {name: count for name, count in sorted(counts.items()) if count},
        "ok_pct": rounded(100.0 * float(series.ok.sum()) / samples, 3) if samples else None,
    }
