"""The desk that keeps the board: fed by every cycle, ordered by operators, durable in a named state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from farmctl.core.alarms import (
    EMPTY_BOARD,
    AlarmBoard,
    AlarmChange,
    AlarmKind,
    AlarmRefusedError,
    AlarmSource,
    AlarmState,
    Condition,
    Followed,
    NoSuchAlarmError,
    Scene,
    Truth,
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
REPORTS_STATE = "alarms.reports"
_BOARD: TypeAdapter[AlarmBoard] = TypeAdapter(AlarmBoard)
COMMON_CAUSE = "container_offline"
_NORMAL = AlarmState.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one of the site's own systems says, and until when that counts."""

    condition: Condition
    until_ms: int | None
    """After this the report proves nothing: the guard is invalid, the state is held. None: until it is taken back."""
    owner: str


_REPORTS: TypeAdapter[tuple[Report, ...]] = TypeAdapter(tuple[Report, ...])


class AlarmDesk(AlarmWatch, AlarmOrders):
    """One board; the cycle advances it, the control API acknowledges and shelves."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        kinds: Mapping[str, AlarmKind],
        wake: Callable[[], None],
        *,
        silent: bool = False,
    ) -> None:
        """`wake` makes the next picture come at once; `silent` logs no change, for days that nobody lives through."""
        self._store = store
        self._clock = clock
        self._kinds = kinds
        self._wake = wake
        self._silent = silent
        self._records: list[JournalRecord] = []
        self._board = EMPTY_BOARD
        self._followed = Followed()
        self._observed: dict[str, tuple[Condition, ...]] = {}
        self._reports: dict[str, Report] = {}

    async def restore(self) -> None:
        """Go on where the last run ended; a board that cannot be read is said and begun anew."""
        board, reports = await self._store.state(BOARD_STATE), await self._store.state(REPORTS_STATE)
        try:
            self._board = _BOARD.validate_json(board) if board is not None else EMPTY_BOARD
            known = _REPORTS.validate_json(reports) if reports is not None else ()
            self._reports = {report.condition.key: report for report in known}
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
        self._followed = told = self._followed.after(scene)
        scene = replace(
            scene,
            known=known,
            commands=told.total,
            commands_failed=told.failed,
            commands_worst=told.worst(scene.view.groups),
        )
        found = [*look(scene), *self._elsewhere(scene.now_ms)]
        self._board, changes = advance(self._board, found, self._kinds, suppressions(scene), scene.now_ms)
        for change in changes:
            self._records.append(_record(change))
            if not self._silent:
                _log(change)
        return self._board

    def alone(self, condition: Condition) -> None:
        """Advance one alarm while the cycle stands still; nothing is known of the others, so they stay as they are."""
        own = replace(self._board, alarms=tuple(a for a in self._board.alarms if a.key == condition.key))
        others = [alarm for alarm in self._board.alarms if alarm.key != condition.key]
        after, changes = advance(own, [condition], self._kinds, frozenset(), self._clock.now_ms())
        self._board = replace(after, alarms=tuple(sorted((*others, *after.alarms), key=lambda alarm: alarm.key)))
        for change in changes:
            self._records.append(_record(change))
            _log(change)

    def observe(self, watch: str, conditions: Iterable[Condition]) -> None:
        """What one watch of the shell sees now, in the place of what it saw before."""
        self._observed[watch] = tuple(conditions)

    def _elsewhere(self, now_ms: int) -> list[Condition]:
        """Conditions that this process's watches and the site's other systems tell."""
        told = [condition for watch in self._observed.values() for condition in watch]
        for report in self._reports.values():
            late = report.until_ms is not None and now_ms >= report.until_ms
            told.append(replace(report.condition, truth=Truth.UNKNOWN) if late else report.condition)
        return told

    @override
    async def report(self, condition: Condition, by: By, until_ms: int | None) -> None:
        kind = self._kinds.get(condition.alarm)
        if kind is None or kind.source is not AlarmSource.REPORT:
            known = ", ".join(sorted(row.alarm for row in self._kinds.values() if row.source is AlarmSource.REPORT))
            message = f"alarm {condition.alarm}: expected one that other systems report: {known}"
            raise AlarmRefusedError(message)
        after = dict(self._reports)
        holds = condition.truth is Truth.TRUE
        if holds:
            told = replace(condition, priority=kind.priority)
            after[condition.key] = Report(condition=told, until_ms=until_ms, owner=by.owner)
        elif after.pop(condition.key, None) is None:
            return
        now_ms = self._clock.now_ms()
        body: dict[str, JsonValue] = {
            "verb": "alarm_report", "alarm": condition.key, "holds": holds, "detail": condition.detail,
            "until_ms": until_ms, "owner": by.owner, "reason": by.reason, **by.told,
        }  # fmt: skip
        blob = _REPORTS.dump_json(tuple(after.values()))
        record = JournalRecord(kind=RecordKind.ALARM, at_ms=now_ms, body=body)
        await self._store.append([record], {REPORTS_STATE: blob})
        self._reports = after
        self._wake()

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
