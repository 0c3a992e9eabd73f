"""`GET /v1/alarms/history`: every change of an alarm from the journal, newest first."""

from __future__ import annotations

from farmctl.control.wire import ApiError, Json, iso
from farmctl.errors import StoreError
from farmctl.ports.store import RecordKind, Store, StoredRecord

KINDS = frozenset({RecordKind.ALARM})
FIRST_WINDOW = 5_000
MOST_LOOKED = 500_000
"""Records of the journal that one question may look through."""


async def history(store: Store, limit: int, before: int | None) -> Json:
    """One page. Raises ApiError 507 where the journal cannot be read."""
    try:
        head = await store.head()
        end = head.seq + 1 if head is not None else 1
        return await _page(store, limit, end if before is None else min(before, end))
    except StoreError as error:
        raise ApiError(507, str(error)) from error


async def _page(store: Store, limit: int, before: int) -> Json:
    """Windows backwards, each twice as wide, until there is enough."""
    rows: list[StoredRecord] = []
    window, looked = FIRST_WINDOW, 0
    while before > 1 and len(rows) < limit and looked < MOST_LOOKED:
        first = max(before - window, 1)
        found: list[StoredRecord] = []
        async for stored in store.records(after_seq=first - 1, kinds=KINDS):
            if stored.seq >= before:
                break
            if "before" in stored.record.body:
                found.append(stored)
        rows += reversed(found)
        looked += before - first
        before, window = first, window * 2
    shown = rows[:limit]
    more = len(rows) > limit or before > 1
    last = shown[-1].seq if len(rows) >= limit and shown else before
    return {"rows": [_told(stored) for stored in shown], "before": last if more else None}


def _told(stored: StoredRecord) -> Json:
    body = stored.record.body
    words = {name: str(body.get(name) or "") for name in ("alarm", "before", "state", "detail", "owner", "note")}
    return {"seq": stored.seq, "at": iso(stored.record.at_ms), "priority": body.get("priority", 0), **words}
