"""What only the SQLite engine can do wrong: ownership, schema, groups, cancellation, damaged files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from farmctl.errors import AskHumanError, StoreError
from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store.connection import Connection, connect_writer
from farmctl.store.journal import Broken, Fault, Intact
from farmctl.store.owner import OwnedElsewhereError
from farmctl.store.queries import Migration, load_migrations, named
from farmctl.store.schema import NewerDatabaseError, OlderDatabaseError, migrate
from farmctl.store.sqlite import SqliteStore, open_reader, open_sqlite

ROOT = Path(__file__).parents[2]


def record(number: int, *, blob: bytes = b"") -> JournalRecord:
    return JournalRecord(kind=RecordKind.EVENT, at_ms=number, body={"n": number}, blob=blob)


def tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("DROP TRIGGER IF EXISTS journal_keeps_what_was_written")
        raw.execute("DROP TRIGGER IF EXISTS journal_forgets_nothing")
        for statement in statements:
            raw.execute(statement)


async def filled(path: Path, count: int) -> None:
    store = await open_sqlite(path)
    await store.append([record(n, blob=b"packed") for n in range(1, count + 1)], {"memory": b"kept"})
    await store.close()


async def run_python(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, str(path)]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )


async def test_a_reopened_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "a journal? 100%#.db"
    await filled(path, 3)
    store = await open_sqlite(path)
    last = await store.append([record(4)])
    assert last is not None
    assert last.seq == 4
    assert await store.verify() == Intact(count=4, head=last.hash)
    assert await store.state("memory") == b"kept"
    await store.close()


def file_of(store: SqliteStore) -> Connection:
    connection = store._writer._connection
    assert isinstance(connection, Connection)
    return connection


async def test_commits_are_synced_to_the_disk_and_logged_ahead(sqlite: SqliteStore) -> None:
    connection = file_of(sqlite)
    assert await connection.run("PRAGMA journal_mode", doing="test") == [("wal",)]
    assert await connection.run("PRAGMA synchronous", doing="test") == [(2,)]
    assert await connection.run("PRAGMA foreign_keys", doing="test") == [(1,)]
    assert await connection.run("PRAGMA busy_timeout", doing="test") == [(5000,)]


async def test_waiting_callers_share_a_transaction(sqlite: SqliteStore) -> None:
    statements: list[str] = []
    await file_of(sqlite)._connection.set_trace_callback(statements.append)
    async with asyncio.TaskGroup() as group:
        for n in range(40):
            group.create_task(sqlite.append([record(n)], {"memory": b"%d" % n}))
    assert statements.count("BEGIN IMMEDIATE;") == statements.count("COMMIT;") <= 2
    assert await sqlite.state("memory") == b"39"
    assert isinstance(await sqlite.verify(), Intact)


async def test_one_oversized_record_does_not_cost_its_neighbours_theirs(sqlite: SqliteStore) -> None:
    raw: Any = file_of(sqlite)._connection
    await raw._execute(raw._conn.setlimit, sqlite3.SQLITE_LIMIT_LENGTH, 5_000)
    calls = [sqlite.append([record(n, blob=bytes(9_000 if n == 3 else 10))]) for n in range(6)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, StoreError)] == [3]
    assert [each.record.body["n"] async for each in sqlite.records()] == [0, 1, 2, 4, 5]
    assert isinstance(await sqlite.verify(), Intact)


@pytest.mark.parametrize("size", [1, 300])
async def test_a_cancelled_append_leaves_memory_and_file_of_one_mind(sqlite: SqliteStore, size: int) -> None:
    cancelled = 0
    for steps in range(30):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(sqlite.append([record(n) for n in range(size)]))
            for step in range(steps):
                await asyncio.sleep(0 if step % 2 else 0.0002)
            task.cancel()
        cancelled += task.cancelled()
        last = await sqlite.append([record(steps)])
        assert last is not None
        assert last == await sqlite.head()
        assert (last.seq - steps - 1) % size == 0, "a call is there whole or not at all"
        assert await sqlite.verify() == Intact(count=last.seq, head=last.hash)
    assert cancelled > 0


async def test_a_full_database_is_a_store_error_and_appends_go_on_when_there_is_room_again(
    sqlite: SqliteStore,
) -> None:
    await sqlite.append([record(1)])
    connection = file_of(sqlite)
    pages = (await connection.run("PRAGMA page_count", doing="test"))[0][0]
    await connection.run(f"PRAGMA max_page_count = {pages}", doing="test")
    with pytest.raises(StoreError, match=r"journal\.db: .*SQLITE_FULL"):
        await sqlite.append([record(2, blob=bytes(200_000))], {"memory": b"never"})
    assert await sqlite.state("memory") is None
    await connection.run("PRAGMA max_page_count = 1000000", doing="test")
    last = await sqlite.append([record(3, blob=bytes(200_000))])
    assert last is not None
    assert await sqlite.verify() == Intact(count=2, head=last.hash)
    assert [each.record.body["n"] async for each in sqlite.records()] == [1, 3]


async def test_a_locked_database_is_a_store_error_and_appends_go_on_afterwards(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await file_of(sqlite).run("PRAGMA busy_timeout = 20", doing="test")
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="SQLITE_BUSY"):
            await sqlite.append([record(1)])
        other.execute("ROLLBACK")
    last = await sqlite.append([record(2)])
    assert last is not None
    assert last.seq == 1


async def test_calls_under_way_are_finished_by_close(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "journal.db")
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(store.append([record(n)])) for n in range(20)]
        await asyncio.sleep(0)
        await store.close()
    assert all(call.result() is not None for call in calls)
    reader = await open_reader(tmp_path / "journal.db")
    assert isinstance(verdict := await reader.verify(), Intact)
    assert verdict.count == 20
    await reader.close()


async def test_the_journal_table_refuses_to_be_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await filled(path, 2)
    with closing(sqlite3.connect(path)) as raw:
        for statement in ("UPDATE journal SET at_ms = 0", "DELETE FROM journal"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)


TAMPERING = [
    ("UPDATE journal SET body = replace(body, '70', '71') WHERE seq = 70", 70, Fault.HASH),
    ("UPDATE journal SET body = body || ' ' WHERE seq = 70", 70, Fault.HASH),
    ("UPDATE journal SET body = CAST(x'7bff' AS TEXT) WHERE seq = 70", 70, Fault.HASH),
    ("UPDATE journal SET kind = 'wish' WHERE seq = 70", 70, Fault.HASH),
    ("UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 150", 150, Fault.HASH),
    ("UPDATE journal SET blob = x'00' WHERE seq = 1", 1, Fault.HASH),
    ("UPDATE journal SET prev_hash = hash WHERE seq = 2", 2, Fault.PREV_HASH),
    ("UPDATE journal SET seq = -5 WHERE seq = 3", 1, Fault.SEQ),
    ("UPDATE journal SET seq = 900 WHERE seq = 3", 3, Fault.SEQ),
    ("DELETE FROM journal WHERE seq = 64", 64, Fault.SEQ),
    ("DELETE FROM journal WHERE seq < 10", 1, Fault.SEQ),
]


@pytest.mark.parametrize(("statement", "place", "what"), TAMPERING)
async def test_a_row_altered_in_the_file_is_found_and_named(
    tmp_path: Path, statement: str, place: int, what: Fault
) -> None:
    path = tmp_path / "journal.db"
    await filled(path, 150)
    tamper(path, statement)
    reader = await open_reader(path)
    verdict = await reader.verify()
    await reader.close()
    assert isinstance(verdict, Broken)
    assert (verdict.seq, verdict.what) == (place, what)


@pytest.mark.parametrize("opening", ["open_sqlite", "open_reader"])
async def test_a_crash_past_an_unclosed_store_ends_the_process(tmp_path: Path, opening: str) -> None:
    await filled(tmp_path / "journal.db", 1)
    done = await run_python(
        f"""
import asyncio, pathlib, sys
from farmctl.store.sqlite import {opening}
async def main():
    store = await {opening}(pathlib.Path(sys.argv[1]))
    raise SystemExit(7)
asyncio.run(main())
""",
        tmp_path / "journal.db",
    )
    assert done.returncode == 7


async def test_a_second_writer_is_told_who_holds_the_file(sqlite: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(OwnedElsewhereError, match=f"journal.db .*process {os.getpid()}"):
        await open_sqlite(tmp_path / "journal.db")
    code = (
        "import asyncio, pathlib, sys; from farmctl.store.sqlite import open_sqlite\n"
        "asyncio.run(open_sqlite(pathlib.Path(sys.argv[1])))"
    )
    done = await run_python(code, tmp_path / "journal.db")
    assert done.returncode == 1
    assert f"process {os.getpid()}" in done.stderr
    assert await sqlite.append([record(1)]) is not None


async def test_a_released_file_can_be_owned_again(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        store = await open_sqlite(tmp_path / "journal.db")
        last = await store.append([record(expected)])
        assert last is not None
        assert last.seq == expected
        await store.close()


async def test_a_reader_works_beside_the_writer_and_sees_what_was_committed(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    reader = await open_reader(tmp_path / "journal.db")
    assert await reader.head() is None
    last = await sqlite.append([record(1)], {"memory": b"x"})
    assert await reader.head() == last
    assert await reader.state("memory") == b"x"
    assert isinstance(await reader.verify(), Intact)
    await reader.close()


async def test_reading_goes_on_while_a_write_is_open(sqlite: SqliteStore, tmp_path: Path) -> None:
    await sqlite.append([record(1)])
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        head = await sqlite.head()
        assert head is not None
        assert head.seq == 1
        other.execute("ROLLBACK")


async def test_a_reader_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no journal here"):
        await open_reader(tmp_path / "journal.db")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib's way is refused in coroutines


async def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await filled(path, 1)
    tamper(path, "INSERT INTO schema_version VALUES (900, 'from the future')")
    for opening in (open_sqlite, open_reader):
        with pytest.raises(NewerDatabaseError, match=r"schema 900.*knows \d+") as refusal:
            await opening(path)
        assert isinstance(refusal.value, AskHumanError)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM journal").fetchone() == (1,)


async def test_an_older_database_is_migrated_by_the_writer_and_refused_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connection = await connect_writer(path)
    await migrate(connection, load_migrations()[:1])
    await connection.close()
    with pytest.raises(OlderDatabaseError, match="schema 1, expected"):
        await open_reader(path)
    store = await open_sqlite(path)
    assert await store.inventory() == ()
    await store.close()


async def test_a_failing_migration_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    steps = (
        *load_migrations(),
        Migration(version=len(load_migrations()) + 1, name="bad", sql="CREATE TABLE t (x);\nCREATE TABLE t (x);\n"),
    )
    connection = await connect_writer(tmp_path / "journal.db")
    with pytest.raises(StoreError, match="_bad failed: table t already exists"):
        await migrate(connection, steps)
    assert await connection.run("SELECT name FROM sqlite_schema", doing="test") == []
    await connection.close()


async def test_a_file_that_is_no_database_is_a_store_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match=r"journal\.db.*not a database"):
        await open_sqlite(path)
    with pytest.raises(StoreError, match=r"missing"):
        await open_sqlite(tmp_path / "missing" / "journal.db")


def test_named_blocks_are_read_by_name_and_a_name_used_twice_is_refused() -> None:
    text = "-- name: one\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n"
    assert named(text) == {"one": "SELECT 1;", "two": "SELECT\n  2;"}
    with pytest.raises(ValueError, match="twice"):
        named(text + "-- name: one\nSELECT 3;\n")


def test_a_migration_is_split_at_its_statements_not_at_every_semicolon() -> None:
    def split(sql: str) -> Iterator[str]:
        return Migration(version=1, name="x", sql=sql).statements()

    trigger = "CREATE TRIGGER t BEFORE DELETE ON a\nBEGIN\n  SELECT 1;\n  SELECT 2;\nEND;"
    assert list(split(f"CREATE TABLE a (x);\n{trigger}\n")) == ["CREATE TABLE a (x);", trigger]
    with pytest.raises(ValueError, match="no end"):
        list(split("CREATE TABLE a (x)\n"))
