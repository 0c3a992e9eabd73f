"""A host's clock that was put back: no stamp of an alarm may lie in the future, or its delays last that much longer."""

from __future__ import annotations

from dataclasses import replace

from farmctl.core.alarms.board import Alarm, AlarmBoard, Raised
from farmctl.core.units import NEVER_MS


def put_back(board: AlarmBoard, now_ms: int) -> AlarmBoard:
    """The board as if the clock had always been right: what lies after `now_ms` becomes now, shelves keep their length.

    The same board where nothing lies ahead.  O(alarms).
    """
    ahead_ms = _newest_ms(board) - now_ms
    if ahead_ms <= 0:
        return board
    return replace(
        board,
        alarms=tuple(_alarm(alarm, now_ms, ahead_ms) for alarm in board.alarms),
        raised=_raised(board.raised, now_ms),
        acked=tuple(replace(acked, at_ms=min(acked.at_ms, now_ms)) for acked in board.acked),
        floods=tuple((min(start, now_ms), min(end, now_ms)) for start, end in board.floods),
        flood_ms=min(board.flood_ms, now_ms),
        chattering=_raised(board.chattering, now_ms),
    )


def _newest_ms(board: AlarmBoard) -> int:
    """The latest moment at which anything happened to an alarm; -1 for never."""
    ends = [board.flood_ms, *(each[-1].at_ms for each in (board.raised, board.acked, board.chattering) if each)]
    stamps = [max(alarm.edge_ms, alarm.raised_ms) for alarm in board.alarms]
    return max([*ends, *stamps, *(end for _, end in board.floods[-1:])], default=NEVER_MS)


def _alarm(alarm: Alarm, now_ms: int, ahead_ms: int) -> Alarm:
    until_ms = alarm.shelved_until_ms
    return replace(
        alarm,
        edge_ms=min(alarm.edge_ms, now_ms),
        raised_ms=min(alarm.raised_ms, now_ms),
        edges_ms=tuple(min(at_ms, now_ms) for at_ms in alarm.edges_ms),
        shelved_until_ms=until_ms if until_ms == NEVER_MS else max(until_ms - ahead_ms, now_ms),
    )


def _raised(raised: tuple[Raised, ...], now_ms: int) -> tuple[Raised, ...]:
    return tuple(replace(each, at_ms=min(each.at_ms, now_ms)) for each in raised)
