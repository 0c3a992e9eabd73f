"""Reads what a report needs from a journal: any moment by bisection, an event's signals by one pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from farmctl.core.events import TERMINAL
from farmctl.core.grid import EventState, GridEvent
from farmctl.core.units import NEVER_MS
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.store import RecordKind, StoredRecord

SLACK_MS = 120_000
"""Records of parts that write on their own are out of order by no more than this."""
LATE_MS = 3_600_000 + SLACK_MS
"""A page of series waits so long for a disk that is full."""
TERMINAL_WORDS = frozenset(state.value for state in TERMINAL)
LIVE_WORD = EventState.ACTIVE.value
_EVENT: TypeAdapter[GridEvent] = TypeAdapter(GridEvent)


class NoSuchEventError(RefusedError):
    """The journal knows no event of that name."""


class NeverLiveError(RefusedError):
    """The event is known, but it was never active: there is nothing to settle."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """All that a journal says of one event."""

    versions: list[Version]
    """Every statement, oldest first."""
    moves: list[StoredRecord]
    """EVENT records, oldest first."""
    nth: int = 0
    """Which time that the event was live, from 1; 0: all of them."""


async def lives(journal: Journal, only: str | None = None) -> dict[str, Life]:
    """Every event that was stated, or one of them with the names of the others; one pass over the journal."""
    found: dict[str, Life] = {}
    async for stored in journal.records(kinds=frozenset({RecordKind.SIGNAL, RecordKind.EVENT})):
        if stored.record.kind is RecordKind.EVENT:
            name = str(stored.record.body.get("event"))
            if only in (None, name):
                found.setdefault(name, Life(versions=[], moves=[])).moves.append(stored)
            continue
        for told in _told(stored):
            name = str(told.get("event_id"))
            life = found.setdefault(name, Life(versions=[], moves=[]))
            if only in (None, name) and not _known(life, told):
                life.versions.append(_version(stored, told))
    return found


def of_event(found: Mapping[str, Life], event_id: str, nth: int = 0) -> Life:
    """One time that an event of this name was live: the last one, or the nth.

    Raises NoSuchEventError, naming the last events that are known; NeverLiveError.
    """
    life = found.get(event_id)
    if life is None or not life.versions:
        known = ", ".join([name for name in found if name != event_id][-5:]) or "none"
        raise NoSuchEventError(f"event {event_id}: not in this journal; the last ones are: {known}")
    times = episodes(life)
    if not times:
        state = life.moves[-1].record.body.get("state") if life.moves else EventState.RECEIVED.value
        raise NeverLiveError(f"event {event_id}: it never became active; it is {state}")
    if nth > len(times):
        raise NoSuchEventError(f"event {event_id}: it was live {len(times)} times, expected at least {nth}")
    return times[nth - 1]


def episodes(life: Life) -> list[Life]:
    """Each time that the event was live: a name may be used again once its event is over."""
    found: list[Life] = []
    moves: list[StoredRecord] = []
    since_ms = NEVER_MS
    for move in life.moves:
        moves.append(move)
        if move.record.body.get("state") in TERMINAL_WORDS:
            found.append(Life(versions=_versions(life, since_ms, move.record.at_ms), moves=moves))
            moves, since_ms = [], move.record.at_ms
    if moves:
        found.append(Life(versions=_versions(life, since_ms, None), moves=moves))
    live = [each for each in found if any(move.record.body.get("state") == LIVE_WORD for move in each.moves)]
    return [replace(each, nth=number) for number, each in enumerate(live, 1)]


def _versions(life: Life, since_ms: int, until_ms: int | None) -> list[Version]:
    """What was stated in a stretch; where nothing was, the last statement before it."""
    heard = [each for each in life.versions if until_ms is None or each.heard_ms <= until_ms]
    return [each for each in heard if each.heard_ms > since_ms] or heard[-1:] or life.versions[:1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Records of a stretch of time."""

    records: list[StoredRecord]
    """In order of their numbers; series pages where they overlap the stretch."""
    closed: bool
    """A later page of series is there: no other page of this stretch can come."""


async def window(journal: Journal, from_ms: int, to_ms: int, kinds: frozenset[RecordKind] | None = None) -> Window:
    """Records whose time lies in [from, to], and the series pages of that time, which may be written later."""
    found: list[StoredRecord] = []
    last = await seq_before(journal, from_ms - SLACK_MS)
    async for stored in journal.records(after_seq=last, kinds=kinds):
        if stored.record.at_ms > to_ms + SLACK_MS:
            break
        last = stored.seq
        if _overlaps(stored, from_ms, to_ms):
            found.append(stored)
    async for stored in journal.records(after_seq=last, kinds=frozenset({RecordKind.SERIES})):
        if _begins_ms(stored) > to_ms:
            return Window(records=found, closed=True)
        if stored.record.at_ms > to_ms + LATE_MS:
            break
        if _overlaps(stored, from_ms, to_ms):
            found.append(stored)
    return Window(records=found, closed=any(_begins_ms(each) > to_ms for each in found))


def _begins_ms(stored: StoredRecord) -> int:
    begins_ms = stored.record.body.get("from_ms", stored.record.at_ms)
    return begins_ms if isinstance(begins_ms, int) else stored.record.at_ms


def _overlaps(stored: StoredRecord, from_ms: int, to_ms: int) -> bool:
    if stored.record.kind is not RecordKind.SERIES:
        return from_ms <= stored.record.at_ms <= to_ms
    ends_ms = stored.record.body.get("to_ms", stored.record.at_ms)
    return isinstance(ends_ms, int) and ends_ms >= from_ms and _begins_ms(stored) <= to_ms


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


def _told(stored: StoredRecord) -> Sequence[Mapping[str, Any]]:
    """The events that a signal states, as JSON."""
    message: Any = stored.record.body.get("message")
    if not isinstance(message, dict):
        return ()
    told = message.get("events", [message["event"]] if "event" in message else [])
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else ()


def _known(life: Life, told: Mapping[str, Any]) -> bool:
    """A snapshot states again what was stated before; reading it again would cost most of the pass."""
    if not life.versions:
        return False
    last = life.versions[-1].event
    return (last.epoch, last.seq) == (told.get("epoch"), told.get("seq"))


def _version(stored: StoredRecord, told: Mapping[str, Any]) -> Version:
    try:
        event = _EVENT.validate_python(told)
    except ValidationError as error:
        raise StoreError(f"journal record {stored.seq} is unreadable: {error.errors()[0]['msg']}") from error
    raw = str(stored.record.body.get("raw", ""))
    return Version(heard_ms=stored.record.at_ms, seq=stored.seq, event=event, raw=raw)
