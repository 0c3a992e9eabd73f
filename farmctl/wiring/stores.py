"""The store of a configuration, and the copy of the inventory that is there when the database is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from farmctl.config.credentials import read_secret
from farmctl.config.schema import FarmConfig
from farmctl.errors import StoreError
from farmctl.ports.store import InventoryRow
from farmctl.store.places import Database, Place, open_reader, open_store
from farmctl.store.sqlite import open_sqlite

JOURNAL = "journal.db"
COPY = "inventory.db"
ANSWER_S = 5.0
"""Longest wait for a database before the local copy is taken: who stops a site does not wait for a reconnect."""


def place_of(config: FarmConfig) -> Place:
    """Where a site's journal is. Raises SecretFileError for a DSN that cannot be read."""
    table = config.store
    if table.kind == "postgres" and table.dsn_file is not None:
        return Database(dsn=read_secret(table.dsn_file), name=str(table.dsn_file))
    return Path(table.dir) / JOURNAL


async def known_rows(config: FarmConfig) -> tuple[InventoryRow, ...]:
    """The inventory, read without disturbing whoever writes it; the local copy where the database does not answer."""
    place = place_of(config)
    if not isinstance(place, Database):
        return await _read(place)
    try:
        async with asyncio.timeout(ANSWER_S):
            return await _read(place)
    except (StoreError, TimeoutError) as error:
        copy = Path(config.store.dir) / COPY
        try:
            return await _read(copy)
        except StoreError as second:
            why = str(error) or f"no answer within {ANSWER_S:.0f} s"
            raise StoreError(f"{why}; and no copy of the inventory: {second}") from error


async def keep_copy(config: FarmConfig, rows: tuple[InventoryRow, ...]) -> None:
    """Keep the inventory of a database beside this process, for a stop with the database dead."""
    if not isinstance(place_of(config), Database):
        return
    copy = await open_sqlite(Path(config.store.dir) / COPY)
    try:
        gone = {row.miner_id for row in await copy.inventory()} - {row.miner_id for row in rows}
        await copy.remove_inventory(sorted(gone))
        await copy.put_inventory(rows)
    finally:
        await copy.close()


async def _read(place: Place) -> tuple[InventoryRow, ...]:
    reader = await open_reader(place)
    try:
        return await reader.inventory()
    finally:
        await reader.close()


__all__ = ["COPY", "JOURNAL", "keep_copy", "known_rows", "open_reader", "open_store", "place_of"]
