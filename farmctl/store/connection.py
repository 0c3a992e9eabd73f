"""What a store says to its engine, and the aiosqlite connection that takes it: named queries, errors in StoreError."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import aiosqlite
from typing_extensions import override

from farmctl.errors import StoreError
from farmctl.store.queries import QUERIES

DEADLINE_S = 30.0  # a disk that took longer is a failed disk; SQLite's own wait for a lock ends well before
BUSY_MS = 5_000  # a backup tool may hold the file's lock for a moment; SQLite waits this long for it
CACHE_KIB = 512  # a connection's own pages: the kernel keeps them too, and SQLite's 2 MiB each fill over half an hour
WAL_LIMIT_BYTES = 64 * 2**20  # after a burst the WAL file is cut back to this

SqlValue = None | int | float | str | bytes
SqlValues = Sequence[SqlValue] | Mapping[str, SqlValue]


class LostSessionError(StoreError):
    """The engine went away in the middle: what was being committed may be there, so it is never tried again unasked."""


class Session(Protocol):
    """One connection to an engine, as the writer and the reader need it; every method raises StoreError."""

    @property
    def place(self) -> str:
        """Where the store is, for errors: a file, or a server and a database without the password."""
        ...

    @property
    def shared(self) -> bool:
        """True where other processes append to the same journal, so that the head in memory may be behind."""
        ...

    @property
    def in_transaction(self) -> bool:
        """True between begin and commit, also after a failure."""
        ...

    async def fetch(self, query: str, values: SqlValues = ()) -> list[tuple[Any, ...]]:
        """All rows of a named query."""
        ...

    async def run_many(self, query: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        """A named query once per row."""
        ...

    async def rollback(self) -> None:
        """End a transaction without a trace."""
        ...

    async def close(self) -> None:
        """Finish what is queued and let go."""
        ...


class Connection(Session):
    """One connection: autocommit, named queries, errors that say what failed and where."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @property
    @override
    def place(self) -> str:
        return str(self.path)

    @property
    @override
    def shared(self) -> bool:
        return False

    @property
    @override
    def in_transaction(self) -> bool:
        """True between begin and commit, also after a failure that SQLite did not roll back."""
        with reported(self.path, "transaction"):
            return self._connection.in_transaction

    @override
    async def fetch(self, query: str, values: SqlValues = ()) -> list[tuple[Any, ...]]:
        """All rows of a named query."""
        return await self.run(QUERIES[query], values, doing=query)

    async def run(self, sql: str, values: SqlValues = (), *, doing: str) -> list[tuple[Any, ...]]:
        """All rows of a statement that has no name; `doing` stands in the error."""
        with reported(self.path, doing):
            # The stub asks for a sequence; sqlite3 takes a mapping for :named parameters as well.
            named: Any = values
            return [tuple(row) for row in await self._connection.execute_fetchall(sql, named)]

    @override
    async def run_many(self, query: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        """A named query once per row."""
        with reported(self.path, query):
            async with self._connection.executemany(QUERIES[query], rows):
                pass

    @override
    async def rollback(self) -> None:
        """End a transaction without a trace."""
        with reported(self.path, "rollback"):
            await self._connection.rollback()

    @override
    async def close(self) -> None:
        """Finish what is queued and let go of the file."""
        with reported(self.path, "close"):
            await self._connection.close()


async def connect_writer(path: Path) -> Connection:
    """Open or create the file for writing: WAL, every commit on the disk before it is acknowledged."""
    connection = await _connect(path, mode="rwc")
    try:
        _must_be_wal(path, await connection.run("PRAGMA journal_mode = WAL", doing="set WAL mode"))
        for pragma in ("synchronous = FULL", f"journal_size_limit = {WAL_LIMIT_BYTES}"):
            await connection.run(f"PRAGMA {pragma}", doing=pragma)
    except BaseException:
        await connection.close()
        raise
    return connection


async def connect_reader(path: Path) -> Connection:
    """Open an existing file to read, beside a writer in this or another process."""
    if not await asyncio.to_thread(path.is_file):
        raise StoreError(f"{path}: there is no journal here")
    return await _connect(path, mode="ro")


@contextmanager
def reported(path: Path | str, doing: str) -> Iterator[None]:
    """Turn what sqlite3 and aiosqlite raise into StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        if code == "SQLITE_NOTADB":
            raise StoreError(f"{path}: expected a journal of farmctl, this is not a database of SQLite") from error
        raise StoreError(f"{path}: {doing} failed: {error} ({code})") from error
    except (ValueError, OverflowError) as error:  # aiosqlite on a closed connection; a value SQLite cannot hold
        raise StoreError(f"{path}: {doing} failed: {error}") from error
    except TimeoutError as error:
        raise StoreError(f"{path}: {doing} got no answer from the disk in {DEADLINE_S:.0f} s") from error


def _must_be_wal(path: Path, mode: list[tuple[Any, ...]]) -> None:
    if mode != [("wal",)]:
        raise StoreError(f"{path}: WAL mode is not possible here (got {mode}): expected a local disk")


async def _connect(path: Path, *, mode: str) -> Connection:
    uri = f"file:{quote(str(path))}?mode={mode}"
    raw = aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=BUSY_MS / 1000)
    # aiosqlite 0.22 joins its thread at exit: a crash past an unclosed store would hang instead of being restarted.
    # Dying with the process is what the journal is made for.
    raw._thread.daemon = True  # noqa: SLF001 - no public way
    with reported(path, "open"):
        async with asyncio.timeout(DEADLINE_S):
            await raw
    connection = Connection(raw, path)
    try:
        await connection.run("PRAGMA foreign_keys = ON", doing="foreign_keys")
        await connection.run(f"PRAGMA busy_timeout = {BUSY_MS}", doing="busy_timeout")
        await connection.run(f"PRAGMA cache_size = -{CACHE_KIB}", doing="cache_size")
    except BaseException:
        await connection.close()
        raise
    return connection
