"""Reports as CSV: settlement intervals, with the hash of the chain on every line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

EVENT_COLUMNS = (
    "interval_start",
    "interval_end",
    "kwh",
    "quality",
    "method",
    "event",
    "baseline_kwh",
    "delivered_kwh",
    "absorbed_kwh",
    "coverage_pct",
    "chain_hash",
)
PERIOD_COLUMNS = ("interval_start", "interval_end", "kwh", "quality", "coverage_pct", "site", "chain_hash")


def as_csv(report: Mapping[str, Any]) -> str:
    """The intervals of an event (one line per baseline method) or of a day or month."""
    event = report["report"] == "event"
    columns = EVENT_COLUMNS if event else PERIOD_COLUMNS
    name = {"event": report["identity"]["event"]} if event else {"site": report["identity"]["site"]}
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in report["intervals"]:
        writer.writerow(
            {
                **row,
                **name,
                "interval_start": row["start"],
                "interval_end": row["end"],
                "kwh": row["metered_kwh"],
                "chain_hash": report["inputs"]["last_hash"],
            }
        )
    return out.getvalue()
