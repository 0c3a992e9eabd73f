"""From the nouns of the site to the JSON of the contract: kW, TH/s, RFC 3339, signed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from farmctl.core.grid import Ack
from farmctl.core.units import HASHES_PER_TERAHASH, WATTS_PER_KW, to_kw
from farmctl.ports.grid import Capability, LimitSource, SiteState, Telemetry
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import sign
from farmctl.signals.uplink.bodies import (
    AckBody,
    CapabilityBody,
    LimitBody,
    MarkBody,
    StateBody,
    StatusBody,
    TelemetryBody,
)

SECONDS_PER_MINUTE = 60.0
VARS_PER_KVAR = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who speaks: the same in every uplink message."""

    site: str
    controller_id: str
    seed: bytes | None = None
    """Ed25519 seed of the site, 32 bytes; None: messages go unsigned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How this operator may speak to the site, as the capability tells it."""

    sources: tuple[str, ...]
    signed: bool
    payload_types: tuple[str, ...]


def ack_json(ack: Ack, sender: Sender, mark: MarkBody | None = None) -> AckBody:
    """One ack; `epoch` and `seq` echo the downlink message, a number that is not known is null."""
    body: AckBody = {
        "v": 1,
        "msgId": ack.msg_id,
        "eventId": ack.event_id,
        "epoch": ack.epoch,
        "seq": ack.seq,
        "site": sender.site,
        "state": ack.state.value,
        "code": ack.code,
        "reason": ack.reason,
        "ts": rfc3339(ack.at_ms),
        "targetKw": _kw(ack.target_w),
        "expectedKw": _kw(ack.expected_w),
        "etaS": _number(ack.eta_s, 1),
        "shortfallKw": _kw(ack.shortfall_w),
        "measuredKw": _kw(ack.measured_w),
        "meterQuality": ack.meter_quality.value,
        "controllerId": sender.controller_id,
    }
    if mark is not None:
        body["outbox"] = mark
    return body


def telemetry_json(seen: Telemetry, sender: Sender) -> TelemetryBody:
    """What the site draws and could do; `epoch` and `seq` are those of the governing event."""
    body: TelemetryBody = {
        "v": 1,
        "ts": rfc3339(seen.at_ms),
        "site": sender.site,
        "controllerId": sender.controller_id,
        "kw": _kw(seen.power_w),
        "source": seen.power_source,
        "quality": seen.quality.value,
        "setpointKw": _kw(seen.setpoint_w),
        "limitKw": _kw(seen.limit_w),
        "minKw": _kw(seen.min_w),
        "maxKw": _kw(seen.max_w),
        "upAvailKw": _kw(seen.up_available_w),
        "downAvailKw": _kw(seen.down_available_w),
        "rampUpKwPerMin": _kw(seen.ramp_up_w_per_s * SECONDS_PER_MINUTE),
        "rampDownKwPerMin": _kw(seen.ramp_down_w_per_s * SECONDS_PER_MINUTE),
        "hashThs": _number(seen.hash_rate_hs / HASHES_PER_TERAHASH, 3),
        "miners": {"on": seen.on, "throttled": seen.throttled, "sleep": seen.sleep, "offline": seen.offline},
        "mode": seen.mode.value,
        "eventId": seen.event_id,
        "epoch": seen.epoch,
        "seq": seen.seq,
    }
    if (kvar := _number(seen.reactive_var, 0)) is not None:
        body["kvar"] = kvar / VARS_PER_KVAR
    if (volts := _number(seen.volts, 1)) is not None:
        body["volts"] = volts
    if (hz := _number(seen.hz, 3)) is not None:
        body["hz"] = hz
    return body


def state_json(state: SiteState, sender: Sender, seq: int) -> StateBody:
    """The mode of the site and why; `seq` is the site's own counter."""
    return {
        "v": 1,
        "site": sender.site,
        "ts": rfc3339(state.at_ms),
        "controllerId": sender.controller_id,
        "epoch": 0,
        "seq": seq,
        "mode": state.mode.value,
        "since": rfc3339(state.since_ms),
        "limitKw": _kw(state.limit_w),
        "limitSources": [_limit(limit) for limit in state.limits or (_binding(state),)],
        "setpointKw": _kw(state.setpoint_w),
        "liveEvents": list(state.live_events),
        "emergencyLatched": state.emergency_latched,
        "signed": state.signed,
        "lastEpoch": state.last_epoch,
        "lastSeq": state.last_seq,
        "linkAgeS": _number(state.link_age_s, 1),
        "clockOffsetMs": state.clock_offset_ms,
        "auditHead": state.audit_head,
        "version": state.version,
    }


def capability_json(able: Capability, offer: Offer, sender: Sender, seq: int) -> CapabilityBody:
    """What the site could give up or take on, by seconds."""
    body: CapabilityBody = {
        "v": 1,
        "site": sender.site,
        "ts": rfc3339(able.at_ms),
        "controllerId": sender.controller_id,
        "epoch": 0,
        "seq": seq,
        "ratedKw": _kw(able.rated_w),
        "safeMinKw": _kw(able.safe_min_w),
        "failsafeLimitKw": _kw(able.failsafe_limit_w),
        "subscriptionKw": _kw(able.subscription_w),
        "downKwIn": {str(s): _kw(w) for s, w in able.down_w_in_s.items()},
        "upKwIn": {str(s): _kw(w) for s, w in able.up_w_in_s.items()},
        "rampUpKwPerMin": _kw(able.ramp_up_w_per_s * SECONDS_PER_MINUTE),
        "sources": list(offer.sources),
        "signed": offer.signed,
        "payloadTypes": list(offer.payload_types),
        "meter": {"class": able.meter_class, "periodS": able.meter_period_s},
    }
    if able.curve_w:
        ths_per_kw = [round(hs * WATTS_PER_KW / HASHES_PER_TERAHASH, 3) for hs in able.curve_hs_per_w]
        body["curve"] = {"kw": [to_kw(watts) for watts in able.curve_w], "thsPerKw": ths_per_kw}
    return body


def status_json(status: Literal["ONLINE", "OFFLINE"], sender: Sender, at_ms: int) -> StatusBody:
    """ONLINE or OFFLINE; a hint only, nobody may judge liveness by it."""
    return {
        "v": 1,
        "site": sender.site,
        "ts": rfc3339(at_ms),
        "controllerId": sender.controller_id,
        "status": status,
    }


def encoded(body: Mapping[str, object], *, topic: str, sender: Sender) -> bytes:
    """The payload to publish, signed where the site has a key."""
    signed = body if sender.seed is None else {**body, "sig": sign(sender.seed, topic, body)}
    return json.dumps(signed, separators=(",", ":"), allow_nan=False).encode()


def _binding(state: SiteState) -> LimitSource:
    return LimitSource(source=state.limit_source, limit_w=state.limit_w)


def _limit(limit: LimitSource) -> LimitBody:
    until = None if limit.until_ms is None else rfc3339(limit.until_ms)
    body: LimitBody = {"source": limit.source, "kw": _kw(limit.limit_w), "until": until}
    if limit.event_id:
        body["eventId"] = limit.event_id
    return body


def _kw(watts: float | None) -> float | None:
    """Kilowatts to the watt; what is not a number is null."""
    return None if watts is None or not math.isfinite(watts) else to_kw(watts)


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
