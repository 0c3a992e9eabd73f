"""The in-memory twin of the SQLite store: for virtual time, dry runs and tests; forgets on exit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from typing_extensions import override

from farmctl.core.model import MinerId
from farmctl.errors import StoreError
from farmctl.ports.store import InventoryRow, JournalRecord, RecordKind, Store, StoredRecord
from farmctl.store import journal, layout


class MemoryStore(Store):
    """A Store without a file and without waiting: no thread, no clock, so it runs under leaping time."""

    def __init__(self) -> None:
        self._links: list[journal.Link] = []
        self._states: dict[str, bytes] = {}
        self._inventory: dict[str, layout.InventoryValues] = {}
        self._open = True

    @override
    async def append(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None = None
    ) -> StoredRecord | None:
        """See Store: either all of it happens or none."""
        self._must_be_open()
        entries = [journal.entry(record) for record in records]
        self._links += journal.chain(entries, self._links[-1] if self._links else None)
        self._states |= {name: bytes(value) for name, value in (states or {}).items()}
        return journal.stored(self._links[-1]) if entries else None

    @override
    async def records(
        self,
        *,
        after_seq: int = 0,
        kinds: frozenset[RecordKind] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StoredRecord]:
        """See Store; ends at the record that was last when the reading began."""
        self._must_be_open()
        left = len(self._links) if limit is None else limit
        for link in self._links[max(after_seq, 0) :]:
            if left <= 0:
                return
            if kinds is None or link.entry.kind in kinds:
                left -= 1
                yield journal.stored(link)

    @override
    async def head(self) -> StoredRecord | None:
        """See Store."""
        self._must_be_open()
        return journal.stored(self._links[-1]) if self._links else None

    @override
    async def state(self, name: str) -> bytes | None:
        """See Store."""
        self._must_be_open()
        return self._states.get(name)

    @override
    async def inventory(self) -> tuple[InventoryRow, ...]:
        """See Store."""
        self._must_be_open()
        return tuple(layout.inventory_row(values) for _, values in sorted(self._inventory.items()))

    @override
    async def put_inventory(self, rows: Sequence[InventoryRow]) -> None:
        """See Store."""
        self._must_be_open()
        self._inventory |= {row.miner_id: layout.inventory_values(row) for row in rows}

    @override
    async def remove_inventory(self, miners: Sequence[MinerId]) -> None:
        """See Store."""
        self._must_be_open()
        for miner in miners:
            self._inventory.pop(miner, None)

    async def verify(self) -> journal.Verdict:
        """Walk the whole chain."""
        self._must_be_open()
        return journal.verify(self._links)

    @override
    async def close(self) -> None:
        """See Store; every later call is refused, as a closed file would refuse it."""
        self._open = False

    def _must_be_open(self) -> None:
        if not self._open:
            raise StoreError("the memory store is closed")
