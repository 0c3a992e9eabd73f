"""What the site says to the grid, as the JSON of the contract (SIGNALS section 6): kW, TH/s, RFC 3339."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from farmctl.core.grid import Ack
from farmctl.core.units import HASHES_PER_TERAHASH, to_kw
from farmctl.ports.grid import SiteState, Telemetry
from farmctl.ports.store import JsonValue
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import sign

VERSION = 1
SECONDS_PER_MINUTE = 60.0
JsonBody = dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who speaks: the same in every uplink message."""

    site: str
    controller_id: str
    seed: bytes | None = None
    """Ed25519 seed of the site, 32 bytes; None: messages go unsigned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """What the site could do, retained for the grid; `down` and `up` are learned from measurement."""

    at_ms: int
    rated_w: float
    safe_min_w: float
    failsafe_limit_w: float
    subscription_w: float
    down_w_in_s: Mapping[int, float]
    up_w_in_s: Mapping[int, float]
    ramp_up_w_per_s: float
    sources: tuple[str, ...]
    signed: bool
    payload_types: tuple[str, ...]
    meter_class: str
    meter_period_s: float


def ack_json(ack: Ack, sender: Sender) -> JsonBody:
    """One ack; `epoch` and `seq` echo the downlink message, a number that is not known is null."""
    return {
        "v": VERSION,
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


def telemetry_json(seen: Telemetry, sender: Sender) -> JsonBody:
    """What the site draws and could do; `epoch` and `seq` are those of the governing event."""
    return {
        "v": VERSION,
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


def state_json(state: SiteState, sender: Sender, seq: int) -> JsonBody:
    """The mode of the site and why; `seq` is the site's own counter."""
    return {
        "v": VERSION,
        "site": sender.site,
        "ts": rfc3339(state.at_ms),
        "controllerId": sender.controller_id,
        "epoch": 0,
        "seq": seq,
        "mode": state.mode.value,
        "since": rfc3339(state.since_ms),
        "limitKw": _kw(state.limit_w),
        "limitSources": [{"source": state.limit_source, "kw": _kw(state.limit_w), "until": None}],
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


def capability_json(able: Capability, sender: Sender, seq: int) -> JsonBody:
    """What the site could give up or take on, by seconds."""
    return {
        "v": VERSION,
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
        "sources": list(able.sources),
        "signed": able.signed,
        "payloadTypes": list(able.payload_types),
        "meter": {"class": able.meter_class, "periodS": able.meter_period_s},
    }


def status_json(status: str, sender: Sender, at_ms: int) -> JsonBody:
    """ONLINE or OFFLINE; a hint only, nobody may judge liveness by it."""
    return {
        "v": VERSION,
        "site": sender.site,
        "ts": rfc3339(at_ms),
        "controllerId": sender.controller_id,
        "status": status,
    }


def encoded(body: JsonBody, *, topic: str, sender: Sender) -> bytes:
    """The payload to publish, signed where the site has a key."""
    signed = body if sender.seed is None else {**body, "sig": sign(sender.seed, topic, body)}
    return json.dumps(signed, separators=(",", ":"), allow_nan=False).encode()


def _kw(watts: float | None) -> float | None:
    """Kilowatts to the watt; what is not a number is null."""
    return None if watts is None or not math.isfinite(watts) else to_kw(watts)


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
