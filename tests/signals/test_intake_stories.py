"""Order, repeats, snapshots, heartbeats and latches: what a source believes as messages come and go."""

from __future__ import annotations

from typing import Any

from farmctl.core.grid import Ack, EventClass, EventDelete, EventState, SnapshotPut
from farmctl.core.reasons import Reason
from farmctl.signals._intake.desk import Route, sequence_state
from farmctl.signals._intake.sequence import SeenMessages
from farmctl.signals._intake.standing import Standing, from_bytes
from farmctl.signals._intake.verdict import Accepted, Deferred, Duplicate, Heartbeat, Refused, Verdict
from tests.signals.words import NOW_MS, Desk, JsonObject, event, heartbeat, msg_id, note, snapshot


def accepted(verdict: Verdict) -> Accepted:
    assert isinstance(verdict, Accepted), verdict
    return verdict


def refused(verdict: Verdict) -> Refused:
    assert isinstance(verdict, Refused), verdict
    return verdict


def listed(verdict: Verdict) -> list[str]:
    message = accepted(verdict).receipt.message
    assert isinstance(message, SnapshotPut)
    return [e.event_id for e in message.events]


def emergency(seq: int, **changes: Any) -> JsonObject:
    return event(seq, x={"class": "EMERGENCY"}, **{"id": "em", **changes})


def repeat_of(verdict: Verdict) -> Ack | None:
    """The ack that a repeat is answered with; the repeat itself is journalled."""
    assert isinstance(verdict, Duplicate)
    assert verdict.refusal is not None
    assert verdict.refusal.reason == Reason.DUPLICATE
    return verdict.ack


def test_the_sequence_that_must_be_durable_travels_with_the_receipt() -> None:
    desk = Desk()
    verdict = accepted(desk.creates(event(7)))
    stored = from_bytes(verdict.receipt.states[sequence_state("grid")])
    assert stored.pair == (3, 7)
    assert stored.known["ev-1"].event_class is EventClass.LIMIT
    assert Desk(stored=stored).refuses(event(7)).reason is Reason.OLD_SEQUENCE


def test_something_old_is_dropped_and_not_answered() -> None:
    desk = Desk()
    desk.accepts(event(5))
    late = desk.refuses(event(4, id="late"))
    assert (late.reason, late.ack) == (Reason.OLD_SEQUENCE, None)
    assert desk.refuses(event(9, id="late", x={"epoch": 2})).reason is Reason.OLD_SEQUENCE


def test_a_gap_is_processed_and_asks_for_the_snapshot() -> None:
    desk = Desk()
    assert not accepted(desk.creates(event(1))).resync
    assert accepted(desk.creates(event(3, id="b"))).resync
    assert not accepted(desk.creates(event(4, id="c"))).resync


def test_a_new_epoch_is_adopted_and_asks_for_the_snapshot() -> None:
    desk = Desk()
    desk.accepts(event(500))
    assert accepted(desk.creates(event(1, id="b", x={"epoch": 4, "msgId": msg_id(900)}))).resync
    assert desk.intake.standing.pair == (4, 1)


def test_a_refused_message_leaves_no_gap() -> None:
    desk = Desk()
    desk.refuses(event(1, priority=-1))
    assert not accepted(desk.creates(event(2))).resync


def test_a_repeat_gets_the_last_ack_and_does_nothing() -> None:
    desk = Desk()
    first = accepted(desk.creates(event(1)))
    assert first.ack is not None
    assert repeat_of(desk.creates(event(1))) == first.ack
    later = desk.intake.seen.last_ack(msg_id(1))
    assert later is not None
    reached = type(later)(**{f: getattr(later, f) for f in later.__slots__} | {"state": EventState.REACHED})
    desk.intake.note_ack(reached)
    assert repeat_of(desk.creates(event(1))) == reached


def test_a_repeat_of_a_refused_message_gets_the_same_refusal() -> None:
    desk = Desk()
    ack = desk.refuses(event(1, priority=-1)).ack
    assert repeat_of(desk.creates(event(1, priority=-1))) == ack


def test_only_the_last_ten_thousand_messages_are_remembered() -> None:
    seen = SeenMessages(most=3)
    for number in range(5):
        seen.remember(str(number), None)
    assert [str(n) in seen for n in range(5)] == [False, False, True, True, True]


def test_a_create_of_a_known_id_needs_the_same_content() -> None:
    desk = Desk()
    desk.accepts(event(1))
    desk.accepts(event(2))
    assert desk.refuses(event(3, priority=1)).code == 253
    assert isinstance(desk.hears(Route.UPDATE, note(event(4, priority=1), "UPDATE")), Accepted)


def test_an_update_of_an_unknown_id_creates_it() -> None:
    verdict = accepted(Desk().hears(Route.UPDATE, note(event(1), "UPDATE")))
    assert verdict.ack is not None
    assert verdict.ack.state is EventState.RECEIVED


def test_an_emergency_ends_only_by_its_release() -> None:
    desk = Desk()
    desk.accepts(emergency(1))
    plain = refused(desk.hears(Route.DELETE, note(event(2, id="em"), "DELETE")))
    assert (plain.reason, plain.code) == (Reason.EMERGENCY_LATCHED, 253)
    for seq, weaker in enumerate(
        (
            event(3, id="em"),
            emergency(4, payloads=[{"type": "IMPORT_CAPACITY_LIMIT", "values": [20001]}]),
            emergency(5, intervalPeriod={"start": "2026-11-23T10:09:00Z", "duration": "PT5M"}),
        ),
        start=3,
    ):
        verdict = refused(desk.hears(Route.UPDATE, note(weaker, "UPDATE")))
        assert verdict.reason is Reason.EMERGENCY_LATCHED, seq
    start_now = {"start": "0001-01-01", "duration": "PT5M"}
    lower = emergency(6, payloads=[{"type": "IMPORT_CAPACITY_LIMIT", "values": [5]}], intervalPeriod=start_now)
    accepted(desk.hears(Route.UPDATE, note(lower, "UPDATE")))
    release = event(7, id="em", x={"class": "EMERGENCY", "release": True})
    message = accepted(desk.hears(Route.DELETE, note(release, "DELETE"))).receipt.message
    assert isinstance(message, EventDelete)
    assert message.release
    assert "em" not in desk.intake.standing.known


def test_a_latched_emergency_is_known_after_a_restart_however_long_it_took() -> None:
    desk = Desk()
    desk.accepts(emergency(1))
    again = Desk(stored=from_bytes(accepted(desk.creates(event(2))).receipt.states[sequence_state("grid")]))
    again.now_ms += 30 * 60_000
    x = {"issuedAt": "2026-11-23T10:30:00Z", "expiresAt": "2026-11-23T11:00:00Z"}
    verdict = refused(again.hears(Route.DELETE, note(event(3, id="em", x=x), "DELETE")))
    assert verdict.reason is Reason.EMERGENCY_LATCHED


def test_a_snapshot_replaces_what_is_known_but_not_an_emergency() -> None:
    desk = Desk()
    desk.accepts(emergency(1))
    desk.accepts(event(2, id="gone"))
    body = snapshot(3, event(1, id="kept"))
    assert listed(desk.hears(Route.SNAPSHOT, body, retained=True)) == ["kept"]
    assert set(desk.intake.standing.known) == {"em", "kept"}
    assert desk.hears(Route.SNAPSHOT, body, retained=True) == Duplicate(ack=None)


def test_a_late_event_older_than_the_snapshot_is_dropped() -> None:
    desk = Desk()
    desk.hears(Route.SNAPSHOT, snapshot(10))
    assert desk.refuses(event(9)).reason is Reason.OLD_SEQUENCE


def test_an_empty_retained_snapshot_changes_nothing() -> None:
    desk = Desk()
    desk.accepts(event(1))
    verdict = refused(desk.hears(Route.SNAPSHOT, b"", retained=True))
    assert (verdict.reason, verdict.ack) == (Reason.NOT_JSON, None)
    assert set(desk.intake.standing.known) == {"ev-1"}


def test_one_bad_entry_refuses_the_whole_snapshot_once() -> None:
    desk = Desk()
    desk.accepts(event(1))
    body = snapshot(2, event(1), event(1, id="bad", priority=-1))
    verdict = refused(desk.hears(Route.SNAPSHOT, body, retained=True))
    assert "events.1" in verdict.refusal.detail
    assert set(desk.intake.standing.known) == {"ev-1"}
    assert desk.hears(Route.SNAPSHOT, body, retained=True) == Duplicate(ack=None)


def test_an_entry_that_was_rejected_before_is_left_out_of_the_snapshot_unless_it_would_end_a_live_event() -> None:
    desk = Desk()
    desk.accepts(event(1, id="live"))
    rejected = event(2, id="bad", priority=-1)
    desk.refuses(rejected)
    assert listed(desk.hears(Route.SNAPSHOT, snapshot(3, event(1, id="live"), rejected))) == ["live"]
    worse = event(4, id="live", priority=-1)
    refused(desk.hears(Route.UPDATE, note(worse, "UPDATE")))
    assert "events.0" in refused(desk.hears(Route.SNAPSHOT, snapshot(5, worse))).refusal.detail
    assert set(desk.intake.standing.known) == {"live"}


def test_other_bad_snapshots_are_refused() -> None:
    for body in (
        snapshot(1, expiresAt="2026-11-25T10:03:50Z"),
        snapshot(1, expiresAt="2026-11-23T10:03:59Z"),
        snapshot(1, event(2)),
        snapshot(1, event(1), event(1)),
        snapshot(1, event(1, x={"issuer": "other"})),
        snapshot(1, event(1, programID="other")),
        snapshot(1, {"id": "x"}),
        snapshot(1, issuer="other"),
        snapshot(1, v=2),
    ):
        refused(Desk().hears(Route.SNAPSHOT, body, retained=True))


def test_an_ended_entry_is_left_out_but_a_listed_emergency_is_alive() -> None:
    over = {"issuedAt": "2026-11-23T09:00:00Z", "expiresAt": "2026-11-23T09:10:00Z"}
    period = {"start": "2026-11-23T09:00:00Z", "duration": "PT5M"}
    body = snapshot(
        2,
        event(1, id="over", x=over, intervalPeriod=period),
        event(1, id="em", x={**over, "class": "EMERGENCY"}, intervalPeriod=period),
    )
    message = accepted(Desk().hears(Route.SNAPSHOT, body)).receipt.message
    assert isinstance(message, SnapshotPut)
    (found,) = message.events
    assert found.at(NOW_MS) is not None
    assert found.event_class is EventClass.EMERGENCY


def test_after_a_restart_the_same_snapshot_is_applied_again_but_no_other_of_its_number() -> None:
    desk = Desk()
    body = snapshot(4, event(1))
    stored = from_bytes(accepted(desk.hears(Route.SNAPSHOT, body)).receipt.states[sequence_state("grid")])
    assert listed(Desk(stored=stored).hears(Route.SNAPSHOT, body, retained=True)) == ["ev-1"]
    forged = refused(Desk(stored=stored).hears(Route.SNAPSHOT, snapshot(4), retained=True))
    assert forged.reason is Reason.OLD_SEQUENCE
    assert refused(Desk(stored=stored).hears(Route.SNAPSHOT, snapshot(3))).reason is Reason.OLD_SEQUENCE


def test_with_a_lost_store_only_a_confirmed_snapshot_counts() -> None:
    desk = Desk(fresh=True)
    assert desk.refuses(event(5)).reason is Reason.OLD_SEQUENCE
    body = snapshot(6, event(5))
    assert isinstance(desk.hears(Route.SNAPSHOT, body, retained=True), Deferred)
    beat = desk.hears(Route.HEARTBEAT, heartbeat(1, seq=6, of=body))
    assert isinstance(beat, Heartbeat)
    assert beat.resync
    assert listed(desk.hears(Route.SNAPSHOT, body, retained=True)) == ["ev-1"]
    assert isinstance(desk.creates(event(7, id="b")), Accepted)


def test_rubbish_in_the_store_is_a_lost_store() -> None:
    for stored in (b"", b"{}", b"[1]", b'{"pair":[1]}', b"\xff", b'{"pair":1,"known":{}}'):
        assert from_bytes(stored) == Standing()


def test_a_heartbeat_must_grow_be_fresh_and_know_the_snapshot() -> None:
    desk = Desk()
    body = snapshot(1)
    desk.hears(Route.SNAPSHOT, body)
    good = desk.hears(Route.HEARTBEAT, heartbeat(5, seq=1, of=body, at_ms=NOW_MS + 200))
    assert isinstance(good, Heartbeat)
    assert (good.fresh, good.offset_ms, good.resync) == (True, 200, False)
    for hb in (5, 4):
        verdict = refused(desk.hears(Route.HEARTBEAT, heartbeat(hb, seq=1, of=body)))
        assert (verdict.reason, verdict.ack) == (Reason.OLD_SEQUENCE, None)
    stale = desk.hears(Route.HEARTBEAT, heartbeat(6, seq=1, of=body, at_ms=NOW_MS - 5001))
    assert isinstance(stale, Heartbeat)
    assert (stale.fresh, stale.resync) == (False, False)
    for number, wrong in enumerate((heartbeat(7, seq=2, of=body), heartbeat(8, seq=1, of=snapshot(9)))):
        behind = desk.hears(Route.HEARTBEAT, wrong)
        assert isinstance(behind, Heartbeat), number
        assert behind.resync
    assert isinstance(desk.hears(Route.HEARTBEAT, heartbeat(9, seq=1, of=body), retained=True), Refused)


def test_while_the_clocks_disagree_only_an_emergency_is_obeyed() -> None:
    desk = Desk()
    desk.hears(Route.HEARTBEAT, heartbeat(1, seq=0, of=snapshot(0), at_ms=NOW_MS - 6_000))
    assert desk.refuses(event(1)).reason is Reason.CLOCK_AHEAD
    assert refused(desk.hears(Route.SNAPSHOT, snapshot(1))).reason is Reason.CLOCK_AHEAD
    assert desk.accepts(emergency(2)).event_class is EventClass.EMERGENCY
    desk.hears(Route.HEARTBEAT, heartbeat(2, seq=2, of=snapshot(0)))
    desk.accepts(event(3))


def test_heartbeats_that_come_late_are_no_wrong_clock_until_a_minute_has_had_none_on_time() -> None:
    desk, listing = Desk(), snapshot(1)
    desk.hears(Route.SNAPSHOT, listing)
    desk.hears(Route.HEARTBEAT, heartbeat(1, seq=1, of=listing, at_ms=NOW_MS))
    for number in range(2, 8):
        desk.now_ms += 10_000
        desk.hears(Route.HEARTBEAT, heartbeat(number, seq=number - 1, of=listing, at_ms=desk.now_ms - 9_000))
        desk.accepts(event(number, id=f"ev-{number}"))
    desk.now_ms += 10_000
    desk.hears(Route.HEARTBEAT, heartbeat(8, seq=7, of=listing, at_ms=desk.now_ms - 9_000))
    assert desk.refuses(event(8, id="ev-8")).reason is Reason.CLOCK_AHEAD
    desk.accepts(event(9, id="ev-9", x={"class": "EMERGENCY"}))


def test_a_heartbeat_from_the_future_is_a_wrong_clock_at_once_and_for_one_more() -> None:
    desk, listing = Desk(), snapshot(1)
    desk.hears(Route.SNAPSHOT, listing)
    desk.hears(Route.HEARTBEAT, heartbeat(1, seq=1, of=listing, at_ms=NOW_MS + 6_000))
    assert desk.refuses(event(2, id="ev-2")).reason is Reason.CLOCK_AHEAD
    desk.hears(Route.HEARTBEAT, heartbeat(2, seq=2, of=listing, at_ms=NOW_MS))
    assert desk.refuses(event(3, id="ev-3")).reason is Reason.CLOCK_AHEAD
    desk.hears(Route.HEARTBEAT, heartbeat(3, seq=3, of=listing, at_ms=NOW_MS))
    desk.accepts(event(4, id="ev-4"))


def test_retained_copies_are_refused_except_of_snapshots_and_keys() -> None:
    verdict = refused(Desk().hears(Route.CREATE, note(event(1)), retained=True))
    assert (verdict.reason, verdict.ack) == (Reason.RETAINED_NOT_ALLOWED, None)
