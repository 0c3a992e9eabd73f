"""The simple form: one statement that replaces the one before."""

from __future__ import annotations

from typing import Any

import pytest

from farmctl.core.grid import EventClass, EventDelete, EventPut, EventState, OnExpiry
from farmctl.core.reasons import Reason
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.verdict import Accepted, Duplicate, Refused, Verdict
from tests.signals.words import NOW_MS, Desk, JsonObject

EMERGENCY: dict[str, Any] = {"class": "EMERGENCY"}


def say(seq: int = 1, **changes: Any) -> JsonObject:
    body = {"v": 1, "targetKw": 18500, "limitKw": 20000, "validUntil": "2026-11-23T10:10:00Z", "seq": seq, "epoch": 3}
    found = {**body, **changes}
    return {name: value for name, value in found.items() if value != "absent"}


def put(verdict: Verdict) -> EventPut:
    assert isinstance(verdict, Accepted), verdict
    assert isinstance(verdict.receipt.message, EventPut)
    return verdict.receipt.message


def test_a_statement_acts_at_once_and_replaces_its_source() -> None:
    verdict = Desk().hears(Route.SIMPLE, say())
    message = put(verdict)
    assert message.replaces_source
    found = message.event
    assert (found.event_id, found.start_ms, found.end_ms) == ("simple-3-1", NOW_MS, NOW_MS + 360_000)
    assert (found.intervals[0].limit_w, found.intervals[0].setpoint_w) == (20e6, 18.5e6)
    assert (found.event_class, found.on_expiry) == (EventClass.LIMIT, OnExpiry.SUBSCRIPTION)
    assert isinstance(verdict, Accepted)
    assert verdict.ack is not None
    assert (verdict.ack.event_id, verdict.ack.state) == ("simple-3-1", EventState.RECEIVED)


def test_absent_and_null_say_nothing_and_zero_is_zero() -> None:
    only_target = put(Desk().hears(Route.SIMPLE, say(limitKw=None))).event
    assert (only_target.intervals[0].limit_w, only_target.event_class) == (None, EventClass.TARGET)
    assert only_target.on_expiry is OnExpiry.RELEASE
    zero = put(Desk().hears(Route.SIMPLE, say(limitKw=0, targetKw="absent"))).event
    assert (zero.intervals[0].limit_w, zero.intervals[0].setpoint_w) == (0.0, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"limitKw": -1}, 253),
        ({"limitKw": "20000"}, 253),
        ({"limitKw": True}, 253),
        ({"targetKw": None, "limitKw": None}, 253),
        ({"targetKw": "absent", "limitKw": "absent"}, 253),
        ({"validUntil": "absent"}, 253),
        ({"validUntil": 1795428600}, 253),
        ({"validUntil": "2026-11-23T10:04:00Z"}, 254),
        ({"validUntil": "2026-11-24T10:04:01Z"}, 253),
        ({"seq": -1}, 253),
        ({"seq": "1"}, 253),
        ({"seq": "absent"}, 253),
        ({"v": 2}, 251),
        ({"v": "absent"}, 253),
        ({"class": "limit"}, 253),
        ({"release": True}, 253),
    ],
)
def test_a_bad_statement_is_refused_with_its_code(changes: dict[str, Any], code: int) -> None:
    verdict = Desk().hears(Route.SIMPLE, say(**changes))
    assert isinstance(verdict, Refused), verdict
    assert verdict.code == code
    assert verdict.ack is not None


def test_a_statement_above_one_kibibyte_is_not_read() -> None:
    verdict = Desk().hears(Route.SIMPLE, say(note="x" * 1024))
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.TOO_LARGE


def test_a_repeat_is_answered_again_and_an_older_one_is_dropped() -> None:
    desk = Desk()
    desk.hears(Route.SIMPLE, say(5))
    assert isinstance(desk.hears(Route.SIMPLE, say(5)), Duplicate)
    old = desk.hears(Route.SIMPLE, say(4))
    assert isinstance(old, Refused)
    assert (old.reason, old.ack) == (Reason.OLD_SEQUENCE, None)


def test_a_repeated_emergency_stays_one_event_is_never_raised_and_one_release_ends_it() -> None:
    desk = Desk()
    first = put(desk.hears(Route.SIMPLE, say(1, limitKw=500, **EMERGENCY))).event
    again = put(desk.hears(Route.SIMPLE, say(2, limitKw=9000, **EMERGENCY))).event
    assert first.event_id == again.event_id == "simple-3-1"
    assert again.intervals[0].limit_w == 500e3
    put(desk.hears(Route.SIMPLE, say(3)))
    assert desk.intake.standing.latched_simple() == "simple-3-1"
    verdict = desk.hears(Route.SIMPLE, say(4, release=True, **EMERGENCY))
    assert isinstance(verdict, Accepted)
    message = verdict.receipt.message
    assert isinstance(message, EventDelete)
    assert (message.event_id, message.release) == ("simple-3-1", True)
    assert desk.intake.standing.latched_simple() is None


def test_a_release_of_nothing_is_answered_as_cancelled() -> None:
    verdict = Desk().hears(Route.SIMPLE, say(release=True, targetKw=None, limitKw=None, **EMERGENCY))
    assert isinstance(verdict, Accepted)
    assert verdict.ack is not None
    assert verdict.ack.state is EventState.CANCELLED
