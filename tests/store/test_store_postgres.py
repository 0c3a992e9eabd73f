"""What only PostgreSQL promises: processes sharing one chain, a journal nobody may rewrite, a server that dies."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from benchmarks._postgresql import Cluster, binaries, running
from farmctl.core.model import MinerId
from farmctl.errors import StoreError
from farmctl.ports.store import InventoryRow, JournalRecord, RecordKind
from farmctl.store.copying import NotACopyError, copy
from farmctl.store.journal import Intact
from farmctl.store.postgres import ROLE, open_postgres
from farmctl.store.sqlite import open_sqlite


def record(number: int) -> JournalRecord:
    return JournalRecord(kind=RecordKind.EVENT, at_ms=number, body={"n": number, "x": 0.1 * number}, blob=b"\x00\xff")


async def test_two_controllers_append_to_one_chain(dsn: str) -> None:
    one, other = await open_postgres(dsn), await open_postgres(dsn)
    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task((one, other)[number % 2].append([record(number), record(number)]))
    assert await one.head() == await other.head()
    verdict = await one.verify()
    assert isinstance(verdict, Intact)
    assert verdict.count == 80
    await one.close()
    await other.close()


@pytest.mark.parametrize("wish", ["UPDATE journal SET at_ms = 1", "DELETE FROM journal", "TRUNCATE journal"])
async def test_the_journal_takes_no_change_from_its_role_nor_from_its_owner(dsn: str, wish: str) -> None:
    store = await open_postgres(dsn)
    await store.append([record(1)])
    owner = await asyncpg.connect(dsn)
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await owner.execute(wish)
    await owner.execute(f"SET ROLE {ROLE}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute(wish)
    await owner.close()
    assert isinstance(await store.verify(), Intact)
    await store.close()


async def test_a_server_that_is_killed_loses_nothing_it_acknowledged_and_the_store_goes_on_by_itself() -> None:
    if (programs := binaries()) is None:
        pytest.skip("no PostgreSQL here")
    with running(programs) as cluster:
        store = await open_postgres(cluster.dsn())
        last = await store.append([record(1)])
        await asyncio.to_thread(cluster.stop)
        with pytest.raises(StoreError, match="went away"):
            await store.append([record(2)])
        await asyncio.to_thread(cluster.start)
        assert await store.head() == last
        after = await store.append([record(3)])
        assert after is not None
        assert after.seq == 2
        await store.close()


def test_the_password_of_the_database_is_in_no_error(cluster: Cluster) -> None:
    wrong = f"postgresql://nobody:hunter2@127.0.0.1:{cluster.port}/nowhere"
    with pytest.raises(StoreError) as raised:
        asyncio.run(open_postgres(wrong))
    assert "hunter2" not in str(raised.value)


async def test_a_copy_has_the_last_hash_of_its_source_and_comes_back_the_same(dsn: str, tmp_path: Path) -> None:
    source, there = await open_sqlite(tmp_path / "journal.db"), await open_postgres(dsn)
    await source.append([record(n) for n in range(150)], {"memory": b"\x00m"})
    await source.put_inventory([InventoryRow(miner_id=MinerId("aa"), host="10.0.0.1", ports={}, driver="whatsminer")])
    first = await copy(source, there)
    assert (first.records, first.states, first.miners) == (150, 1, 1)
    await source.append([record(200)])
    assert (await copy(source, there)).records == 1
    back = await open_sqlite(tmp_path / "back.db")
    assert (await copy(there, back)).records == 151
    assert await back.head() == await source.head()
    assert (await back.state("memory"), await back.inventory()) == (b"\x00m", await source.inventory())
    await back.append([record(1)])
    await source.append([record(2)])
    with pytest.raises(NotACopyError, match="record 152"):
        await copy(source, back)
    for each in (source, there, back):
        await each.close()


def test_the_verb_copies_and_tells_what_came_over(dsn: str, tmp_path: Path) -> None:
    async def filled() -> None:
        store = await open_sqlite(tmp_path / "journal.db")
        await store.append([record(1), record(2)])
        await store.close()

    asyncio.run(filled())
    secret = tmp_path / "dsn"
    secret.write_text(dsn)
    secret.chmod(stat.S_IRUSR)
    command = [sys.executable, "-m", "farmctl", "store", "copy", f"sqlite:{tmp_path / 'journal.db'}"]
    done = subprocess.run(
        [*command, f"postgres:{secret}", "-o", "json"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 2


async def test_an_owner_without_the_right_to_make_roles_migrates_where_the_administrator_made_them(dsn: str) -> None:
    administrator = await asyncpg.connect(dsn)
    await administrator.execute(
        f"DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        f"DROP ROLE IF EXISTS lone_owner, lone_worker; CREATE ROLE lone_owner LOGIN IN ROLE {ROLE};"
        f"CREATE ROLE lone_worker LOGIN IN ROLE {ROLE}; CREATE SCHEMA lone AUTHORIZATION lone_owner"
    )
    place = dsn.partition("?")[0].partition("@")[2]
    owner = await open_postgres(f"postgresql://lone_owner@{place}?search_path=lone")
    worker = await open_postgres(f"postgresql://lone_worker@{place}?search_path=lone")
    try:
        assert await worker.append([record(1)]) == await owner.head(), "the worker's login needs no more than the role"
    finally:
        await owner.close()
        await worker.close()
        await administrator.execute("DROP SCHEMA lone CASCADE; DROP ROLE lone_owner, lone_worker")
        await administrator.close()
