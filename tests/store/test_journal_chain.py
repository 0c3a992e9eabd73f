"""Laws of the hash chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from farmctl.errors import StoreError
from farmctl.ports.store import JournalRecord, RecordKind, StoredRecord
from farmctl.store.journal import Broken, Fault, Intact, Link, chain, entry, link, stored, verify

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
SCALARS = st.none() | st.booleans() | SAFE | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.builds(
    JournalRecord,
    kind=st.sampled_from(RecordKind),
    at_ms=SAFE,
    body=st.dictionaries(st.text(max_size=6), VALUES, max_size=4),
    blob=st.binary(max_size=12),
)
JOURNALS = st.lists(RECORDS, min_size=1, max_size=6)


def links_of(records: list[JournalRecord]) -> list[Link]:
    return chain([entry(record) for record in records], None)


def altered(data: bytes, place: int, mask: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


@settings(deadline=None)
@given(JOURNALS)
def test_what_was_chained_is_intact_also_after_reading_it_back(records: list[JournalRecord]) -> None:
    links = links_of(records)
    whole = Intact(count=len(records), head=links[-1].hash.hex())
    assert verify(links) == whole
    assert verify([stored(each) for each in links]) == whole
    assert [link(stored(each)) for each in links] == links


@settings(deadline=None)
@given(JOURNALS, st.data())
def test_any_altered_byte_is_found_and_its_record_named(records: list[JournalRecord], data: st.DataObject) -> None:
    links = links_of(records)
    index = data.draw(st.integers(0, len(links) - 1))
    at = links[index]
    parts = {"kind", "body", "prev_hash", "hash", "at_ms", "seq"} | ({"blob"} if at.entry.blob else set())
    part = data.draw(st.sampled_from(sorted(parts)))
    place, mask = data.draw(st.integers(0, 500)), data.draw(st.integers(1, 255))
    match part:
        case "kind":
            kind = altered(at.entry.kind.encode(), place, mask).decode(errors="replace")
            links[index] = replace(at, entry=replace(at.entry, kind=kind))
        case "body":
            links[index] = replace(at, entry=replace(at.entry, body=altered(at.entry.body, place, mask)))
        case "blob":
            links[index] = replace(at, entry=replace(at.entry, blob=altered(at.entry.blob, place, mask)))
        case "prev_hash":
            links[index] = replace(at, prev_hash=altered(at.prev_hash, place, mask))
        case "hash":
            links[index] = replace(at, hash=altered(at.hash, place, mask))
        case "at_ms":
            links[index] = replace(at, entry=replace(at.entry, at_ms=at.entry.at_ms ^ (mask << 8 * (place % 6))))
        case _:
            links[index] = replace(at, seq=at.seq ^ (mask << 8 * (place % 6)))
    verdict = verify(links)
    assert isinstance(verdict, Broken)
    assert verdict.seq == index + 1
    assert verdict.expected != verdict.found
    expected = {"seq": Fault.SEQ, "prev_hash": Fault.PREV_HASH}
    assert verdict.what is expected.get(part, Fault.HASH)


@settings(deadline=None)
@given(JOURNALS, st.data())
def test_a_missing_record_is_found_where_it_was(records: list[JournalRecord], data: st.DataObject) -> None:
    links = links_of([*records, *records])
    index = data.draw(st.integers(0, len(links) - 2))
    verdict = verify(links[:index] + links[index + 1 :])
    assert verdict == Broken(seq=index + 1, what=Fault.SEQ, expected=str(index + 1), found=str(index + 2))


def test_a_missing_start_is_found() -> None:
    links = links_of([record(n) for n in range(5)])
    assert verify(links[2:]) == Broken(seq=1, what=Fault.SEQ, expected="1", found="3")


def test_a_history_that_was_chained_again_from_the_middle_is_found() -> None:
    links = links_of([record(n) for n in range(5)])
    forged = chain([entry(record(99)), links[4].entry], links[2])
    assert isinstance(verify([*links[:3], *forged]), Intact), "only a head kept elsewhere shows this"
    assert verify([*links[:3], forged[0], links[4]]) == Broken(
        seq=5, what=Fault.PREV_HASH, expected=forged[0].hash.hex(), found=links[4].prev_hash.hex()
    )


def test_an_altered_stored_record_is_named_also_where_its_hash_is_no_hash() -> None:
    found = [stored(each) for each in links_of([record(n) for n in range(3)])]
    lie = replace(found[1], record=replace(found[1].record, body={"n": 7}))
    verdict = verify([found[0], lie, found[2]])
    assert isinstance(verdict, Broken)
    assert (verdict.seq, verdict.what, verdict.found) == (2, Fault.HASH, found[1].hash)
    verdict = verify([found[0], replace(found[1], hash="no hash"), found[2]])
    assert isinstance(verdict, Broken)
    assert verdict.seq == 2


def test_verifying_reads_one_record_at_a_time_and_no_further_than_the_first_fault() -> None:
    asked = 0

    def endless() -> Iterator[StoredRecord]:
        nonlocal asked
        links = links_of([record(n) for n in range(100)])
        links[40] = replace(links[40], hash=bytes(32))
        for each in links:
            asked += 1
            yield stored(each)
        raise AssertionError

    verdict = verify(endless())
    assert isinstance(verdict, Broken)
    assert verdict.seq == asked == 41


@settings(deadline=None)
@given(JOURNALS)
def test_the_hash_is_what_the_published_rule_says(records: list[JournalRecord]) -> None:
    head = bytes(32)
    for seq, (of, at) in enumerate(zip(records, links_of(records), strict=True), start=1):
        line = {
            "seq": seq,
            "at_ms": of.at_ms,
            "kind": of.kind.value,
            "body": dict(of.body),
            "blob": hashlib.sha256(of.blob).hexdigest(),
        }
        head = hashlib.sha256(head + rfc8785.dumps(line)).digest()
        assert at.hash == head


def test_the_first_hash_of_journal_format_1_never_changes() -> None:
    first = links_of([JournalRecord(kind=RecordKind.START, at_ms=1_700_000_000_000, body={"b": 1.0, "a": "é"})])[0]
    assert first.entry.body == '{"a":"é","b":1}'.encode()
    line = (
        b'{"at_ms":1700000000000,"blob":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",'
        b'"body":{"a":"\xc3\xa9","b":1},"kind":"start","seq":1}'
    )
    assert first.hash == hashlib.sha256(bytes(32) + line).digest()


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_of_any_size_survives_reading_and_writing_again(number: float) -> None:
    first = links_of([JournalRecord(kind=RecordKind.INPUT, at_ms=0, body={"x": number})])[0]
    found = stored(first).record.body["x"]
    assert found == number
    assert json.loads(first.entry.body, parse_int=float) == {"x": number}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b'{"n":NaN', b"\xff"])
def test_an_unreadable_body_is_reported_with_its_place(body: bytes) -> None:
    at = links_of([record(1)])[0]
    with pytest.raises(StoreError, match="record 1 "):
        stored(replace(at, entry=replace(at.entry, body=body)))


def test_an_unknown_kind_is_reported_with_its_place() -> None:
    at = links_of([record(1)])[0]
    with pytest.raises(StoreError, match=r"record 1 .*'wish'"):
        stored(replace(at, entry=replace(at.entry, kind="wish")))


def record(number: int) -> JournalRecord:
    return JournalRecord(kind=RecordKind.EVENT, at_ms=number, body={"n": number}, blob=b"packed")
