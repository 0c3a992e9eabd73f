"""Every row of the field table (SIGNALS 3.2): what is taken, what is refused, and with which code."""

from __future__ import annotations

from typing import Any

import pytest

from farmctl.core.grid import LOWEST_PRIORITY, EventClass, EventState, OnExpiry
from farmctl.core.reasons import Reason
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals._intake.verdict import Accepted, Refused
from tests.signals.words import NOW_MS, Desk, JsonObject, event, extension, msg_id, note


def limit(*values: Any) -> list[JsonObject]:
    return [{"type": "IMPORT_CAPACITY_LIMIT", "values": list(values)}]


def one(kind: str, *values: Any) -> JsonObject:
    return {"payloads": [{"type": kind, "values": list(values)}]}


def period(**changes: Any) -> JsonObject:
    return {"intervalPeriod": {"start": "2026-11-23T10:05:00Z", "duration": "PT5M", **changes}}


def without(name: str) -> JsonObject:
    body = event()
    del body[name]
    return body


def without_x(name: str) -> JsonObject:
    body = event()
    del body["x-farmctl"][name]
    return body


OTHER: JsonObject = {"x-other": {"deep": [1]}}
LISTED: JsonObject = {"x-farmctl": []}

GOOD = {
    "id of 128": event(id="e" * 128),
    "priority 0": event(priority=0),
    "priority null": event(priority=None),
    "targets: this site": event(targets=["site-07", "site-08"]),
    "targets: a group of ours": event(targets=["north"]),
    "targets null": event(targets=None),
    "start now": event(**period(start="0001-01-01T00:00:00Z")),
    "start now, date only": event(**period(start="0001-01-01")),
    "start in the past": event(**period(start="2026-11-23T10:03:00Z")),
    "start 7 days ahead": event(**period(start="2026-11-30T10:03:00Z"), x={"expiresAt": "2026-11-30T10:03:30Z"}),
    "open end": event(**period(duration="P9999Y")),
    "randomize 30 min": event(**period(randomizeStart="PT30M")),
    "288 intervals": event(intervals=[{"id": i, "payloads": limit(1000)} for i in range(288)]),
    "limit 0": event(payloads=limit(0)),
    "limit as float": event(payloads=limit(0.5)),
    "set-point": event(**one("DISPATCH_SETPOINT", 18500)),
    "subscription": event(**one("IMPORT_CAPACITY_SUBSCRIPTION", 100)),
    "reservation": event(**one("IMPORT_CAPACITY_RESERVATION", 100)),
    "simple level": event(**one("SIMPLE", 2)),
    "offset": event(**one("CONTROL_LEVEL_OFFSET_PERCENT", -1)),
    "negative price": event(**one("PRICE", -12.5)),
    "alert": event(**one("ALERT_GRID_EMERGENCY", "x" * 128)),
    "units KW": event(payloadDescriptors=[{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}]),
    "descriptor without units": event(payloadDescriptors=[{"payloadType": "IMPORT_CAPACITY_LIMIT"}]),
    "unknown x- field": event(**OTHER),
    "unknown field in x-farmctl": event(x={"x-note": "hello"}),
    "issued 5 s ahead": event(x={"issuedAt": "2026-11-23T10:04:05Z"}),
    "7 days of authority": event(x={"expiresAt": "2026-11-30T10:03:30Z"}),
    "ramps null": event(x={"ramp": {"downKwPerMin": None, "upKwPerMin": None}}),
    "tolerance 0": event(x={"toleranceKw": 0}),
    "respond at once": event(x={"respondWithinS": 0}),
    "ack nothing": event(x={"ack": []}),
    "gap in seq": event(seq=77),
}

BAD: dict[str, tuple[JsonObject, int]] = {
    "no id": (without("id"), 253),
    "empty id": (event(id=""), 253),
    "id of 129": (event(id="e" * 129), 253),
    "id a number": (event(id=7), 253),
    "no programme": (without("programID"), 253),
    "programme of others": (event(programID="other"), 252),
    "priority -1": (event(priority=-1), 253),
    "priority 1.0": (event(priority=1.0), 253),
    "priority true": (event(priority=True), 253),
    "targets of others": (event(targets=["site-08"]), 252),
    "targets a text": (event(targets="site-07"), 253),
    "created not UTC": (event(createdDateTime="2026-11-23T11:03:30+01:00"), 253),
    "no period": (without("intervalPeriod"), 253),
    "no start": (event(intervalPeriod={"duration": "PT5M"}), 253),
    "start without Z": (event(**period(start="2026-11-23T10:05:00")), 253),
    "start 30 February": (event(**period(start="2026-02-30T10:05:00Z")), 253),
    "start 8 days ahead": (event(**period(start="2026-12-01T10:05:00Z")), 253),
    "no duration": (event(intervalPeriod={"start": "2026-11-23T10:05:00Z"}), 253),
    "duration 0": (event(**period(duration="PT0S")), 253),
    "duration negative": (event(**period(duration="-PT5M")), 253),
    "duration P": (event(**period(duration="P")), 253),
    "randomize 31 min": (event(**period(randomizeStart="PT31M")), 253),
    "looped": (event(duration="PT1H"), 251),
    "no intervals": (event(intervals=[]), 253),
    "289 intervals": (event(intervals=[{"id": i, "payloads": limit(1)} for i in range(289)]), 253),
    "interval without payloads": (event(intervals=[{"id": 0, "payloads": []}]), 253),
    "payload without values": (event(payloads=limit()), 253),
    "intervals overlap": (
        event(
            intervals=[
                {"id": 0, "payloads": limit(1)},
                {"id": 1, "intervalPeriod": {"start": "2026-11-23T10:06:00Z"}, "payloads": limit(2)},
            ]
        ),
        253,
    ),
    "type twice": (event(payloads=limit(1) + limit(2)), 253),
    "limit negative": (event(payloads=limit(-1)), 253),
    "limit a text": (event(payloads=limit("20000")), 253),
    "limit true": (event(payloads=[{"type": "IMPORT_CAPACITY_LIMIT", "values": [True]}]), 253),
    "limit null": (event(payloads=limit(None)), 253),
    "second limit negative": (event(payloads=limit(1, -1)), 253),
    "set-point negative": (event(**one("DISPATCH_SETPOINT", -0.1)), 253),
    "subscription negative": (event(**one("IMPORT_CAPACITY_SUBSCRIPTION", -1)), 253),
    "relative set-point": (event(**one("DISPATCH_SETPOINT_RELATIVE", 5)), 251),
    "simple 4": (event(**one("SIMPLE", 4)), 253),
    "simple -1": (event(**one("SIMPLE", -1)), 253),
    "simple 1.0": (event(**one("SIMPLE", 1.0)), 253),
    "offset 1.1": (event(**one("CONTROL_LEVEL_OFFSET_PERCENT", 1.1)), 253),
    "control set-point": (event(**one("CONTROL_SETPOINT", 5)), 251),
    "price a text": (event(**one("PRICE", "12")), 253),
    "alert of 129": (event(**one("ALERT_BLACK_START", "x" * 129)), 253),
    "alert a number": (event(**one("ALERT_BLACK_START", 1)), 253),
    "unknown type beside a good one": (event(payloads=[*limit(1), {"type": "GHG", "values": [1]}]), 251),
    "units W": (event(payloadDescriptors=[{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "W"}]), 253),
    "x-farmctl absent": (without("x-farmctl"), 253),
    "x-farmctl a list": (event(**LISTED), 253),
    "v 2": (event(x={"v": 2}), 251),
    "v missing": (without_x("v"), 253),
    "v true": (event(x={"v": True}), 253),
    "msgId missing": (without_x("msgId"), 253),
    "msgId a UUIDv4": (event(x={"msgId": "01a207dc-5550-4c3e-9a55-3f1d6b2c8e01"}), 253),
    "seq missing": (without_x("seq"), 253),
    "seq negative": (event(x={"seq": -1}), 253),
    "seq a float": (event(x={"seq": 1.5}), 253),
    "epoch a text": (event(x={"epoch": "3"}), 253),
    "issuedAt 6 s ahead": (event(x={"issuedAt": "2026-11-23T10:04:06Z"}), 253),
    "expiresAt missing": (without_x("expiresAt"), 253),
    "expiresAt before issuedAt": (event(x={"expiresAt": "2026-11-23T10:03:29Z"}), 253),
    "expiresAt 8 days on": (event(x={"expiresAt": "2026-12-01T10:03:30Z"}), 253),
    "expiresAt past": (event(x={"expiresAt": "2026-11-23T10:03:59Z"}), 254),
    "intervals over": (event(**period(start="2026-11-23T09:00:00Z")), 254),
    "class missing": (without_x("class"), 253),
    "class unknown": (event(x={"class": "limit"}), 253),
    "release on CREATE": (event(x={"release": True}), 253),
    "release a text": (event(x={"release": "true"}), 253),
    "respond -1": (event(x={"respondWithinS": -1}), 253),
    "respond 3601": (event(x={"respondWithinS": 3601}), 253),
    "respond 1.5": (event(x={"respondWithinS": 1.5}), 253),
    "ramp 0": (event(x={"ramp": {"upKwPerMin": 0}}), 253),
    "ramp a number": (event(x={"ramp": 5}), 253),
    "tolerance negative": (event(x={"toleranceKw": -1}), 253),
    "onExpiry unknown": (event(x={"onExpiry": "KEEP"}), 253),
    "ack unknown": (event(x={"ack": ["DONE"]}), 253),
    "ack a text": (event(x={"ack": "RECEIVED"}), 253),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_field_is_accepted_and_acknowledged(name: str) -> None:
    verdict = Desk().creates(GOOD[name])
    assert isinstance(verdict, Accepted), verdict
    wants_ack = GOOD[name]["x-farmctl"].get("ack") != []
    assert (verdict.ack is not None) == wants_ack
    assert verdict.ack is None or verdict.ack.state is EventState.RECEIVED


@pytest.mark.parametrize("name", BAD)
def test_a_bad_field_is_refused_with_its_code(name: str) -> None:
    body, code = BAD[name]
    verdict = Desk().refuses(body)
    assert verdict.code == code, verdict.refusal.detail
    issuer_known = "x-farmctl absent" not in name and "a list" not in name
    assert (verdict.ack is not None) == issuer_known
    if verdict.ack is not None:
        assert (verdict.ack.state, verdict.ack.code) == (EventState.REJECTED, code)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "9007199254740993", '"a":1,"a":1'])
def test_numbers_that_are_none_and_double_keys_are_refused(text: str) -> None:
    raw = b'{"object":{"n":%s}}' % text.encode() if ":" not in text else b"{%s}" % text.encode()
    verdict = Desk().hears(Route.CREATE, raw)
    assert isinstance(verdict, Refused)
    assert (verdict.reason, verdict.code, verdict.ack) == (Reason.BAD_FIELD, 253, None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"null", Reason.NOT_JSON),
        (b"[]", Reason.NOT_JSON),
        (b"\xff{}", Reason.NOT_JSON),
        (b'{"a":"\\ud800"}', Reason.NOT_JSON),
        (b"{" * 100_000, Reason.TOO_LARGE),
        (b'{"a":' * 17 + b"1" + b"}" * 17, Reason.BAD_FIELD),
        (b'{"a":"' + b"[" * 100 + b'"}', Reason.BAD_FIELD),
        (b'{"a":' + b"9" * 5000 + b"}", Reason.BAD_FIELD),
    ],
)
def test_a_payload_of_the_wrong_shape_is_refused_without_an_answer(raw: bytes, reason: Reason) -> None:
    verdict = Desk().hears(Route.CREATE, raw)
    assert isinstance(verdict, Refused)
    assert (verdict.reason, verdict.ack, verdict.refusal.raw) == (reason, None, raw)


def test_the_operation_must_agree_with_the_topic() -> None:
    for payload in (note(event(), "UPDATE"), note(event(), "create"), {**note(event()), "objectType": "REPORT"}):
        verdict = Desk().hears(Route.CREATE, payload)
        assert isinstance(verdict, Refused)
        assert verdict.code == 253


def test_defaults_are_those_of_the_contract() -> None:
    found = Desk().accepts(event())
    assert found.priority == LOWEST_PRIORITY
    assert found.created_ms == NOW_MS - 30_000
    assert (found.respond_within_s, found.on_expiry) == (60.0, OnExpiry.SUBSCRIPTION)
    assert (found.tolerance_w, found.ramp_down_w_per_s, found.ramp_up_w_per_s) == (None, None, None)
    assert found.ack_states == frozenset(EventState)
    target = Desk().accepts(event(x={"class": "TARGET"}))
    assert (target.respond_within_s, target.on_expiry) == (300.0, OnExpiry.RELEASE)
    assert Desk().accepts(event(x={"class": "EMERGENCY"})).respond_within_s == 30.0


def test_what_is_stated_replaces_the_defaults() -> None:
    x = {
        "ramp": {"downKwPerMin": 6000, "upKwPerMin": 600},
        "toleranceKw": 500,
        "onExpiry": "HOLD",
        "ack": ["REACHED"],
        "respondWithinS": 20,
    }
    found = Desk().accepts(event(x=x, priority=10, **period(randomizeStart="PT1M30S")))
    assert (found.ramp_down_w_per_s, found.ramp_up_w_per_s) == (100e3, 10e3)
    assert (found.tolerance_w, found.on_expiry, found.priority) == (500e3, OnExpiry.HOLD, 10)
    assert (found.respond_within_s, found.randomize_start_s) == (20.0, 90.0)
    assert found.ack_states == {EventState.REACHED, EventState.REJECTED, EventState.FAILED}


def test_an_issuer_is_kept_within_its_range() -> None:
    rule = IssuerRule(
        name="grid-op",
        classes=frozenset({EventClass.LIMIT, EventClass.TARGET}),
        payload_types=frozenset({"IMPORT_CAPACITY_LIMIT", "ALERT_GRID_EMERGENCY"}),
        max_w=10e6,
    )
    desk = Desk(issuer=rule)
    assert desk.refuses(event(1)).code == 252
    assert desk.refuses(event(2, x={"class": "EMERGENCY"}, payloads=limit(1))).code == 252
    assert desk.refuses(event(3, **one("DISPATCH_SETPOINT", 1))).code == 252
    assert desk.refuses(event(4, **one("ALERT_GRID_EMERGENCY", "shed"))).code == 252
    assert desk.accepts(event(5, payloads=limit(10_000))).intervals[0].limit_w == 10e6


def test_an_issuer_moves_a_set_point_by_at_most_its_step_also_across_forms_and_restarts() -> None:
    target: JsonObject = {"class": "TARGET"}
    desk = Desk(issuer=IssuerRule(name="grid-op", max_step_w=2e6))
    desk.accepts(event(1, id="a", x=target, **one("DISPATCH_SETPOINT", 10_000)))
    refused = desk.refuses(event(2, id="b", x=target, **one("DISPATCH_SETPOINT", 12_001)))
    assert (refused.code, refused.reason) == (252, Reason.NOT_FOR_THIS_SITE)
    desk.accepts(event(3, id="c", x=target, **one("DISPATCH_SETPOINT", 12_000, 14_000)))
    assert desk.refuses(event(4, id="d", x=target, **one("DISPATCH_SETPOINT", 12_000, 9_000))).code == 252
    again = Desk(issuer=desk.rules.issuer, stored=desk.intake.standing)
    assert again.refuses(event(5, id="e", x=target, **one("DISPATCH_SETPOINT", 11_999))).code == 252
    again.accepts(event(6, id="f", payloads=limit(0)))
    again.accepts(event(7, id="g", x={"class": "EMERGENCY"}, **one("DISPATCH_SETPOINT", 0)))
    again.accepts(event(8, id="h", x=target, **one("DISPATCH_SETPOINT", 14_000)))


def test_simple_levels_need_a_table() -> None:
    assert Desk(simple_levels_w=None).refuses(event(**one("SIMPLE", 1))).code == 251


def test_an_unknown_issuer_is_dropped_without_an_answer() -> None:
    verdict = Desk().refuses(event(x={"issuer": "somebody"}))
    assert (verdict.reason, verdict.ack) == (Reason.UNKNOWN_ISSUER, None)


def test_a_delete_needs_only_id_programme_and_extension() -> None:
    body = {"id": "ev-9", "programID": "surplus-dispatch", "x-farmctl": extension(1, msgId=msg_id(1))}
    verdict = Desk().hears(Route.DELETE, note(body, "DELETE"))
    assert isinstance(verdict, Accepted)
    assert verdict.ack is not None
    assert (verdict.ack.state, verdict.ack.code) == (EventState.CANCELLED, 6)
