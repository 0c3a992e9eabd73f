"""A Store on any SQL engine: one writer that commits in groups, one reader that never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack

from typing_extensions import override

from farmctl.core.model import MinerId
from farmctl.ports.store import InventoryRow, JournalRecord, RecordKind, Store, StoredRecord
from farmctl.store import journal, layout
from farmctl.store.reader import SqlReader
from farmctl.store.writer import Statement, Writer, is_heavy


class SqlStore(Store):
    """A Store on any SQL engine.  Calls made at the same time share a commit; their order is not promised."""

    def __init__(self, writer: Writer, reader: SqlReader, resources: AsyncExitStack) -> None:
        self._writer = writer
        self._reader = reader
        self._resources = resources
        self._closed = False

    @override
    async def append(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None = None
    ) -> StoredRecord | None:
        """See Store; nothing is written where one record is not canonical."""
        heavy = is_heavy(records)
        entries = await asyncio.to_thread(_entries, records) if heavy else _entries(records)
        statements = _set_states(states)
        if not entries and not statements:
            return None
        last = await self._writer.write(entries, statements)
        return None if last is None else journal.stored(last)

    @override
    def records(
        self,
        *,
        after_seq: int = 0,
        kinds: frozenset[RecordKind] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StoredRecord]:
        """See Store; ends at the record that was last when the reading began."""
        return self._reader.records(after_seq=after_seq, kinds=kinds, limit=limit)

    @override
    async def head(self) -> StoredRecord | None:
        """See Store."""
        return await self._reader.head()

    @override
    async def state(self, name: str) -> bytes | None:
        """See Store."""
        return await self._reader.state(name)

    @override
    async def inventory(self) -> tuple[InventoryRow, ...]:
        """See Store."""
        return await self._reader.inventory()

    @override
    async def put_inventory(self, rows: Sequence[InventoryRow]) -> None:
        """See Store."""
        await self._write("put_inventory", [layout.inventory_values(row) for row in rows])

    @override
    async def remove_inventory(self, miners: Sequence[MinerId]) -> None:
        """See Store."""
        await self._write("remove_inventory", [(miner,) for miner in miners])

    async def verify(self) -> journal.Verdict:
        """Walk the whole chain as the engine has it."""
        return await self._reader.verify()

    async def states(self) -> Mapping[str, bytes]:
        """All named states as last set."""
        return await self._reader.states()

    def links(self, after_seq: int = 0) -> AsyncIterator[list[journal.Link]]:
        """The journal byte for byte, page by page."""
        return self._reader.links(after_seq)

    async def adopt(
        self, entries: Sequence[journal.Entry], states: Mapping[str, bytes] | None = None
    ) -> journal.Link | None:
        """Chain entries of another journal as they are, with states; the last link, to compare with the other's."""
        return await self._writer.write(entries, _set_states(states))

    @override
    async def close(self) -> None:
        """See Store; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        async with self._resources:
            await self._writer.close()

    async def _write(self, query: str, values: Sequence[Sequence[str | int]]) -> None:
        if values:
            await self._writer.write((), [Statement(query=query, rows=values)])


def _set_states(states: Mapping[str, bytes] | None) -> list[Statement]:
    values = [(name, bytes(value)) for name, value in (states or {}).items()]
    return [Statement(query="set_state", rows=values)] if values else []


def _entries(records: Sequence[JournalRecord]) -> list[journal.Entry]:
    return [journal.entry(record) for record in records]
