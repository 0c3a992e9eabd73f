"""The time without a database: a local journal stands in, and is merged once, whole and in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks._postgresql import Cluster
from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store import standin
from farmctl.store.journal import Intact
from farmctl.store.postgres import open_postgres
from farmctl.store.sqlite import open_sqlite
from farmctl.store.standin import StandIn


def event(n: int) -> JournalRecord:
    return JournalRecord(kind=RecordKind.EVENT, at_ms=n, body={"n": n})


def is_away(store: StandIn) -> bool:
    return store.away  # a call: the type checker believes that a property stays as it was


async def numbers(store: StandIn) -> list[object]:
    return [each.record.body.get("n", each.record.body.get("what")) async for each in store.records()]


async def test_what_was_written_while_the_database_was_gone_is_merged_once_and_in_order(
    tmp_path: Path, cluster: Cluster, dsn: str
) -> None:
    database = await open_postgres(dsn, deadline_s=5.0)
    local = await open_sqlite(tmp_path / "local.db")
    store = StandIn(database, local, "one", lambda: 99)
    await store.append([event(1)])
    await asyncio.to_thread(cluster.stop)
    try:
        await store.append([event(2)], {"desk": b"stopped"})
        assert is_away(store)
        assert await store.state("desk") == b"stopped", "what was ordered meanwhile holds meanwhile"
        await store.append([event(3)])
    finally:
        await asyncio.to_thread(cluster.start)
    async with asyncio.timeout(60):
        number = 4
        while is_away(store):
            await asyncio.sleep(standin.AGAIN_S)
            await store.append([event(number)])
            number += 1
    found = await numbers(store)
    assert found[:4] == [1, "merged", 2, 3]
    assert [n for n in found if isinstance(n, int)] == list(range(1, number)), "nothing twice, nothing lost"
    assert isinstance(await database.verify(), Intact)
    assert await database.state("desk") == b"stopped"
    again = StandIn(database, local, "one", lambda: 100)
    assert await again.settle() == 0, "a second merge has nothing to do"
    await local.close()
    await database.close()


async def test_a_local_journal_that_a_killed_process_left_is_merged_without_what_is_there_already(
    tmp_path: Path, dsn: str
) -> None:
    database = await open_postgres(dsn)
    local = await open_sqlite(tmp_path / "local.db")
    await database.append([event(1)])
    await local.append([event(1), event(2)], {standin.ANCHOR_STATE: b"0"})
    store = StandIn(database, local, "one", lambda: 99)
    assert await store.settle() == 1
    assert await numbers(store) == [1, "merged", 2]
    await local.close()
    await database.close()
