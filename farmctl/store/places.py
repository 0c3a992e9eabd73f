"""Where a journal is, a SQLite file or a PostgreSQL database, and either of them opened to write or to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from farmctl.store import reader
from farmctl.store.postgres import open_postgres, open_postgres_reader
from farmctl.store.reader import SqlReader
from farmctl.store.sqlite import open_sqlite
from farmctl.store.sqlstore import SqlStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A PostgreSQL database."""

    dsn: str = field(repr=False)
    """`postgresql://user:password@host:port/database`: a secret."""
    name: str
    """What may be shown of it: the file that holds the DSN."""

    @override
    def __str__(self) -> str:
        return self.name


Place = Path | Database
"""A path is that of a SQLite file."""


async def open_store(place: Place) -> SqlStore:
    """Migrate and open to write, making it where there is none; raises what `open_sqlite` and `open_postgres` raise."""
    return await (open_postgres(place.dsn) if isinstance(place, Database) else open_sqlite(place))


async def open_reader(place: Place) -> SqlReader:
    """Open to read, also beside a running controller; raises StoreError where there is none or its schema is not ours.

    Close the reader to release the file or the connections.
    """
    if isinstance(place, Database):
        return await open_postgres_reader(place.dsn)
    return await reader.open_reader(place)
