"""The desk that keeps the board: fed by every cycle, ordered by operators, durable in a named state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog
from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from farmctl.core.alarms import (
    EMPTY_BOARD,
    AlarmBoard,
    AlarmChange,
    AlarmKind,
    AlarmState,
    NoSuchAlarmError,
    Scene,
    acknowledge,
    advance,
    look,
    shelve,
    suppressions,
    unshelve,
)
from farmctl.ports.control import AlarmOrders, AlarmWatch, By
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, Store

log = structlog.get_logger(__name__)

BOARD_STATE = "alarms.board"
_BOARD: TypeAdapter[AlarmBoard] = TypeAdapter(AlarmBoard)
COMMON_CAUSE = "container_offline"
_NORMAL = AlarmState.NORMAL


class AlarmDesk(AlarmWatch, AlarmOrders):
    """One board; the cycle advances it, the control API acknowledges and shelves."""

    def __init__(self, store: Store, clock: Clock, kinds: Mapping[str, AlarmKind], wake: Callable[[], None]) -> None:
        """`wake` makes the next picture come at once."""
        self._store = store
        self._clock = clock
        self._kinds = kinds
        self._wake = wake
        self._records: list[JournalRecord] = []
        self._board = EMPTY_BOARD

    async def restore(self) -> None:
        """Go on where the last run ended; a board that cannot be read is said and begun anew."""
        data = await self._store.state(BOARD_STATE)
        if data is None:
            return
        try:
            self._board = _BOARD.validate_json(data)
        except ValidationError as error:
            log.warning("alarm_board_unreadable", error=str(error), effect="every alarm is raised anew")

    @property
    @override
    def board(self) -> AlarmBoard:
        return self._board

    @property
    @override
    def kinds(self) -> Mapping[str, AlarmKind]:
        return self._kinds

    @override
    def advance(self, scene: Scene) -> AlarmBoard:
        known = frozenset(a.where for a in self._board.alarms if a.alarm == COMMON_CAUSE and a.state is not _NORMAL)
        found = look(replace(scene, known=known))
        self._board, changes = advance(self._board, found, self._kinds, suppressions(scene), scene.now_ms)
        for change in changes:
            self._records.append(_record(change))
            _log(change)
        return self._board

    @override
    def drain(self) -> tuple[Sequence[JournalRecord], Mapping[str, bytes]]:
        records, self._records = self._records, []
        return records, {BOARD_STATE: self._blob(self._board)} if records else {}

    @override
    async def acknowledge(self, key: str, by: By) -> None:
        kind = self._kind(key)
        await self._take(lambda board, now_ms: acknowledge(board, key, kind, by.owner, by.reason, now_ms), by)

    @override
    async def shelve(self, key: str, by: By, until_ms: int | None) -> None:
        await self._take(lambda board, now_ms: shelve(board, key, by.owner, by.reason, until_ms, now_ms), by)

    @override
    async def unshelve(self, key: str, by: By) -> None:
        await self._take(lambda board, now_ms: unshelve(board, key, by.owner, by.reason, now_ms), by)

    def _kind(self, key: str) -> AlarmKind:
        kind = self._kinds.get(key.partition("@")[0])
        if kind is None:
            message = f"alarm {key}: no such alarm is open"
            raise NoSuchAlarmError(message)
        return kind

    async def _take(self, order: Callable[[AlarmBoard, int], tuple[AlarmBoard, AlarmChange]], by: By) -> None:
        """Make an order durable, then do it, on the board as it is by then."""
        now_ms = self._clock.now_ms()
        board, change = order(self._board, now_ms)
        before = self._board
        await self._store.append([_record(change, **by.told)], {BOARD_STATE: self._blob(board)})
        self._board = board if self._board is before else order(self._board, now_ms)[0]
        _log(change)
        self._wake()

    def _blob(self, board: AlarmBoard) -> bytes:
        return _BOARD.dump_json(board)


def _record(change: AlarmChange, **told: JsonValue) -> JournalRecord:
    body: dict[str, JsonValue] = {
        "alarm": change.key,
        "priority": change.priority,
        "before": change.before.value,
        "state": change.after.value,
        "detail": change.detail,
        "owner": change.owner,
        "note": change.note,
        **told,
    }
    return JournalRecord(kind=RecordKind.ALARM, at_ms=change.at_ms, body=body)


def _log(change: AlarmChange) -> None:
    say = log.warning if change.after is AlarmState.UNACK and change.priority <= 2 else log.info  # noqa: PLR2004 - P1 and P2 are the ones that ring
    say("alarm", alarm=change.key, priority=change.priority, state=change.after.value, detail=change.detail)
