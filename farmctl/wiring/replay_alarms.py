"""What the journal tells beside the recording: alarms as they stood, and orders as they were given, at any moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.control.wire import iso
from farmctl.core.alarms import AlarmState
from farmctl.core.alarms.board import ACTIVE, HIDDEN
from farmctl.ports.store import RecordKind, StoredRecord

ORDERS = frozenset({RecordKind.OPERATOR, RecordKind.OVERRIDE})
KINDS = ORDERS | {RecordKind.ALARM}
MOST_ORDERS = 20
Row = dict[str, Any]
"""One item as the stream writes it."""
_RANK = {state.value: rank for rank, state in enumerate((AlarmState.UNACK, AlarmState.RTN_UNACK, AlarmState.ACK))}


@dataclass(frozen=True, slots=True, eq=False)
class JournalPast:
    """Records about alarms and people, oldest first."""

    at_ms: Sequence[int]
    records: Sequence[StoredRecord]

    @classmethod
    def of(cls, records: Sequence[StoredRecord]) -> JournalPast:
        """Records of `KINDS`, in the order of the journal."""
        return cls([stored.record.at_ms for stored in records], records)

    def alarms(self, at_ms: int) -> list[Row]:
        """Every alarm that was not normal at a moment, worst first; how many miners it was about is not recorded."""
        rows: dict[str, Row] = {}
        for stored in self._until(at_ms):
            body = stored.record.body
            key, state = str(body.get("alarm", "")), str(body.get("state", ""))
            if stored.record.kind is not RecordKind.ALARM or "before" not in body:
                continue
            if state == AlarmState.NORMAL.value:
                rows.pop(key, None)
            else:
                before = rows.get(key)
                since = before["since"] if before is not None else iso(stored.record.at_ms)
                rows[key] = _row(key, state, since, body)
        shown = (row for row in rows.values() if row["alarm"] in CATALOGUE)
        return sorted(shown, key=lambda row: (_RANK.get(row["state"], len(_RANK)), row["priority"], row["id"]))

    def orders(self, at_ms: int) -> list[Row]:
        """The last orders before a moment, newest first."""
        rows = []
        for stored in reversed(list(self._until(at_ms))):
            record = stored.record
            if record.kind in ORDERS and record.body.get("owner"):
                rows.append(_job(stored))
            if len(rows) == MOST_ORDERS:
                break
        return rows

    def _until(self, at_ms: int) -> Sequence[StoredRecord]:
        return self.records[: bisect_right(self.at_ms, at_ms)]


def alarm_counts(rows: Sequence[Row]) -> Row:
    """What the strip counts."""
    states = [row["state"] for row in rows]
    active, hidden = {state.value for state in ACTIVE}, {state.value for state in HIDDEN}
    return {
        **{f"p{n}": sum(row["priority"] == n and row["state"] in active for row in rows) for n in (1, 2, 3, 4)},
        "unack": sum(state in (AlarmState.UNACK.value, AlarmState.RTN_UNACK.value) for state in states),
        "shelved": states.count(AlarmState.SHELVED.value),
        "suppressed": sum(state in hidden for state in states),
    }


def _row(key: str, state: str, since: str | None, body: Mapping[str, object]) -> Row:
    alarm, _, where = key.partition("@")
    kind = CATALOGUE.get(alarm)
    return {
        "id": key,
        "alarm": alarm,
        "priority": body.get("priority", 0),
        "where": where,
        "state": state,
        "holds": state != AlarmState.RTN_UNACK.value,
        "valid": True,
        "since": since,
        "detail": body.get("detail", ""),
        "cause": kind.cause if kind else "",
        "consequence": kind.consequence if kind else "",
        "response": kind.response if kind else "",
        "runbook": kind.runbook if kind else "",
        "n": 1,
        "count": 0,
        "first_out": False,
        "owner": body.get("owner", ""),
        "note": body.get("note", ""),
        "shelved_until": None,
    }


def _job(stored: StoredRecord) -> Row:
    body = stored.record.body
    return {
        "id": f"record-{stored.seq}",
        "verb": str(body.get("verb") or stored.record.kind.value),
        "owner": str(body.get("owner", "")),
        "reason": str(body.get("reason") or ""),
        "at": iso(stored.record.at_ms),
        "state": "recorded",
        "text": str(body.get("result", "ok")),
        "progress": None,
    }
