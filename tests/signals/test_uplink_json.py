"""What the site says, number by number, as the contract writes it."""

from __future__ import annotations

import base64
import json
from typing import Any

from farmctl.core.grid import Ack, EventState
from farmctl.core.model import Quality
from farmctl.ports.grid import Capability, LimitSource
from farmctl.signals._intake.signature import is_genuine
from farmctl.signals.uplink import (
    Offer,
    Sender,
    ack_json,
    capability_json,
    encoded,
    state_json,
    status_json,
    telemetry_json,
)
from tests.signals.dispatcher import site_state, telemetry
from tests.signals.words import PUBLIC, SEED

SENDER = Sender(site="site-07", controller_id="ctl-a")


def ack(**changes: Any) -> Ack:
    values: dict[str, Any] = {
        "source": "grid",
        "event_id": "ev-20261123-0042",
        "msg_id": "01a207dc-5550-7c3e-9a55-3f1d6b2c8e01",
        "epoch": 3,
        "seq": 1207,
        "state": EventState.REACHED,
        "code": 2,
        "reason": "",
        "at_ms": 1_795_428_321_000,
        "target_w": 18.5e6,
        "expected_w": 18.48e6,
        "eta_s": 0.0,
        "shortfall_w": 0.0,
        "measured_w": 18_560_000.4,
        "meter_quality": Quality.OK,
    }
    return Ack(**{**values, **changes})


def test_an_ack_is_the_published_example() -> None:
    published = json.loads(
        """{"v":1,"msgId":"01a207dc-5550-7c3e-9a55-3f1d6b2c8e01","eventId":"ev-20261123-0042","epoch":3,"seq":1207,
        "site":"site-07","state":"REACHED","code":2,"reason":"","ts":"2026-11-23T10:05:21Z","targetKw":18500,
        "expectedKw":18480,"etaS":0,"shortfallKw":0,"measuredKw":18560,"meterQuality":"OK","controllerId":"ctl-a"}"""
    )
    assert ack_json(ack(), SENDER) == published


def test_what_is_not_known_is_null_and_never_nan() -> None:
    body = ack_json(ack(target_w=None, measured_w=float("nan"), eta_s=float("inf")), SENDER)
    assert (body["targetKw"], body["measuredKw"], body["etaS"]) == (None, None, None)
    assert b"NaN" not in encoded(body, topic="t", sender=SENDER)


def test_telemetry_has_kilowatts_per_minute_and_terahashes() -> None:
    body = telemetry_json(telemetry(), SENDER)
    assert body["kw"] == 18560.0
    assert (body["rampUpKwPerMin"], body["rampDownKwPerMin"]) == (2000.0, 90000.0)
    assert (body["hashThs"], body["limitKw"], body["source"]) == (912400.0, None, "METER")
    assert body["miners"] == {"on": 5010, "throttled": 430, "sleep": 980, "offline": 60}
    assert (body["ts"], body["site"], body["epoch"], body["seq"]) == ("2026-11-23T10:05:22Z", "site-07", 3, 1207)


def test_state_tells_the_mode_its_cause_and_the_last_message() -> None:
    body = state_json(site_state(), SENDER, 9)
    assert (body["mode"], body["since"], body["ts"]) == ("LIMITED", "2026-11-23T10:05:00Z", "2026-11-23T10:05:22.500Z")
    assert body["limitSources"] == [{"source": "grid", "kw": 20000.0, "until": None}]
    assert (body["lastEpoch"], body["lastSeq"], body["linkAgeS"], body["seq"]) == (3, 1207, 1.3, 9)
    assert (body["signed"], body["emergencyLatched"], body["liveEvents"]) == (False, False, ["ev-1"])


def test_state_lists_every_live_limit() -> None:
    limits = (
        LimitSource(source="grid", limit_w=20e6, until_ms=1_795_428_600_000, event_id="ev-1"),
        LimitSource(source="site", limit_w=25e6),
    )
    assert state_json(site_state(limits=limits), SENDER, 9)["limitSources"] == [
        {"source": "grid", "kw": 20000.0, "until": "2026-11-23T10:10:00Z", "eventId": "ev-1"},
        {"source": "site", "kw": 25000.0, "until": None},
    ]


def test_telemetry_has_what_else_the_meter_measures_and_leaves_out_what_it_does_not() -> None:
    body = telemetry_json(telemetry(reactive_var=410_000.0, volts=33_120.04, hz=49.98), SENDER)
    assert (body["kvar"], body["volts"], body["hz"]) == (410.0, 33120.0, 49.98)
    assert not {"kvar", "volts", "hz"} & set(telemetry_json(telemetry(hz=float("nan")), SENDER))


def test_capability_names_its_seconds() -> None:
    able = Capability(
        at_ms=0,
        rated_w=25e6,
        safe_min_w=310e3,
        failsafe_limit_w=4e6,
        subscription_w=4e6,
        down_w_in_s={5: 9e6, 30: 18e6},
        up_w_in_s={60: 1e6},
        ramp_up_w_per_s=2e6 / 60,
        meter_class="0.5",
        meter_period_s=1.0,
    )
    offer = Offer(sources=("openadr3.1",), signed=True, payload_types=("SIMPLE",))
    body = capability_json(able, offer, SENDER, 1)
    assert body["downKwIn"] == {"5": 9000.0, "30": 18000.0}
    assert (body["ratedKw"], body["rampUpKwPerMin"], body["upKwIn"]) == (25000.0, 2000.0, {"60": 1000.0})


def test_a_site_with_a_key_signs_what_it_says() -> None:
    sender = Sender(site="site-07", controller_id="ctl-a", seed=SEED)
    body = json.loads(encoded(status_json("ONLINE", sender, 0), topic="site/v1/site-07/status", sender=sender))
    signature = body.pop("sig")
    assert len(base64.b64decode(signature)) == 64
    assert is_genuine(PUBLIC, signature, "site/v1/site-07/status", body)
    assert "sig" not in json.loads(encoded(body, topic="t", sender=SENDER))
