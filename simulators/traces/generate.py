"""Makes surplus_day.csv: a day of five-minute base points for a load that soaks up surplus generation.

`python -m simulators.traces.generate` writes the file anew; the seed makes it the same every time.
"""

from __future__ import annotations

import csv
import io
import math
import random
from pathlib import Path

SEED = 2_000
STEP_S = 300
STEPS = 288
LEAD_S = 30
"""Base points go out half a minute before their interval."""
LOWEST, HIGHEST = 0.20, 0.98
WANDER, PULL = 0.02, 0.15
"""Forecast error per step, and how fast it is forgotten: about 4 % standing deviation."""
LIMITS = ((18.5, 1.0, 0.40), (20.0, 0.5, 0.30))
"""(hour, hours, fraction of rated): the evening peak brings import limits as well."""
COLUMNS = ("t_s", "kind", "name", "target_pu", "limit_pu", "duration_s", "lead_s", "class", "respond_within_s")
HEADER = "# Made by simulators.traces.generate: a surplus day in fractions of rated power; see simulators.grid.trace.\n"


def surplus(hour: float) -> float:
    """Fraction of rated power the grid would like to sell at this hour: night and noon are rich, evening is poor."""
    night = 0.87
    noon = 0.08 * math.exp(-(((hour - 12.5) / 2.2) ** 2))
    morning_peak = 0.35 * math.exp(-(((hour - 7.5) / 1.3) ** 2))
    evening_peak = 0.62 * math.exp(-(((hour - 19.5) / 2.0) ** 2))
    return night + noon - morning_peak - evening_peak


def surplus_day(seed: int = SEED) -> str:
    """The CSV text of one day."""
    dice = random.Random(seed)  # noqa: S311 - a made-up day, not a secret
    rows: list[dict[str, str]] = []
    error = 0.0
    for step in range(STEPS):
        error += -PULL * error + dice.gauss(0, WANDER)
        target = min(HIGHEST, max(LOWEST, surplus(step * STEP_S / 3_600) + error))
        times = {"t_s": str(step * STEP_S), "duration_s": str(STEP_S), "lead_s": str(LEAD_S)}
        order = {"kind": "create", "name": f"bp-{step:03}", "target_pu": f"{target:.4f}", "class": "TARGET"}
        rows.append(times | order | {"respond_within_s": "240"})
    for index, (hour, hours, fraction) in enumerate(LIMITS):
        times = {"t_s": f"{hour * 3_600:.0f}", "duration_s": f"{hours * 3_600:.0f}", "lead_s": str(LEAD_S)}
        order = {"kind": "create", "name": f"limit-{index}", "limit_pu": f"{fraction:.4f}", "class": "LIMIT"}
        rows.append(times | order | {"respond_within_s": "60"})
    text = io.StringIO()
    text.write(HEADER)
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: float(row["t_s"])))
    return text.getvalue()


if __name__ == "__main__":
    Path(__file__).with_name("surplus_day.csv").write_text(surplus_day(), encoding="utf-8")
