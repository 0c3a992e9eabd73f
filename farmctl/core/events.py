"""Life of a grid event: an explicit table of states, and the moves that time and signals cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from farmctl.core.grid import (
    EventClass,
    EventDelete,
    EventPut,
    EventState,
    GridEvent,
    OptOut,
    SignalMessage,
    SnapshotPut,
)
from farmctl.core.reasons import Reason
from farmctl.core.units import NEVER_MS

S = EventState
_WITHDRAWN = frozenset({S.CANCELLED, S.SUPERSEDED, S.OPTED_OUT})

TRANSITIONS: dict[EventState, frozenset[EventState]] = {
    S.RECEIVED: frozenset({S.REJECTED, S.ACCEPTED}),
    S.ACCEPTED: frozenset({S.SCHEDULED, S.ACTIVE, S.EXPIRED}) | _WITHDRAWN,
    S.SCHEDULED: frozenset({S.ACTIVE, S.EXPIRED}) | _WITHDRAWN,
    S.ACTIVE: frozenset({S.RAMPING, S.REACHED, S.COMPLETED, S.FAILED}) | _WITHDRAWN,
    S.RAMPING: frozenset({S.REACHED, S.DEVIATING, S.COMPLETED, S.FAILED}) | _WITHDRAWN,
    S.REACHED: frozenset({S.DEVIATING, S.COMPLETED, S.FAILED}) | _WITHDRAWN,
    S.DEVIATING: frozenset({S.REACHED, S.FAILED, S.COMPLETED}) | _WITHDRAWN,
    S.REJECTED: frozenset(),
    S.COMPLETED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.OPTED_OUT: frozenset(),
    S.EXPIRED: frozenset(),
}
"""SIGNALS section 5. An update enters again at RECEIVED with the same id."""

TERMINAL = frozenset(state for state, targets in TRANSITIONS.items() if not targets)
LIVE = frozenset({S.ACTIVE, S.RAMPING, S.REACHED, S.DEVIATING})
"""States in which an event's limit and set-point count."""

RESPONSE_CODE: dict[EventState, int] = {
    S.RECEIVED: 1,
    S.ACCEPTED: 1,
    S.SCHEDULED: 1,
    S.ACTIVE: 2,
    S.RAMPING: 2,
    S.REACHED: 2,
    S.DEVIATING: 2,
    S.COMPLETED: 3,
    S.OPTED_OUT: 4,
    S.CANCELLED: 6,
    S.SUPERSEDED: 7,
    S.FAILED: 10,
    S.REJECTED: 253,
    S.EXPIRED: 254,
}
"""IEEE 2030.5 response codes."""

KEEP_ENDED_MS = 60_000
"""An ended event is remembered this long, so that a late repeat is not taken for a new one."""
KEEP_REFUSED = 50
"""Events that the site ended itself are remembered until their end: a snapshot that still lists one revives it not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrack:
    """One event and where it has got to."""

    event: GridEvent
    state: EventState
    since_ms: int
    reached_once: bool = False
    shadowed: bool = False
    """Its set-point lost against a better one; its limit still counts."""
    reason: Reason | None = None
    word: str = ""
    """What acks say as the reason in its place; empty: the reason itself."""
    hindered: Reason | None = None
    """What stands between a live event and the site: a rung of the fail-safe ladder."""
    active_ms: int = NEVER_MS
    """When it became active; -1 before."""
    from_w: float | None = None
    """What the site drew when it became active: its own down-ramp starts there."""

    @property
    def live(self) -> bool:
        """Its limit and set-point count now."""
        return self.state in LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One move of one event, as acks and journal tell it."""

    track: EventTrack
    msg_id: str
    epoch: int
    seq: int


def moved(track: EventTrack, to: EventState, now_ms: int, reason: Reason | None = None) -> EventTrack:
    """The track in its next state; a move that the table does not have is a bug and raises ValueError."""
    if to not in TRANSITIONS[track.state]:
        message = f"event {track.event.event_id}: {track.state} cannot become {to}"
        raise ValueError(message)
    reached = track.reached_once or to is EventState.REACHED
    return replace(track, state=to, since_ms=now_ms, reached_once=reached, reason=reason)


def live_price(tracks: Iterable[EventTrack], now_ms: int) -> float | None:
    """The price that the newest live event states now, currency per kWh; None where none does."""
    stated = [
        (track.event.created_ms, track.event.event_id, interval.price)
        for track in tracks
        if track.live and (interval := track.event.at(now_ms)) and interval.price is not None
    ]
    return max(stated)[2] if stated else None


def heard(
    tracks: tuple[EventTrack, ...], inbox: Iterable[SignalMessage], now_ms: int
) -> tuple[tuple[EventTrack, ...], list[Transition]]:
    """Apply what was heard, in order; returns all tracks and the moves made."""
    known = {(t.event.source, t.event.event_id): t for t in tracks}
    moves: list[Transition] = []
    for message in inbox:
        match message:
            case EventPut():
                if message.replaces_source:
                    _withdraw_others(known, message.event, now_ms, moves)
                _put(known, message.event, now_ms, moves)
            case EventDelete():
                _delete(known, message, now_ms, moves)
            case SnapshotPut():
                _snapshot(known, message, now_ms, moves)
            case OptOut():
                _opt_out(known, message, now_ms, moves)
    return tuple(known.values()), moves


def on_time(
    tracks: tuple[EventTrack, ...], now_ms: int, power_w: float | None = None
) -> tuple[tuple[EventTrack, ...], list[Transition]]:
    """Start what is due, end what is over, forget what ended long ago; `power_w` is what the site draws now."""
    kept: list[EventTrack] = []
    moves: list[Transition] = []
    refused = [t for t in tracks if t.state in (S.SUPERSEDED, S.OPTED_OUT) and now_ms < t.event.end_ms]
    long = {id(track) for track in refused[-KEEP_REFUSED:]}
    for track in tracks:
        if track.state in TERMINAL:
            if now_ms - track.since_ms < KEEP_ENDED_MS or id(track) in long:
                kept.append(track)
            continue
        after = _aged(track, now_ms)
        if after.state is S.ACTIVE and after is not track:
            after = replace(after, active_ms=now_ms, from_w=power_w)
        if after is not track:
            moves.append(_told(after))
        kept.append(after)
    return tuple(kept), moves


def _aged(track: EventTrack, now_ms: int) -> EventTrack:
    event = track.event
    if track.live:
        latched = event.event_class is EventClass.EMERGENCY
        return track if latched or now_ms < event.end_ms else _ended(track, now_ms)
    if now_ms >= event.end_ms:
        return moved(track, S.EXPIRED, now_ms, Reason.EXPIRED)
    if now_ms >= event.start_ms:
        return moved(track, S.ACTIVE, now_ms, _test(event))
    return track if track.state is S.SCHEDULED else moved(track, S.SCHEDULED, now_ms, _test(event))


def _ended(track: EventTrack, now_ms: int) -> EventTrack:
    if track.event.event_class is EventClass.TEST:
        return moved(track, S.COMPLETED, now_ms, Reason.TEST)
    if track.reached_once and track.state is not S.DEVIATING:
        return moved(track, S.COMPLETED, now_ms)
    return moved(track, S.FAILED, now_ms, Reason.TARGET_MISSED)


def _test(event: GridEvent) -> Reason | None:
    return Reason.TEST if event.event_class is EventClass.TEST else None


def _told(track: EventTrack) -> Transition:
    event = track.event
    return Transition(track=track, msg_id=event.msg_id, epoch=event.epoch, seq=event.seq)


_Known = dict[tuple[str, str], EventTrack]


def _put(known: _Known, event: GridEvent, now_ms: int, moves: list[Transition]) -> None:
    received = EventTrack(event=event, state=S.RECEIVED, since_ms=now_ms)
    accepted = moved(received, S.ACCEPTED, now_ms, _test(event))
    known[event.source, event.event_id] = accepted
    moves.append(_told(accepted))


def _delete(known: _Known, message: EventDelete, now_ms: int, moves: list[Transition]) -> None:
    track = known.get((message.source, message.event_id))
    if track is None or track.state in TERMINAL:
        return
    if track.event.event_class is EventClass.EMERGENCY and track.live and not message.release:
        return
    ended = moved(track, S.CANCELLED, now_ms, Reason.CANCELLED)
    known[message.source, message.event_id] = ended
    moves.append(Transition(track=ended, msg_id=message.msg_id, epoch=message.epoch, seq=message.seq))


def _opt_out(known: _Known, message: OptOut, now_ms: int, moves: list[Transition]) -> None:
    track = known.get((message.source, message.event_id))
    if track is None or track.state in TERMINAL or track.event.event_class is EventClass.EMERGENCY:
        return
    told = f"{message.why.value}: {message.text}" if message.text else message.why.value
    ended = replace(moved(track, S.OPTED_OUT, now_ms, Reason.OPTED_OUT), word=told)
    known[message.source, message.event_id] = ended
    moves.append(_told(ended))


def _withdraw_others(known: _Known, event: GridEvent, now_ms: int, moves: list[Transition]) -> None:
    for key, track in list(known.items()):
        same = track.event.source == event.source and track.event.event_id != event.event_id
        if not same or track.state in TERMINAL or track.event.event_class is EventClass.EMERGENCY:
            continue
        ended = moved(track, S.SUPERSEDED, now_ms, Reason.SUPERSEDED)
        known[key] = ended
        moves.append(_told(ended))


def _snapshot(known: _Known, message: SnapshotPut, now_ms: int, moves: list[Transition]) -> None:
    listed = {event.event_id: event for event in message.events}
    for key, track in list(known.items()):
        if track.event.source != message.source or track.state in TERMINAL or track.event.event_id in listed:
            continue
        # One that is obeyed while the disk is full is not in the sequence that is stored: once there is room again, the
        # broker's older snapshot is new to the intake and knows nothing of it.
        unheard_of = (track.event.epoch, track.event.seq) > (message.epoch, message.seq)
        if unheard_of or track.event.event_class is EventClass.EMERGENCY:
            continue
        ended = moved(track, S.CANCELLED, now_ms, Reason.CANCELLED)
        known[key] = ended
        moves.append(Transition(track=ended, msg_id=message.msg_id, epoch=message.epoch, seq=message.seq))
    for event in message.events:
        old = known.get((message.source, event.event_id))
        newer = old is None or (old.event.epoch, old.event.seq) < (event.epoch, event.seq)
        if newer or (old is not None and old.reason is Reason.GRID_OUTAGE):  # the grid says that it still holds
            _put(known, event, now_ms, moves)
