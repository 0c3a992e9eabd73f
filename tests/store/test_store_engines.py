"""What every storage engine promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import MappingProxyType

import pytest

from farmctl.core.model import MinerId
from farmctl.errors import StoreError
from farmctl.ports.store import InventoryRow, JournalRecord, JsonValue, RecordKind, StoredRecord
from farmctl.store.journal import Intact, verify
from farmctl.store.memory import MemoryStore
from farmctl.store.sqlstore import SqlStore

Engine = MemoryStore | SqlStore


def record(number: int, kind: RecordKind = RecordKind.EVENT, *, blob: bytes = b"") -> JournalRecord:
    return JournalRecord(kind=kind, at_ms=1_700_000_000_000 + number, body={"n": number}, blob=blob)


def miner(name: str, *, model: str = "", owner: str = "") -> InventoryRow:
    ports = {"api": 4028}
    return InventoryRow(
        miner_id=MinerId(name), host="10.0.0.1", ports=ports, driver="whatsminer", model=model, owner=owner
    )


async def all_of(records: AsyncIterator[StoredRecord]) -> list[StoredRecord]:
    return [each async for each in records]


async def numbers(records: AsyncIterator[StoredRecord]) -> list[JsonValue]:
    return [each.record.body["n"] async for each in records]


async def test_an_empty_store_has_no_head_no_records_and_an_intact_chain(store: Engine) -> None:
    assert await store.head() is None
    assert await all_of(store.records()) == []
    assert await store.state("memory") is None
    assert await store.inventory() == ()
    assert await store.verify() == Intact(count=0, head="00" * 32)


async def test_records_come_back_in_order_and_chained(store: Engine) -> None:
    last = await store.append([record(1, blob=b"\x00\xff"), record(2)])
    assert await store.append([record(3, RecordKind.ALARM)]) == await store.head()
    found = await all_of(store.records())
    assert [each.record for each in found] == [record(1, blob=b"\x00\xff"), record(2), record(3, RecordKind.ALARM)]
    assert [each.seq for each in found] == [1, 2, 3]
    assert last == found[1]
    assert [each.prev_hash for each in found[1:]] == [each.hash for each in found[:-1]]
    assert verify(found) == await store.verify() == Intact(count=3, head=found[-1].hash)


async def test_both_engines_make_the_same_chain(store: Engine) -> None:
    twin = MemoryStore()
    batches = [[record(1)], [record(2, RecordKind.SIGNAL, blob=b"raw"), record(3)]]
    for batch in batches:
        assert await store.append(batch) == await twin.append(batch)


async def test_nothing_to_append_changes_nothing(store: Engine) -> None:
    assert await store.append([]) is None
    assert await store.append([], {}) is None
    assert await store.head() is None


async def test_records_can_be_filtered_and_limited(store: Engine) -> None:
    kinds = [RecordKind.SIGNAL, RecordKind.FATE, RecordKind.ALARM]
    await store.append([record(n, kinds[n % 3]) for n in range(1, 301)])
    fates = frozenset({RecordKind.FATE})
    assert await numbers(store.records(after_seq=297)) == [298, 299, 300]
    assert await numbers(store.records(limit=2)) == [1, 2]
    assert await numbers(store.records(limit=0)) == []
    assert await numbers(store.records(after_seq=300)) == []
    assert await numbers(store.records(after_seq=1000)) == []
    assert await numbers(store.records(kinds=frozenset())) == []
    assert await numbers(store.records(kinds=fates)) == list(range(1, 301, 3))
    assert await numbers(store.records(kinds=fates, after_seq=1, limit=2)) == [4, 7]
    assert await numbers(store.records(kinds=fates | {RecordKind.ALARM}, limit=3)) == [1, 2, 4]
    assert await numbers(store.records(kinds=fates, limit=90)) == list(range(1, 269, 3))


async def test_a_reading_ends_where_the_journal_ended_when_it_began(store: Engine) -> None:
    await store.append([record(n) for n in range(1, 131)])
    seen = 0
    async for each in store.records():
        seen += 1
        await store.append([record(1000 + each.seq)])
    assert seen == 130
    assert (await store.verify()) == verify(await all_of(store.records()))


async def test_states_are_set_with_the_records_and_the_last_value_counts(store: Engine) -> None:
    await store.append([record(1)], {"memory": b"old", "cursor": b"\x00\x01"})
    assert await store.append([], {"memory": b"new", "empty": b""}) is None
    assert await store.state("memory") == b"new"
    assert await store.state("cursor") == b"\x00\x01"
    assert await store.state("empty") == b""
    assert await store.state("nobody") is None


BAD_BODIES: list[object] = [
    {"n": 2**53},
    {"n": -(2**53)},
    {"n": float("nan")},
    {"n": float("inf")},
    {"n": "\ud800"},
    {"n": b"bytes"},
    {"n": {1: "a key that is no text"}},
    {"n": object()},
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_a_record_that_json_cannot_carry_is_refused_by_name_and_takes_the_whole_call_with_it(
    store: Engine, body: dict[str, JsonValue]
) -> None:
    bad = JournalRecord(kind=RecordKind.OVERRIDE, at_ms=1, body=body)
    with pytest.raises(StoreError, match="'override'"):
        await store.append([record(1), bad], {"memory": b"never"})
    assert await store.head() is None
    assert await store.state("memory") is None
    last = await store.append([record(2)])
    assert last is not None
    assert last.seq == 1


async def test_a_time_beyond_safe_integers_is_refused(store: Engine) -> None:
    with pytest.raises(StoreError, match="at_ms"):
        await store.append([JournalRecord(kind=RecordKind.STOP, at_ms=2**53, body={})])


async def test_every_mapping_and_sequence_is_taken_and_comes_back_as_json_has_it(store: Engine) -> None:
    body: MappingProxyType[str, JsonValue] = MappingProxyType(
        {"points": (1, 2.5, None), "hash_rate_hs": 1.0, "farm_hs": 5.7e19, "tiny": 5e-324, "é\u2028": {"nested": True}}
    )
    last = await store.append([JournalRecord(kind=RecordKind.START, at_ms=0, body=body)])
    assert last is not None
    assert last.record.body == {**body, "points": [1, 2.5, None]}
    assert isinstance(last.record.body["farm_hs"], float)
    assert await all_of(store.records()) == [last]
    assert isinstance(verify([last]), Intact)


async def test_calls_at_the_same_time_share_one_chain(store: Engine) -> None:
    async def caller(name: int) -> list[StoredRecord]:
        lasts = []
        for size in (1, 3, 120):
            batch = [record(name * 1000 + n) for n in range(size)]
            last = await store.append(batch, {f"caller-{name}": str(size).encode()})
            assert last is not None
            assert last.record == batch[-1]
            lasts.append(last)
        return lasts

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caller(name)) for name in range(8)]
    found = await all_of(store.records())
    assert verify(found) == Intact(count=8 * 124, head=found[-1].hash)
    assert all(found[last.seq - 1] == last for task in tasks for last in task.result())
    assert [await store.state(f"caller-{name}") for name in range(8)] == [b"120"] * 8
    whole = [each.record.body["n"] for each in found]
    for name in range(8):
        start = len(whole) - 1 - whole[::-1].index(name * 1000)
        assert whole[start : start + 120] == [name * 1000 + n for n in range(120)]


async def test_inventory_rows_are_replaced_by_miner_id_and_sorted(store: Engine) -> None:
    full = InventoryRow(
        miner_id=MinerId("aa:02"),
        host="10.0.0.2",
        ports=MappingProxyType({"http": 80, "api": 4028}),
        driver="antminer",
        model="S21",
        firmware="2024-11",
        serial="S1",
        circuit="pdu-1",
        container="c1",
        rack="r1",
        slot="3",
        tier=2,
        protected=True,
        tags=("hydro", "новый"),
        owner="host",
    )
    await store.put_inventory([full, miner("aa:10"), miner("aa:01")])
    await store.put_inventory([miner("aa:01", model="M60S")])
    await store.put_inventory([])
    assert await store.inventory() == (miner("aa:01", model="M60S"), full, miner("aa:10"))
    await store.remove_inventory([MinerId("aa:10"), MinerId("unknown")])
    assert await store.inventory() == (miner("aa:01", model="M60S"), full)


async def test_an_inventory_row_that_no_text_column_can_hold_is_refused_with_its_call(store: Engine) -> None:
    with pytest.raises(StoreError, match="aa:02"):
        await store.put_inventory([miner("aa:01"), miner("aa:02", owner="\udcff")])
    assert await store.inventory() == ()


async def test_a_closed_store_refuses_every_call_and_closes_twice(store: Engine) -> None:
    await store.append([record(1)])
    await store.close()
    await store.close()
    for call in (store.append([record(2)]), store.put_inventory([miner("aa:01")])):
        with pytest.raises(StoreError, match="closed"):
            await call
    for read in (store.head(), store.state("memory"), store.inventory(), all_of(store.records()), store.verify()):
        with pytest.raises(StoreError):
            await read


async def test_a_large_call_keeps_its_order(store: Engine) -> None:
    batch: Sequence[JournalRecord] = [record(n, blob=bytes(n % 7)) for n in range(1500)]
    await store.append(batch)
    assert [each.record for each in await all_of(store.records())] == batch
