"""Who did what, why, and what came of it: the journal's records about people, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farmctl.control.wire import ApiError, Json, iso
from farmctl.errors import StoreError
from farmctl.ports.store import RecordKind, Store, StoredRecord

KINDS = frozenset({RecordKind.OPERATOR, RecordKind.OVERRIDE, RecordKind.ALARM, RecordKind.CONFIG})
FIRST_WINDOW = 2_000
MOST_WINDOW = 500_000
"""Records that one question may look at; behind them the next page goes on."""
_NAMED = ("verb", "owner", "role", "reason", "result", "uid", "key", "declared_origin", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records are asked for."""

    limit: int
    before: int | None = None
    owner: str = ""
    verb: str = ""


async def audit(store: Store, wanted: Wanted) -> Json:
    """One page. Raises ApiError 507 where the journal cannot be read."""
    try:
        head = await store.head()
        return await _page(store, wanted, head.seq + 1 if head is not None else 1)
    except StoreError as error:
        raise ApiError(507, str(error)) from error


async def _page(store: Store, wanted: Wanted, end: int) -> Json:
    """Windows backwards through the journal, each twice as wide, until there is enough."""
    before = end if wanted.before is None else min(wanted.before, end)
    rows: list[Json] = []
    window, looked = FIRST_WINDOW, 0
    while before > 1 and len(rows) < wanted.limit and looked < MOST_WINDOW:
        first = max(before - window, 1)
        found: list[Json] = []
        async for stored in store.records(after_seq=first - 1, kinds=KINDS):
            if stored.seq >= before:
                break
            if _fits(stored, wanted):
                found.append(_told(stored))
        rows += reversed(found)
        looked += before - first
        before, window = first, window * 2
    shown = rows[: wanted.limit]
    more = len(rows) > wanted.limit or before > 1
    last = shown[-1]["seq"] if len(rows) >= wanted.limit and shown else before
    return {"rows": shown, "before": last if more else None}


def _fits(stored: StoredRecord, wanted: Wanted) -> bool:
    body = stored.record.body
    if not body.get("owner"):
        return False
    return wanted.owner in ("", body.get("owner")) and wanted.verb in ("", _verb(body))


def _told(stored: StoredRecord) -> Json:
    record = stored.record
    body = record.body
    return {
        "seq": stored.seq,
        "at": iso(record.at_ms),
        "kind": record.kind.value,
        "verb": _verb(body),
        "owner": body.get("owner", ""),
        "role": body.get("role", ""),
        "uid": body.get("uid", -1),
        "reason": body.get("reason") or body.get("note") or "",
        "key": body.get("key", ""),
        "declared_origin": body.get("declared_origin", ""),
        "result": body.get("result", "ok"),
        "more": {name: value for name, value in body.items() if name not in _NAMED},
    }


def _verb(body: Mapping[str, object]) -> str:
    """An order's own verb; for an alarm the state that a person brought it to."""
    return str(body.get("verb") or body.get("state") or "")
