"""What a person does to an alarm: acknowledge, shelve, take off the shelf."""

from __future__ import annotations

from dataclasses import replace

from farmctl.core.alarms.board import Acked, Alarm, AlarmBoard, AlarmChange, AlarmState
from farmctl.core.alarms.nouns import AlarmKind
from farmctl.core.units import DAY_MS, MS_PER_S, NEVER_MS
from farmctl.errors import RefusedError

LONGEST_SHELF_MS = 12 * 3_600_000
"""A shift; what is worth hiding longer is worth mending."""
S = AlarmState


class AlarmRefusedError(RefusedError):
    """The alarm cannot be acknowledged or shelved."""


class NoSuchAlarmError(RefusedError):
    """No alarm of that id is open."""


def acknowledge(
    board: AlarmBoard, key: str, kind: AlarmKind, owner: str, note: str, now_ms: int
) -> tuple[AlarmBoard, AlarmChange]:
    """A person has seen it. Raises NoSuchAlarmError, AlarmRefusedError."""
    alarm = find(board, key)
    if alarm.state not in (S.UNACK, S.RTN_UNACK):
        message = f"alarm {key}: expected one that is not acknowledged; it is {alarm.state.value}"
        raise AlarmRefusedError(message)
    if kind.note_to_ack and not note.strip():
        message = f"alarm {key}: expected a note: what was found, or done"
        raise AlarmRefusedError(message)
    state = S.ACK if alarm.state is S.UNACK else S.NORMAL
    after = replace(alarm, state=state, owner=owner if state is S.ACK else "", note=note if state is S.ACK else "")
    acked = Acked(at_ms=now_ms, priority=alarm.priority, after_s=max(now_ms - alarm.raised_ms, 0) / MS_PER_S)
    day = tuple(a for a in board.acked if now_ms - a.at_ms < DAY_MS)
    board = replace(_with(board, after), acked=(*day, acked))
    return board, _change(alarm, after, owner, note, now_ms)


def shelve(
    board: AlarmBoard, key: str, owner: str, reason: str, until_ms: int | None, now_ms: int
) -> tuple[AlarmBoard, AlarmChange]:
    """Hide it for a while; `until_ms` None is one-shot: until its condition is over.

    Raises NoSuchAlarmError, AlarmRefusedError: a P1 stays where everybody sees it.
    """
    alarm = find(board, key)
    if alarm.priority == 1:
        message = f"alarm {key}: it is a P1, which cannot be shelved"
        raise AlarmRefusedError(message)
    if not reason.strip():
        message = f"alarm {key}: expected a reason to shelve it"
        raise AlarmRefusedError(message)
    if until_ms is not None and not now_ms < until_ms <= now_ms + LONGEST_SHELF_MS:
        message = f"alarm {key}: expected an end within the next {LONGEST_SHELF_MS // 3_600_000} hours"
        raise AlarmRefusedError(message)
    after = replace(
        alarm,
        state=S.SHELVED,
        owner=owner,
        note=reason,
        shelved_until_ms=NEVER_MS if until_ms is None else until_ms,
        one_shot=until_ms is None,
    )
    return _with(board, after), _change(alarm, after, owner, reason, now_ms)


def unshelve(board: AlarmBoard, key: str, owner: str, reason: str, now_ms: int) -> tuple[AlarmBoard, AlarmChange]:
    """Show it again, in the state that its condition has. Raises NoSuchAlarmError, AlarmRefusedError."""
    alarm = find(board, key)
    if alarm.state is not S.SHELVED:
        message = f"alarm {key}: expected one on the shelf; it is {alarm.state.value}"
        raise AlarmRefusedError(message)
    state = S.UNACK if alarm.stands else S.NORMAL
    after = replace(alarm, state=state, owner="", note="", shelved_until_ms=NEVER_MS, one_shot=False)
    return _with(board, after), _change(alarm, after, owner, reason, now_ms)


def find(board: AlarmBoard, key: str) -> Alarm:
    """One alarm that is not normal. Raises NoSuchAlarmError."""
    alarm = board.get(key)
    if alarm is None or alarm.state is S.NORMAL:
        message = f"alarm {key}: no such alarm is open"
        raise NoSuchAlarmError(message)
    return alarm


def _with(board: AlarmBoard, after: Alarm) -> AlarmBoard:
    return replace(board, alarms=tuple(after if alarm.key == after.key else alarm for alarm in board.alarms))


def _change(before: Alarm, after: Alarm, owner: str, note: str, now_ms: int) -> AlarmChange:
    return AlarmChange(
        key=after.key,
        priority=after.priority,
        before=before.state,
        after=after.state,
        at_ms=now_ms,
        detail=after.detail,
        owner=owner,
        note=note,
    )
