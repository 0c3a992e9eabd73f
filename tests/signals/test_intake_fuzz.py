"""Whatever arrives, the checks answer with a verdict, and nothing is accepted that does not pass them all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from farmctl.core.grid import EventPut
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.verdict import Accepted, Duplicate, Refused
from tests.signals.words import NOW_MS, Desk, event, note, signed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
ROUTES = st.sampled_from(list(Route))
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 1, 2**53, 1e308, -0.0, "", "x", [], {}, "2026-11-23T10:05:00Z", "P9999Y", float("nan")]
)
PATHS = st.sampled_from(
    [
        ("objectType",),
        ("operation",),
        ("object",),
        ("object", "id"),
        ("object", "programID"),
        ("object", "priority"),
        ("object", "targets"),
        ("object", "intervalPeriod"),
        ("object", "intervalPeriod", "start"),
        ("object", "intervalPeriod", "duration"),
        ("object", "intervals"),
        ("object", "intervals", 0),
        ("object", "intervals", 0, "payloads"),
        ("object", "intervals", 0, "payloads", 0, "type"),
        ("object", "intervals", 0, "payloads", 0, "values"),
        ("object", "intervals", 0, "payloads", 0, "values", 0),
        *(("object", "x-farmctl", name) for name in ("v", "msgId", "epoch", "seq", "issuer", "issuedAt", "class")),
        *(("object", "x-farmctl", name) for name in ("expiresAt", "ramp", "ack", "release", "kid", "sig")),
    ]
)


@given(route=ROUTES, raw=st.binary(max_size=300), retained=st.booleans())
def test_arbitrary_bytes_are_never_accepted(route: Route, raw: bytes, *, retained: bool) -> None:
    verdict = Desk().hears(route, raw, retained=retained)
    assert isinstance(verdict, Refused)
    assert verdict.refusal.raw == raw


@given(route=ROUTES, value=JSON)
def test_arbitrary_json_is_never_accepted(route: Route, value: Any) -> None:
    verdict = Desk().hears(route, json.dumps(value).encode())
    assert isinstance(verdict, Refused)


@settings(max_examples=300)
@given(path=PATHS, value=ODD | JSON)
def test_a_good_event_with_one_odd_field_is_refused_or_within_every_bound(path: tuple[Any, ...], value: Any) -> None:
    payload = note(event(1))
    holder: Any = payload
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    verdict = Desk().hears(Route.CREATE, json.dumps(payload).encode())
    if isinstance(verdict, Refused):
        return
    assert isinstance(verdict, Accepted)
    message = verdict.receipt.message
    assert isinstance(message, EventPut)
    found = message.event
    assert found.end_ms > NOW_MS
    assert 0 < len(found.event_id) <= 128
    assert (found.epoch, found.seq) > (3, 0)
    for interval in found.intervals:
        assert interval.start_ms < interval.end_ms
        assert interval.limit_w is None or 0 <= interval.limit_w <= 25e6


@settings(max_examples=150)
@given(data=st.data())
def test_one_flipped_byte_of_a_signed_event_is_never_accepted_with_another_meaning(data: st.DataObject) -> None:
    payload = signed(Route.CREATE, note(event(1)))
    raw = bytearray(json.dumps(payload).encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    desk = Desk(signed=True)
    verdict = desk.hears(Route.CREATE, bytes(raw))
    if isinstance(verdict, Accepted):  # white space, or another way to write the same JSON value
        assert json.loads(bytes(raw)) == payload


@given(order=st.permutations([1, 2, 3, 4, 5]), repeats=st.lists(st.integers(1, 5), max_size=5))
def test_reordered_and_repeated_messages_are_applied_at_most_once_and_in_order(
    order: list[int], repeats: list[int]
) -> None:
    desk = Desk()
    applied: list[int] = []
    for seq in [*order, *repeats]:
        verdict = desk.creates(event(seq, id=f"ev-{seq}"))
        if isinstance(verdict, Accepted):
            applied.append(seq)
        else:
            assert isinstance(verdict, Refused | Duplicate)
    assert applied == sorted(set(applied))
    assert applied[-1] == 5
