"""The embedded default: one SQLite file, owned by one process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from farmctl.store import schema
from farmctl.store.connection import connect_writer
from farmctl.store.owner import Ownership
from farmctl.store.reader import SqliteReader, open_reader
from farmctl.store.sqlstore import SqlStore
from farmctl.store.writer import Writer

__all__ = ["SqliteReader", "SqliteStore", "open_reader", "open_sqlite"]


class SqliteStore(SqlStore):
    """A Store in one file."""


async def open_sqlite(path: Path) -> SqliteStore:
    """Own, migrate and open a journal file, creating it where there is none.

    Raises OwnedElsewhereError where another process writes it, NewerDatabaseError where a newer farmctl wrote it,
    StoreError where the disk or the file is not fit.  Close the store to release the file.
    """
    async with AsyncExitStack() as opening:
        opening.callback(Ownership.take(path).release)
        connection = await connect_writer(path)
        opening.push_async_callback(connection.close)
        await schema.migrate(connection)
        reader = await open_reader(path)
        opening.push_async_callback(reader.close)
        return SqliteStore(Writer(connection), reader, opening.pop_all())
