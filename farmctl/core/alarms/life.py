"""The life of alarms: delays, chattering, suppression by design, shelving that ends by itself; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from farmctl.core.alarms.board import ANNUNCIATED, HIDDEN, Alarm, AlarmBoard, AlarmChange, AlarmState, Raised
from farmctl.core.alarms.nouns import AlarmKind, Condition, Suppress, Truth
from farmctl.core.alarms.putback import put_back
from farmctl.core.units import DAY_MS, MS_PER_S, NEVER_MS

CHATTER_EDGES = 3
CHATTER_MS = 60_000
"""More than three a minute is chattering (OPERATIONS section 5.3)."""
LONGEST_OFF_S = 600.0
FLOOD_ABOVE = 10
FLOOD_BELOW = 5
FLOOD_MS = 600_000
FIRST_OUT_MS = 60_000
CALM_MS = 3_600_000
"""A damped alarm is forgiven after an hour without an edge."""
MOST_KEPT = 20_000
S = AlarmState
_PERMIT = frozenset({Suppress.MAINTENANCE})


def advance(
    board: AlarmBoard,
    found: Iterable[Condition],
    kinds: Mapping[str, AlarmKind],
    suppressing: frozenset[Suppress],
    now_ms: int,
) -> tuple[AlarmBoard, tuple[AlarmChange, ...]]:
    """One cycle later; conditions that are not mentioned are false.

    Raises KeyError for an alarm that the catalogue does not list.
    """
    board = put_back(board, now_ms)
    seen = {condition.key: condition for condition in found}
    before = {alarm.key: alarm for alarm in board.alarms}
    kept: list[Alarm] = []
    raised: list[Raised] = []
    chattering: list[Raised] = []
    changes: list[AlarmChange] = []
    for key in sorted(before.keys() | seen.keys()):
        old = before.get(key) or _newcomer(seen[key])
        kind = kinds[old.alarm]
        alarm = _debounced(_heard(old, seen.get(key), now_ms), kind, now_ms)
        if alarm.damped_s > old.damped_s:
            chattering.append(Raised(at_ms=now_ms, key=key, priority=alarm.priority))
        alarm = _moved(alarm, kind, suppressing, now_ms)
        if alarm.state is S.UNACK and old.state is not S.UNACK:
            raised.append(Raised(at_ms=now_ms, key=key, priority=alarm.priority))
            first = all(now_ms - r.at_ms > FIRST_OUT_MS for r in board.raised[-1:])
            alarm = replace(alarm, raised_ms=now_ms, first_out=first)
        if alarm.state is not old.state:
            changes.append(_change(alarm, old.state, now_ms))
        if alarm.state is not S.NORMAL or alarm.holds or _remembered(alarm):
            kept.append(alarm)
    after = replace(
        board,
        alarms=tuple(kept),
        raised=_of_the_day((*board.raised, *raised), now_ms),
        chattering=_of_the_day((*board.chattering, *chattering), now_ms),
    )
    return _flood(after, changes, now_ms)


def recent(board: AlarmBoard, now_ms: int) -> int:
    """Alarms raised within the last ten minutes."""
    return sum(now_ms - raised.at_ms < FLOOD_MS for raised in board.raised)


def _newcomer(condition: Condition) -> Alarm:
    return Alarm(alarm=condition.alarm, where=condition.where, priority=condition.priority, detail=condition.detail)


def _heard(alarm: Alarm, condition: Condition | None, now_ms: int) -> Alarm:
    """What the cycle says of its condition; near and unknown change nothing but the text."""
    if condition is None:
        return alarm if not alarm.holds and alarm.valid else _edge(replace(alarm, valid=True), now_ms, holds=False)
    valid = condition.truth is not Truth.UNKNOWN
    told = replace(alarm, detail=condition.detail, n=condition.n, valid=valid, permits=condition.permits)
    if condition.truth is Truth.TRUE:
        return _edge(told, now_ms, holds=True)
    return told


def _edge(alarm: Alarm, now_ms: int, *, holds: bool) -> Alarm:
    if alarm.holds == holds:
        return alarm
    again = int(holds and alarm.stands)
    edges_ms = (*alarm.edges_ms, now_ms) if holds else alarm.edges_ms
    return replace(alarm, holds=holds, edge_ms=now_ms, edges_ms=edges_ms, count=alarm.count + again)


def _debounced(alarm: Alarm, kind: AlarmKind, now_ms: int) -> Alarm:
    """Apply the delays; an alarm that chatters clears later and later."""
    edges_ms = tuple(at_ms for at_ms in alarm.edges_ms if now_ms - at_ms < CHATTER_MS)
    damped_s = alarm.damped_s
    if len(edges_ms) > CHATTER_EDGES:
        damped_s = min(2.0 * max(damped_s, kind.off_delay_s, CHATTER_MS / MS_PER_S / 2), LONGEST_OFF_S)
        edges_ms = ()
    elif damped_s and now_ms - alarm.edge_ms > CALM_MS:
        damped_s = 0.0
    wait_s = kind.wait_s if alarm.holds else max(kind.off_delay_s, damped_s)
    due = now_ms - alarm.edge_ms >= wait_s * MS_PER_S
    stands = alarm.holds if due and alarm.valid else alarm.stands
    return replace(alarm, edges_ms=edges_ms, damped_s=damped_s, stands=stands)


def _moved(alarm: Alarm, kind: AlarmKind, suppressing: frozenset[Suppress], now_ms: int) -> Alarm:
    """The next state of one alarm."""
    causes = kind.suppressed_by & (suppressing | (_PERMIT if alarm.permits else frozenset()))
    if alarm.state is S.SHELVED:
        return _unshelved(alarm) if _shelf_is_over(alarm, now_ms) else alarm
    if causes:
        return _suppressed(alarm, min(causes))
    if alarm.state in HIDDEN:
        # Evaluated anew: the on-delay starts from zero.
        return replace(alarm, state=S.NORMAL, stands=False, edge_ms=now_ms, note="")
    return _annunciated(alarm)


def _annunciated(alarm: Alarm) -> Alarm:
    """Raise, return, clear."""
    match alarm.state:
        case S.NORMAL if alarm.stands:
            return replace(alarm, state=S.UNACK, count=0)
        case S.RTN_UNACK if alarm.stands:
            return replace(alarm, state=S.UNACK, count=alarm.count + 1)
        case S.UNACK if not alarm.stands:
            return replace(alarm, state=S.RTN_UNACK)
        case S.ACK if not alarm.stands:
            return replace(alarm, state=S.NORMAL, owner="", note="", count=0)
        case _:
            return alarm


def _suppressed(alarm: Alarm, cause: Suppress) -> Alarm:
    """Hide what would stand; what has returned before stays for its acknowledgement."""
    if alarm.state in HIDDEN:
        return alarm if alarm.holds else replace(alarm, state=S.NORMAL, stands=False, note="")
    if not (alarm.stands and alarm.holds):
        return alarm if alarm.state is S.NORMAL else _annunciated(alarm)
    state = S.OUT_OF_SERVICE if cause is Suppress.MAINTENANCE else S.SUPPRESSED
    return replace(alarm, state=state, note=cause.value, owner="")


def _shelf_is_over(alarm: Alarm, now_ms: int) -> bool:
    return not alarm.stands if alarm.one_shot else now_ms >= alarm.shelved_until_ms


def _unshelved(alarm: Alarm) -> Alarm:
    """Back by itself, to the state that its condition has now."""
    state = S.UNACK if alarm.stands else S.NORMAL
    return replace(alarm, state=state, owner="", note="", shelved_until_ms=NEVER_MS, one_shot=False)


def _remembered(alarm: Alarm) -> bool:
    """A normal alarm is kept while its last edges count for chattering."""
    return bool(alarm.edges_ms or alarm.damped_s)


def _flood(board: AlarmBoard, changes: list[AlarmChange], now_ms: int) -> tuple[AlarmBoard, tuple[AlarmChange, ...]]:
    """More than ten new ones in ten minutes; over below five."""
    n = recent(board, now_ms)
    if not board.flooded and n > FLOOD_ABOVE:
        board = replace(board, flood_ms=now_ms)
        changes.append(_flood_change(f"{n} new alarms in 10 min: P3 and P4 are shown as counts", S.UNACK, now_ms))
    elif board.flooded and n < FLOOD_BELOW:
        floods = tuple(flood for flood in board.floods if now_ms - flood[1] < DAY_MS)
        board = replace(board, flood_ms=NEVER_MS, floods=(*floods, (board.flood_ms, now_ms)))
        changes.append(_flood_change("every alarm is shown again", S.NORMAL, now_ms))
    return board, tuple(changes)


def _flood_change(detail: str, after: AlarmState, now_ms: int) -> AlarmChange:
    before = S.NORMAL if after is S.UNACK else S.UNACK
    return AlarmChange(key="flood@site", priority=3, before=before, after=after, at_ms=now_ms, detail=detail)


def _change(alarm: Alarm, before: AlarmState, now_ms: int) -> AlarmChange:
    return AlarmChange(
        key=alarm.key,
        priority=alarm.priority,
        before=before,
        after=alarm.state,
        at_ms=now_ms,
        detail=alarm.detail,
        note=alarm.note if alarm.state not in ANNUNCIATED else "",
    )


def _of_the_day(raised: tuple[Raised, ...], now_ms: int) -> tuple[Raised, ...]:
    if raised and (len(raised) > MOST_KEPT or now_ms - raised[0].at_ms >= DAY_MS):
        return tuple(r for r in raised[-MOST_KEPT:] if now_ms - r.at_ms < DAY_MS)
    return raised
