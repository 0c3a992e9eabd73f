"""The tables of event states and site modes: every allowed move can be made, every other raises or is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from farmctl.core import modes
from farmctl.core.events import LIVE, RESPONSE_CODE, TERMINAL, TRANSITIONS, EventTrack, heard, moved, on_time
from farmctl.core.grid import EventClass, EventDelete, EventPut, EventState, SiteMode, SnapshotPut
from farmctl.core.modes import LinkFacts, next_mode
from tests.core.worlds import MINUTE_MS, NOW_MS, order

S, M = EventState, SiteMode


@pytest.mark.parametrize(("start", "to"), list(itertools.product(S, S)))
def test_only_moves_of_the_table_can_be_made(start: EventState, to: EventState) -> None:
    track = EventTrack(event=order(limit_w=1.0), state=start, since_ms=0)
    if to in TRANSITIONS[start]:
        assert moved(track, to, 1).state is to
    else:
        with pytest.raises(ValueError, match="cannot become"):
            moved(track, to, 1)


def test_every_state_has_a_response_code_and_an_exit_or_is_terminal() -> None:
    assert set(RESPONSE_CODE) == set(S) == set(TRANSITIONS)
    ends = {S.REJECTED, S.COMPLETED, S.FAILED, S.CANCELLED, S.SUPERSEDED, S.OPTED_OUT, S.EXPIRED}
    assert ends == TERMINAL
    assert not LIVE & TERMINAL


def test_a_delete_of_an_unknown_or_ended_event_moves_nothing() -> None:
    tracks, moves = heard((), [_delete()], NOW_MS)
    assert (tracks, moves) == ((), [])


def test_a_live_emergency_ignores_a_delete_without_release_and_a_snapshot_without_it() -> None:
    tracks = _live(EventClass.EMERGENCY)
    for message in (_delete(), SnapshotPut(source="grid", msg_id="m9", epoch=1, seq=9, events=())):
        after, moves = heard(tracks, [message], NOW_MS)
        assert (after[0].state, moves) == (tracks[0].state, [])
    after, moves = heard(tracks, [_delete(release=True)], NOW_MS)
    assert after[0].state is S.CANCELLED


def test_a_snapshot_cancels_nothing_that_is_younger_than_itself() -> None:
    tracks = _live(EventClass.LIMIT)
    event = tracks[0].event
    older = SnapshotPut(source="grid", msg_id="m9", epoch=event.epoch, seq=event.seq - 1, events=())
    assert heard(tracks, [older], NOW_MS) == (tracks, [])
    after, _ = heard(tracks, [replace(older, seq=event.seq)], NOW_MS)
    assert after[0].state is S.CANCELLED


def test_an_older_event_in_a_snapshot_does_not_replace_what_is_known() -> None:
    tracks = _live(EventClass.LIMIT)
    snapshot = SnapshotPut(source="grid", msg_id="m9", epoch=1, seq=9, events=(order(limit_w=5.0),))
    after, moves = heard(tracks, [snapshot], NOW_MS)
    assert after == tracks
    assert moves == []


def test_an_event_reaches_a_terminal_state_at_its_end_and_is_forgotten_a_minute_later() -> None:
    tracks = _live(EventClass.LIMIT)
    ended, _ = on_time(tracks, tracks[0].event.end_ms)
    assert ended[0].state is S.FAILED
    kept, _ = on_time(ended, ended[0].since_ms + MINUTE_MS)
    assert kept == ()


@pytest.mark.parametrize("before", list(M))
def test_no_facts_lead_to_a_mode_that_the_table_forbids(before: SiteMode) -> None:
    for expected, confirmed, lost, emergency, override, maintenance, following, limited in itertools.product(
        (False, True), repeat=8
    ):
        after = next_mode(
            before,
            LinkFacts(expected=expected, confirmed=confirmed, lost=lost, age_ms=None),
            emergency=emergency,
            override=override,
            maintenance=maintenance,
            following=following,
            limited=limited,
        )
        assert after is before or after in modes.TRANSITIONS[before]
        assert after is not M.INIT_FAILSAFE or before is M.INIT_FAILSAFE
        assert not emergency or after is M.EMERGENCY
        if before in (M.INIT_FAILSAFE, M.FAILSAFE) and expected and not confirmed:
            assert after in (before, M.EMERGENCY, M.LOCAL_OVERRIDE, M.MAINTENANCE)
        if before in (M.EMERGENCY, M.LOCAL_OVERRIDE, M.MAINTENANCE) and expected and not confirmed:
            assert after not in (M.AUTONOMOUS, M.FOLLOWING, M.LIMITED)


def _delete(*, release: bool = False) -> EventDelete:
    return EventDelete(source="grid", event_id="e1", msg_id="m2", epoch=1, seq=2, release=release)


def _live(event_class: EventClass) -> tuple[EventTrack, ...]:
    tracks, _ = heard((), [EventPut(event=order(limit_w=1.0, event_class=event_class))], NOW_MS)
    tracks, _ = on_time(tracks, NOW_MS)
    assert tracks[0].live
    return tracks
