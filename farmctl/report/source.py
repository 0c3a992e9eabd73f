"""Reads what a report needs from a journal: any moment by bisection, an event's signals by one pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from farmctl.core.grid import GridEvent
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.store import RecordKind, StoredRecord

SLACK_MS = 120_000
"""Records of parts that write on their own are out of order by no more than this: a page of series waits a minute."""
_EVENT: TypeAdapter[GridEvent] = TypeAdapter(GridEvent)


class NoSuchEventError(RefusedError):
    """The journal knows no event of that name."""


class Journal(Protocol):
    """A journal to read; `ports.store.Store` is one, and so is a file read beside a running controller."""

    def records(
        self, *, after_seq: int = 0, kinds: frozenset[RecordKind] | None = None, limit: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """In order of their numbers."""
        ...

    async def head(self) -> StoredRecord | None:
        """The last record."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An event as one signal stated it."""

    heard_ms: int
    seq: int
    """Journal number of the signal."""
    event: GridEvent
    raw: str
    """The signal as it came."""


async def versions(journal: Journal, event_id: str) -> tuple[Version, ...]:
    """Every statement of an event, oldest first. Raises NoSuchEventError, naming the last events that are known."""
    found: list[Version] = []
    others: dict[str, None] = {}
    async for stored in journal.records(kinds=frozenset({RecordKind.SIGNAL})):
        for event in _events(stored):
            if event.event_id != event_id:
                others[event.event_id] = None
            elif not found or (found[-1].event.epoch, found[-1].event.seq) != (event.epoch, event.seq):
                raw = stored.record.body.get("raw", "")
                heard_ms = stored.record.at_ms
                found.append(Version(heard_ms=heard_ms, seq=stored.seq, event=event, raw=str(raw)))
    if not found:
        known = ", ".join(list(others)[-5:]) or "none"
        raise NoSuchEventError(f"event {event_id}: not in this journal; the last ones are: {known}")
    return tuple(found)


async def window(
    journal: Journal, from_ms: int, to_ms: int, kinds: frozenset[RecordKind] | None = None
) -> list[StoredRecord]:
    """Records whose time lies in [from, to], with series pages that begin in it, in order of their numbers."""
    found: list[StoredRecord] = []
    async for stored in journal.records(after_seq=await seq_before(journal, from_ms - SLACK_MS), kinds=kinds):
        begins_ms = stored.record.body.get("from_ms", stored.record.at_ms)
        if stored.record.at_ms > to_ms + SLACK_MS:
            break
        if stored.record.at_ms >= from_ms and isinstance(begins_ms, int) and begins_ms <= to_ms:
            found.append(stored)
    return found


async def seq_before(journal: Journal, at_ms: int) -> int:
    """Number of a record older than a moment, near it; 0 where none is older. O(log n) reads."""
    head = await journal.head()
    low, high = 0, head.seq if head is not None else 0
    while low < high:
        middle = (low + high + 1) // 2
        record = await record_at(journal, middle)
        if record.record.at_ms < at_ms:
            low = middle
        else:
            high = middle - 1
    return low


async def record_at(journal: Journal, seq: int) -> StoredRecord:
    """One record by its number. Raises StoreError where the journal has a hole."""
    async for stored in journal.records(after_seq=seq - 1, limit=1):
        if stored.seq == seq:
            return stored
    raise StoreError(f"journal record {seq} is missing")


def _events(stored: StoredRecord) -> Sequence[GridEvent]:
    message = stored.record.body.get("message")
    if not isinstance(message, dict):
        return ()
    given = message.get("events", [message["event"]] if "event" in message else [])
    try:
        return [_EVENT.validate_python(event) for event in given] if isinstance(given, list) else ()
    except ValidationError as error:
        raise StoreError(f"journal record {stored.seq} is unreadable: {error.errors()[0]['msg']}") from error
