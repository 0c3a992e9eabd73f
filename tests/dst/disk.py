"""A disk that outlives the controller: it may be slow or full, and says when something was durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from typing_extensions import override

from farmctl.core.model import MinerId
from farmctl.errors import StoreError
from farmctl.ports.store import InventoryRow, JournalRecord, RecordKind, Store, StoredRecord
from farmctl.store.memory import MemoryStore

WRITE_S = 0.004


class Disk:
    """What stays when a process is killed."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.is_full = False
        self.write_s = WRITE_S
        self.on_record: Callable[[JournalRecord], None] = lambda _record: None


class Handle(Store):
    """One life's way to the disk; after the kill nothing of it arrives any more."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.cut = False

    @override
    async def append(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None = None
    ) -> StoredRecord | None:
        await asyncio.sleep(self._disk.write_s / 2)
        if self.cut:
            await asyncio.Event().wait()
        if self._disk.is_full:
            raise StoreError("no space left on device")
        stored = await self._disk.store.append(records, states)
        for record in records:
            self._disk.on_record(record)
        await asyncio.sleep(self._disk.write_s / 2)
        return stored

    @override
    async def records(
        self,
        *,
        after_seq: int = 0,
        kinds: frozenset[RecordKind] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StoredRecord]:
        async for record in self._disk.store.records(after_seq=after_seq, kinds=kinds, limit=limit):
            yield record

    @override
    async def head(self) -> StoredRecord | None:
        return await self._disk.store.head()

    @override
    async def state(self, name: str) -> bytes | None:
        return await self._disk.store.state(name)

    @override
    async def inventory(self) -> tuple[InventoryRow, ...]:
        return await self._disk.store.inventory()

    @override
    async def put_inventory(self, rows: Sequence[InventoryRow]) -> None:
        await self._disk.store.put_inventory(rows)

    @override
    async def remove_inventory(self, miners: Sequence[MinerId]) -> None:
        await self._disk.store.remove_inventory(miners)

    @override
    async def close(self) -> None:
        """The disk stays."""
