"""One way to write a report down, so that the same journal always gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from farmctl.ports.store import StoredRecord

Json = dict[str, Any]

W_PER_KW = 1_000.0
WH_PER_MWH = 1_000_000.0
MS_PER_S = 1_000.0
S_PER_H = 3_600.0
S_PER_DAY = 86_400.0
GHS_PER_THS = 1_000.0
DIGEST = "sha256"
"""Key of a report's own digest, over everything else in it."""


def kw(power_w: float | None) -> float | None:
    """Watts as kW to the watt; None where unknown."""
    return rounded(None if power_w is None else power_w / W_PER_KW, 3)


def fine_kw(power_w: float | None) -> float | None:
    """Watts as kW to the milliwatt, for differences that may be small; None where unknown."""
    return rounded(None if power_w is None else power_w / W_PER_KW, 6)


def mwh(energy_wh: float | None) -> float | None:
    """Watt-hours as MWh to the milliwatt-hour: a demo's event is a few hundred Wh."""
    return rounded(None if energy_wh is None else energy_wh / WH_PER_MWH, 9)


def rounded(value: float | None, digits: int) -> float | None:
    """A number of fixed digits; None for what is no number. Minus zero is zero."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0


def whole(value: float | None) -> int | None:
    """A number without digits; None for what is no number."""
    return None if value is None or not math.isfinite(value) else round(value)


def iso(at_ms: float) -> str:
    """A moment in UTC to the millisecond."""
    moment = datetime.fromtimestamp(int(at_ms) / MS_PER_S, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(report: Mapping[str, Any]) -> str:
    """A report as it is printed and hashed: sorted keys, one space of indent."""
    return json.dumps(report, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def sealed(report: Json) -> Json:
    """The report with its own digest."""
    return {**report, DIGEST: digest(report)}


def digest(report: Mapping[str, Any]) -> str:
    """SHA-256 over a report without its digest."""
    return hashlib.sha256(text({key: value for key, value in report.items() if key != DIGEST}).encode()).hexdigest()


def records_digest(records: Iterable[StoredRecord]) -> str:
    """SHA-256 over records as they are read, whatever the journal says of their hashes."""
    running = hashlib.sha256()
    for stored in sorted(records, key=lambda each: each.seq):
        record = stored.record
        head = [stored.seq, record.at_ms, record.kind.value, record.body]
        running.update(json.dumps(head, sort_keys=True, separators=(",", ":")).encode())
        running.update(hashlib.sha256(record.blob).digest())
    return running.hexdigest()
