"""Acks and measurements as OpenADR 3.1 REPORT objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from farmctl.core.grid import Ack, EventState
from farmctl.core.units import MS_PER_S, WATTS_PER_KW, to_kw
from farmctl.signals._intake.duration import rfc3339

STATE_TYPE = "X_FARMCTL_EVENT_STATE"
"""Private payload type beside OPERATING_STATE: the state of the event, its 2030.5 code and the reason."""
IDLE_BELOW = 0.02
"""Below this part of the rating the site counts as idle (CTA-2045: insignificant consumption)."""
S_PER_H = 3_600
ReportBody = dict[str, Any]

_IN_FORCE = frozenset({EventState.ACTIVE, EventState.RAMPING, EventState.REACHED, EventState.DEVIATING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Who reports: the same in every report."""

    client_name: str
    resource: str
    rating_w: float


def operating_state(ack: Ack, rating_w: float) -> str:
    """The state of the site as OpenADR and CTA-2045 name it, seen from one event."""
    measured_w = ack.measured_w
    idle = measured_w is not None and math.isfinite(measured_w) and measured_w < IDLE_BELOW * rating_w
    if ack.state in _IN_FORCE:
        return "IDLE_CURTAILED" if idle else "RUNNING_CURTAILED"
    if ack.state in (EventState.OPTED_OUT, EventState.REJECTED):
        return "IDLE_OPTED_OUT" if idle else "RUNNING_OPTED_OUT"
    if ack.state is EventState.FAILED:
        return "ERROR"
    return "NORMAL"


def ack_report(ack: Ack, reporter: Reporter) -> ReportBody:
    """One ack as a report."""
    payloads: list[dict[str, Any]] = [
        {"type": "OPERATING_STATE", "values": [operating_state(ack, reporter.rating_w)]},
        {"type": STATE_TYPE, "values": [ack.state.value, ack.code, ack.reason]},
    ]
    descriptors = [_descriptor("OPERATING_STATE"), _descriptor(STATE_TYPE)]
    for kind, watts in (("SETPOINT", ack.target_w), ("DEMAND", ack.measured_w)):
        if watts is not None and math.isfinite(watts):
            payloads.append({"type": kind, "values": [to_kw(max(watts, 0.0))]})
            descriptors.append(_descriptor(kind, reading="MEAN" if kind == "DEMAND" else None, units="KW"))
    return {
        "eventID": ack.event_id,
        "clientName": reporter.client_name,
        "reportName": f"{ack.event_id} {ack.state.value}",
        "payloadDescriptors": descriptors,
        "resources": [
            {
                "resourceName": reporter.resource,
                "intervals": [
                    {"id": 0, "intervalPeriod": {"start": rfc3339(ack.at_ms), "duration": "PT0S"}, "payloads": payloads}
                ],
            }
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the meter said over one interval of an event."""

    interval: int
    start_ms: int
    end_ms: int
    mean_w: float
    covered_ms: int
    """Part of the interval that was measured; the rest is not guessed."""
    quality: str


def measurement_report(event_id: str, kind: str, measured: list[Measured], reporter: Reporter) -> ReportBody:
    """USAGE in kWh or DEMAND in kW, interval by interval, each with its data quality."""
    usage = kind == "USAGE"
    intervals = [
        {
            "id": m.interval,
            "intervalPeriod": {"start": rfc3339(m.start_ms), "duration": _duration(m.end_ms - m.start_ms)},
            "payloads": [
                {"type": kind, "values": [_kwh(m) if usage else to_kw(max(m.mean_w, 0.0))]},
                {"type": "DATA_QUALITY", "values": [m.quality]},
            ],
        }
        for m in measured
    ]
    return {
        "eventID": event_id,
        "clientName": reporter.client_name,
        "reportName": f"{event_id} {kind}",
        "payloadDescriptors": [
            _descriptor(kind, reading="SUMMED" if usage else "MEAN", units="KWH" if usage else "KW"),
            _descriptor("DATA_QUALITY"),
        ],
        "resources": [{"resourceName": reporter.resource, "intervals": intervals}],
    }


def _kwh(measured: Measured) -> float:
    return round(max(measured.mean_w, 0.0) * measured.covered_ms / MS_PER_S / S_PER_H / WATTS_PER_KW, 6)


def _duration(length_ms: int) -> str:
    return f"PT{length_ms // MS_PER_S}S" if length_ms % MS_PER_S == 0 else f"PT{length_ms / MS_PER_S:.3f}S"


def _descriptor(kind: str, *, reading: str | None = None, units: str | None = None) -> dict[str, Any]:
    return {
        "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
        "payloadType": kind,
        **({"readingType": reading} if reading else {}),
        **({"units": units} if units else {}),
    }
