"""The version of a database file: migrate a writer's, check a reader's."""

from __future__ import annotations

from collections.abc import Sequence

from farmctl.errors import StoreError
from farmctl.store.connection import Connection
from farmctl.store.queries import Migration, load_migrations


class NewerDatabaseError(StoreError):
    """The database was written by a newer farmctl."""


class OlderDatabaseError(StoreError):
    """The database must be migrated by a writer before it can be read."""


async def migrate(connection: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Bring the schema up to date: all missing migrations in one transaction, or none.

    Raises NewerDatabaseError and leaves the file alone where it is ahead of this program.
    """
    steps = load_migrations() if migrations is None else migrations
    if await _version(connection) == len(steps):
        return
    await connection.fetch("begin")
    try:
        await connection.fetch("create_schema_version")
        version = await _version(connection)
        _refuse_newer(connection, version, len(steps))
        for step in steps[version:]:
            for statement in step.statements():
                await connection.run(statement, doing=f"migration {step.version:04}_{step.name}")
            await connection.fetch("add_schema_version", (step.version, step.name))
        await connection.fetch("commit")
    except BaseException:
        if connection.in_transaction:
            await connection.rollback()
        raise


async def check(connection: Connection) -> None:
    """Refuse a schema that this program cannot read; raises NewerDatabaseError, OlderDatabaseError."""
    known = len(load_migrations())
    version = await _version(connection)
    _refuse_newer(connection, version, known)
    if version < known:
        raise OlderDatabaseError(
            f"{connection.path} has schema {version}, expected {known}: start the controller once, it migrates the file"
        )


async def _version(connection: Connection) -> int:
    if await connection.fetch("has_schema_version") == [(0,)]:
        return 0
    rows = await connection.fetch("schema_version")
    return int(rows[0][0])


def _refuse_newer(connection: Connection, version: int, known: int) -> None:
    if version > known:
        raise NewerDatabaseError(
            f"{connection.path} has schema {version}, this farmctl knows {known}: upgrade farmctl, or use another path"
        )
