"""The engine for several processes: PostgreSQL 15 or newer through asyncpg (extra `postgres`), imported lazily."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from farmctl.errors import StoreError
from farmctl.store.connection import DEADLINE_S, LostSessionError, Session, SqlValue, SqlValues
from farmctl.store.queries import load_migrations, load_queries
from farmctl.store.reader import SqlReader
from farmctl.store.schema import NewerDatabaseError, OlderDatabaseError
from farmctl.store.servers import Servers
from farmctl.store.sqlstore import SqlStore
from farmctl.store.writer import Writer

if TYPE_CHECKING:
    import asyncpg

DIALECT = "postgres"
ROLE = "farmctl_writer"
"""What every session becomes: it may insert into the journal and read it, not change or delete."""
QUERIES = load_queries(DIALECT)
READERS = 4


Fence = tuple[str, int, str]
"""Shard, epoch and holder of a lease."""


class LeadLostError(StoreError):
    """Another process leads this site."""


class PostgresStore(SqlStore):
    """A Store that several processes share; each append waits for its turn at the end of the chain."""


class _Pooled(Session):
    """Sessions from a pool: each call by itself, or all of them on one connection between `begin` and `commit`."""

    def __init__(self, pool: asyncpg.Pool, place: str, fence: Fence | None = None) -> None:
        self._pool = pool
        self._place = place
        self._fence = fence
        self._held: Any = None
        """The connection of the open transaction."""

    @property
    @override
    def place(self) -> str:
        return self._place

    @property
    @override
    def shared(self) -> bool:
        return True

    @property
    @override
    def in_transaction(self) -> bool:
        return self._held is not None

    @override
    async def fetch(self, query: str, values: SqlValues = ()) -> list[tuple[Any, ...]]:
        if query == "begin":
            return await self._begin()
        # Where parameters have names, the caller gives them in the order of the numbers here.
        given = tuple(values.values()) if isinstance(values, Mapping) else tuple(values)
        with reported(self._place, query):
            if self._held is None:
                return [tuple(row) for row in await self._pool.fetch(QUERIES[query], *given)]
            rows = [tuple(row) for row in await self._held.fetch(QUERIES[query], *given)]
            if query == "commit":
                await self._let_go()
            return rows

    @override
    async def run_many(self, query: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        with reported(self._place, query):
            await (self._held or self._pool).executemany(QUERIES[query], rows)

    @override
    async def rollback(self) -> None:
        # A connection goes back to the pool through a reset, which rolls back; a dead one is thrown away there.
        with reported(self._place, "rollback"):
            await self._let_go()

    @override
    async def close(self) -> None:
        with reported(self._place, "close"):
            await self._pool.close()

    async def _begin(self) -> list[tuple[Any, ...]]:
        with reported(self._place, "begin"):
            self._held = await self._pool.acquire(timeout=DEADLINE_S)
            await self._held.execute(QUERIES["begin"])
            await self._held.execute(QUERIES["take_turn"])
            if self._fence is not None and not await self._held.fetch(QUERIES["holds"], *self._fence):
                raise LeadLostError(f"{self._place}: {self._fence[0]}: epoch {self._fence[1]} leads no longer")
        return []

    async def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await self._pool.release(held)


async def open_postgres(dsn: str, fence: Fence | None = None, deadline_s: float = DEADLINE_S) -> PostgresStore:
    """Migrate and open the journal in a database, `postgresql://user:password@host:port/database`.

    With a fence every transaction proves first that its lease is alive, else LeadLostError and nothing is written.

    Raises NewerDatabaseError where a newer farmctl wrote it, StoreError where the server does not answer or refuses,
    or where the extra is not installed.  Close the store to release its connections.
    """
    async with AsyncExitStack() as opening:
        place = await migrated(dsn)
        writing = await opening.enter_async_context(_closed_at_exit(dsn, place, 1, fence, deadline_s))
        reading = await opening.enter_async_context(_closed_at_exit(dsn, place, READERS, None, deadline_s))
        return PostgresStore(Writer(writing, deadline_s), SqlReader(reading), opening.pop_all())


async def open_postgres_reader(dsn: str) -> SqlReader:
    """Open the journal in a database to read; migrates nothing.

    Raises NewerDatabaseError, OlderDatabaseError where the schema is not this farmctl's, StoreError as `open_postgres`.
    """
    async with AsyncExitStack() as opening:
        with _without_the_extra(), reported("the PostgreSQL of the DSN", "connect"):
            pool = await pool_of(dsn, READERS)
        opening.push_async_callback(pool.close)
        session = _Pooled(pool, "the PostgreSQL of the DSN")
        await _check(pool)
        opening.pop_all()
        return SqlReader(session)


async def pool_of(dsn: str, size: int, deadline_s: float = DEADLINE_S) -> asyncpg.Pool:
    """Connections that have taken the role; raises what asyncpg raises, OSError, TimeoutError."""
    import asyncpg  # noqa: PLC0415 - an extra, and 60 ms of start-up for every verb

    async def become(connection: asyncpg.Connection) -> None:
        await connection.execute(f"SET ROLE {ROLE}")

    settings = {"application_name": "farmctl", "synchronous_commit": "on"}
    return await asyncpg.create_pool(
        dsn,
        connect=Servers(dsn).connect,
        min_size=0,  # asyncpg 0.32 logs a traceback a second for a floor that it cannot keep while the server is down
        max_size=size,
        init=become,
        timeout=deadline_s,
        command_timeout=deadline_s,
        server_settings=settings,
    )


async def asked(pool: asyncpg.Pool, query: str, *values: object, within_s: float) -> list[Any]:
    """Rows of a named query; raises what asyncpg raises, OSError, TimeoutError.

    A connection whose answer did not come is thrown away at once. Given back to the pool it would be waited for once
    more, as would a server that is cut off to confirm the cancel: the next question then finds no connection free.
    """
    import asyncpg  # noqa: PLC0415 - see above

    async with asyncio.timeout(within_s):
        connection = await pool.acquire()
        try:
            rows = [tuple(row) for row in await connection.fetch(QUERIES[query], *values)]
        except asyncpg.PostgresError:
            await pool.release(connection)
            raise
        except BaseException:
            connection.terminate()
            raise
        await pool.release(connection)
        return rows


async def migrated(dsn: str) -> str:
    """Bring the schema up to date, all missing migrations in one transaction or none; where it is, for errors."""
    with _without_the_extra(), reported("the PostgreSQL of the DSN", "connect"):
        connection = await Servers(dsn).connect(timeout=DEADLINE_S, command_timeout=DEADLINE_S)
    try:
        host, port = connection._addr if isinstance(connection._addr, tuple) else (connection._addr, 0)  # noqa: SLF001 - no public way
        name = await connection.fetchval("SELECT current_database()")
        place = f"postgresql://{host}:{port}/{name}"
        with reported(place, "migrate"):
            await _migrate(connection, place)
        return place
    finally:
        await connection.close()


async def _migrate(connection: asyncpg.Connection, place: str) -> None:
    steps = load_migrations(DIALECT)
    exists = await connection.fetchval("SELECT to_regclass('schema_version') IS NOT NULL")
    if exists and await connection.fetchval(QUERIES["schema_version"]) == len(steps):
        return
    async with connection.transaction():
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL)"
        )
        await connection.execute("LOCK TABLE schema_version IN EXCLUSIVE MODE")
        version = int(await connection.fetchval(QUERIES["schema_version"]))
        if version > len(steps):
            raise NewerDatabaseError(f"{place} has schema {version}, this farmctl knows {len(steps)}: upgrade farmctl")
        for step in steps[version:]:
            await connection.execute(step.sql)
            await connection.execute(QUERIES["add_schema_version"], step.version, step.name)


async def _check(pool: asyncpg.Pool) -> None:
    known = len(load_migrations(DIALECT))
    with reported("the PostgreSQL of the DSN", "schema_version"):
        there = await pool.fetchval("SELECT to_regclass('schema_version') IS NOT NULL")
        version = int(await pool.fetchval(QUERIES["schema_version"])) if there else 0
    if version > known:
        raise NewerDatabaseError(f"the database has schema {version}, this farmctl knows {known}: upgrade farmctl")
    if version < known:
        raise OlderDatabaseError(
            f"the database has schema {version}, expected {known}: farmctl store migrate, or start the controller once"
        )


@contextmanager
def _without_the_extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise StoreError("PostgreSQL needs the extra: pip install 'farmctl[postgres]'") from error


@asynccontextmanager
async def _closed_at_exit(
    dsn: str, place: str, size: int, fence: Fence | None, deadline_s: float
) -> AsyncIterator[_Pooled]:
    with reported(place, "connect"):
        session = _Pooled(await pool_of(dsn, size, deadline_s), place, fence)
    try:
        yield session
    finally:
        await session.close()


@contextmanager
def reported(place: str, doing: str) -> Iterator[None]:
    """Turn what asyncpg raises into StoreError, and into LostSessionError where the server went away."""
    import asyncpg  # noqa: PLC0415 - see above

    lost = (
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,  # shut down under us, or restarting
        asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary that was demoted
        asyncpg.TargetServerAttributeNotMatched,  # all of them stand by: nobody was promoted yet
        TimeoutError,
        OSError,
    )
    try:
        yield
    except lost as error:
        raise LostSessionError(f"{place}: {doing} failed: the server went away: {error}") from error
    except asyncpg.PostgresError as error:
        raise StoreError(f"{place}: {doing} failed: {error} ({type(error).__name__})") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError, OverflowError) as error:
        kind = LostSessionError if "connection" in str(error) and "closed" in str(error) else StoreError
        raise kind(f"{place}: {doing} failed: {error}") from error
