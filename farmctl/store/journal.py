"""The hash chain: canonical bytes of a record, linking records, verifying a chain; knows no engine.

Journal format 1.  hash_n = SHA-256(hash_(n-1) || line_n), where hash_0 is 32 zero bytes and line_n is the RFC 8785
canonical JSON of `{"at_ms", "blob", "body", "kind", "seq"}`, `blob` being the hex SHA-256 of the record's blob.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import rfc8785

from farmctl.errors import StoreError
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, StoredRecord

GENESIS = bytes(32)
"""The hash before the first record."""

SAFE_INTEGER = 2**53 - 1  # RFC 8785 numbers are IEEE doubles: beyond this, neighbours are the same number


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record in canonical form, before it has a place."""

    at_ms: int
    kind: str
    body: bytes
    """Canonical JSON, UTF-8: what is hashed is what is stored."""
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry in its place, byte for byte as an engine holds it; trusted only after `verify`."""

    seq: int
    entry: Entry
    prev_hash: bytes
    hash: bytes


class Fault(StrEnum):
    """Which promise of the chain a record breaks."""

    SEQ = "seq"
    """Not the next number: records are missing, doubled or renumbered here."""
    PREV_HASH = "prev_hash"
    """Not chained to the record before it."""
    HASH = "hash"
    """Its content is not what was hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intact:
    """Every record is in its place; compare `head` with a copy kept elsewhere to see a cut-off end."""

    count: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The first record, by its place in the chain, that is not as it was written."""

    seq: int
    what: Fault
    expected: str
    found: str


Verdict = Intact | Broken


class Walk:
    """Verification in progress: feed links in order, keep no more than one hash."""

    __slots__ = ("_broken", "_count", "_head")

    def __init__(self) -> None:
        self._count = 0
        self._head = GENESIS
        self._broken: Broken | None = None

    def feed(self, links: Iterable[Link]) -> Broken | None:
        """Check the next links; the first fault ends the walk and is answered from then on."""
        for each in links:
            self._broken = self._broken or self._check(each)
            if self._broken is not None:
                return self._broken
            self._count += 1
            self._head = each.hash
        return self._broken

    def verdict(self) -> Verdict:
        """Sum up what was fed."""
        return self._broken or Intact(count=self._count, head=self._head.hex())

    def _check(self, found: Link) -> Broken | None:
        place = self._count + 1
        if found.seq != place:
            return Broken(seq=place, what=Fault.SEQ, expected=str(place), found=str(found.seq))
        if found.prev_hash != self._head:
            return Broken(seq=place, what=Fault.PREV_HASH, expected=self._head.hex(), found=found.prev_hash.hex())
        right = _digest(self._head, place, found.entry)
        if found.hash != right:
            return Broken(seq=place, what=Fault.HASH, expected=right.hex(), found=found.hash.hex())
        return None


def verify(records: Iterable[StoredRecord | Link]) -> Verdict:
    """Check a whole chain from its first record; reads one record at a time and stops at the first fault.

    Finds altered bytes, gaps, doubles, foreign order and a missing start.  A missing end leaves a shorter intact chain.
    """
    walk = Walk()
    for each in records:
        try:
            found = each if isinstance(each, Link) else link(each)
        except (StoreError, ValueError) as error:
            return Broken(seq=each.seq, what=Fault.HASH, expected="a canonical record", found=str(error))
        if walk.feed((found,)) is not None:
            break
    return walk.verdict()


def entry(record: JournalRecord) -> Entry:
    """Canonical form of a record.

    Raises StoreError, naming the kind, for what RFC 8785 cannot carry: integers beyond 2**53 - 1, NaN, infinities,
    lone surrogates, keys that are not text, other types.
    """
    if not -SAFE_INTEGER <= record.at_ms <= SAFE_INTEGER:
        raise StoreError(f"journal record '{record.kind}': at_ms {record.at_ms} is beyond 2**53 - 1")
    try:
        body = rfc8785.dumps(_plain(record.body))
    except (ValueError, RecursionError) as error:  # CanonicalizationError is a ValueError
        raise StoreError(f"journal record '{record.kind}': body is not canonical JSON (RFC 8785): {error}") from error
    return Entry(at_ms=record.at_ms, kind=record.kind.value, body=body, blob=bytes(record.blob))


def chain(entries: Sequence[Entry], after: Link | None) -> list[Link]:
    """Number and hash entries behind `after`, None for an empty journal."""
    seq, head = (after.seq, after.hash) if after is not None else (0, GENESIS)
    links = []
    for each in entries:
        seq += 1
        digest = _digest(head, seq, each)
        links.append(Link(seq=seq, entry=each, prev_hash=head, hash=digest))
        head = digest
    return links


def stored(of: Link) -> StoredRecord:
    """The noun for a link; raises StoreError, naming the seq, for a body or kind that this farmctl cannot read.

    Numbers come back as JSON has them: 1.0 as 1, and a whole number beyond 2**53 - 1 as the float it was.
    """
    try:
        kind = RecordKind(of.entry.kind)
        body = json.loads(of.entry.body, parse_int=_whole)
    except ValueError as error:
        raise StoreError(f"journal record {of.seq} is unreadable: {error}") from error
    if not isinstance(body, dict):
        raise StoreError(f"journal record {of.seq} is unreadable: expected a JSON object as body")
    record = JournalRecord(kind=kind, at_ms=of.entry.at_ms, body=body, blob=of.entry.blob)
    return StoredRecord(seq=of.seq, record=record, prev_hash=of.prev_hash.hex(), hash=of.hash.hex())


def link(of: StoredRecord) -> Link:
    """The link behind a stored record; raises StoreError for a body and ValueError for a hash that cannot be one."""
    return Link(
        seq=of.seq,
        entry=entry(of.record),
        prev_hash=bytes.fromhex(of.prev_hash),
        hash=bytes.fromhex(of.hash),
    )


def _digest(head: bytes, seq: int, of: Entry) -> bytes:
    # The keys are in canonical order and the body is canonical already, so the line is composed, not serialised again.
    # The kind is escaped: verify reads bytes that nobody vouches for, and none may pass as part of a neighbour.
    line = b'{"at_ms":%d,"blob":"%s","body":%s,"kind":%s,"seq":%d}' % (
        of.at_ms,
        hashlib.sha256(of.blob).hexdigest().encode(),
        of.body,
        rfc8785.dumps(of.kind),
        seq,
    )
    return hashlib.sha256(head + line).digest()


def _plain(value: JsonValue) -> Any:
    """The same value in lists and dicts, Any to the type checker: rfc8785 takes no other sequence or mapping."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_plain(item) for item in value]
        case _:
            raise ValueError(f"unsupported type {type(value).__name__}")


def _whole(digits: str) -> int | float:
    """An integer as written: RFC 8785 prints floats below 1e21 without exponent, 1e18 as 1000000000000000000."""
    value = int(digits)
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else float(digits)
