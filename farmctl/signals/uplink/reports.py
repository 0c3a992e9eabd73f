"""OpenADR REPORT objects over MQTT: what the events asked for, measured between two reports."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from farmctl.core.units import MS_PER_S, NEVER_MS, WATTS_PER_KW, to_kw
from farmctl.ports.grid import Telemetry
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import sign
from farmctl.signals.uplink.bodies import MarkBody, ReportBody, ReportHeader, ReportValues
from farmctl.signals.uplink.build import Sender

EVERY_MS = 60_000
MOST_ASKED = 200
"""Events that are reported on at once; the ones that were asked first are let go first."""
MOST_GAP_MS = 10_000
"""A longer gap between two samples is not filled: it counts as not measured."""
S_PER_H = 3_600
MEASURED = frozenset(
    {
        "DEMAND",
        "USAGE",
        "SETPOINT",
        "OPERATING_STATE",
        "UP_REGULATION_AVAILABLE",
        "DOWN_REGULATION_AVAILABLE",
        "LOAD_SHED_DELTA_AVAILABLE",
    }
)
"""Up-regulation is load that can be given up: to the grid that is the same as more generation."""
_UNITS = {"USAGE": "KWH", "OPERATING_STATE": None}
_READING = {"DEMAND": "MEAN", "USAGE": "SUMMED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One event's wish for reports, and what was measured for it since the last one."""

    types: tuple[str, ...]
    since_ms: int = NEVER_MS
    last_ms: int = NEVER_MS
    energy_ws: float = 0.0
    covered_ms: int = 0


@dataclass(slots=True)
class Reports:
    """Who asked for what; fed by telemetry, which is the site as the grid sees it."""

    asked: dict[str, _Asked] = field(default_factory=dict)

    def ask(self, event_id: str, types: tuple[str, ...]) -> None:
        """An event wants these payload types; nothing that is measured here means no report."""
        wanted = tuple(kind for kind in types if kind in MEASURED)
        known = self.asked.pop(event_id, None)
        if wanted:
            self.asked[event_id] = replace(known, types=wanted) if known else _Asked(types=wanted)
        while len(self.asked) > MOST_ASKED:
            self.asked.pop(next(iter(self.asked)))

    def forget(self, event_id: str) -> None:
        """It ended; there is nothing more to say about it."""
        self.asked.pop(event_id, None)

    def sample(self, seen: Telemetry) -> list[tuple[str, list[ReportValues], int, int]]:
        """Take one measurement; (event, values, from, to) of every report that is due by it."""
        due = []
        for event_id, asked in self.asked.items():
            after = _measured(asked, seen)
            if after.since_ms != NEVER_MS and seen.at_ms - after.since_ms >= EVERY_MS:
                due.append((event_id, _values(after, seen), after.since_ms, seen.at_ms))
                after = replace(after, since_ms=seen.at_ms, energy_ws=0.0, covered_ms=0)
            self.asked[event_id] = after
        return due


def report_json(
    event_id: str,
    values: list[ReportValues],
    span: tuple[int, int],
    sender: Sender,
    seq: int,
    mark: MarkBody | None = None,
) -> ReportBody:
    """One report over [start, end) ms with the header that the signature stands in."""
    start_ms, end_ms = span
    header: ReportHeader = {
        "v": 1,
        "site": sender.site,
        "ts": rfc3339(end_ms),
        "controllerId": sender.controller_id,
        "epoch": 0,
        "seq": seq,
    }
    if mark is not None:
        header["outbox"] = mark
    period = {"start": rfc3339(start_ms), "duration": f"PT{(end_ms - start_ms) / MS_PER_S:g}S"}
    return {
        "objectType": "REPORT",
        "eventID": event_id,
        "clientName": sender.site,
        "reportName": f"{event_id} {rfc3339(start_ms)}",
        "payloadDescriptors": [_descriptor(value["type"]) for value in values],
        "resources": [
            {"resourceName": sender.site, "intervals": [{"id": 0, "intervalPeriod": period, "payloads": values}]}
        ],
        "x-farmctl": header,
    }


def encoded_report(body: ReportBody, *, topic: str, sender: Sender) -> bytes:
    """The payload to publish; the signature stands in `x-farmctl.sig`, as it does in an event."""
    whole: Mapping[str, object] = body
    if sender.seed is not None:
        whole = {**body, "x-farmctl": {**body["x-farmctl"], "sig": sign(sender.seed, topic, body)}}
    return json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()


def _measured(asked: _Asked, seen: Telemetry) -> _Asked:
    """The power of a sample stands for the time since the one before."""
    if asked.last_ms == NEVER_MS:
        return replace(asked, since_ms=seen.at_ms, last_ms=seen.at_ms)
    gap_ms = seen.at_ms - asked.last_ms
    if not 0 < gap_ms <= MOST_GAP_MS or not math.isfinite(seen.power_w):
        return replace(asked, last_ms=seen.at_ms)
    return replace(
        asked,
        last_ms=seen.at_ms,
        energy_ws=asked.energy_ws + max(seen.power_w, 0.0) * gap_ms / MS_PER_S,
        covered_ms=asked.covered_ms + gap_ms,
    )


def _values(asked: _Asked, seen: Telemetry) -> list[ReportValues]:
    figures: dict[str, float | None] = {
        "DEMAND": to_kw(asked.energy_ws / asked.covered_ms * MS_PER_S) if asked.covered_ms else None,
        "USAGE": round(asked.energy_ws / S_PER_H / WATTS_PER_KW, 3) if asked.covered_ms else None,
        "SETPOINT": None if seen.setpoint_w is None else to_kw(seen.setpoint_w),
        "UP_REGULATION_AVAILABLE": to_kw(seen.down_available_w),
        "LOAD_SHED_DELTA_AVAILABLE": to_kw(seen.down_available_w),
        "DOWN_REGULATION_AVAILABLE": to_kw(seen.up_available_w),
    }
    values: list[ReportValues] = []
    for kind in asked.types:
        if kind == "OPERATING_STATE":
            values.append({"type": kind, "values": ["RUNNING_CURTAILED" if seen.event_id else "NORMAL"]})
        elif (figure := figures[kind]) is not None and math.isfinite(figure):
            values.append({"type": kind, "values": [figure]})
    values.append({"type": "DATA_QUALITY", "values": [seen.quality.value]})
    return values


def _descriptor(kind: str) -> dict[str, str]:
    units = None if kind == "DATA_QUALITY" else _UNITS.get(kind, "KW")
    return {
        "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
        "payloadType": kind,
        **({"readingType": _READING[kind]} if kind in _READING else {}),
        **({"units": units} if units else {}),
    }
