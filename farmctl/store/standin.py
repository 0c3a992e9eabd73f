"""A store that goes on without its database: records go to a local journal meanwhile and are merged when it is back.

What was being written when the database went away may be there or not.  It is written again with the rest, and left out
where the journal has it already, byte for byte.  The local chain is verified before anything of it is merged; a record
`merged` names its range and its head, so that the local file can be held against the journal for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import structlog
from typing_extensions import override

from farmctl.core.model import MinerId
from farmctl.errors import StoreError
from farmctl.ports.store import InventoryRow, JournalRecord, RecordKind, Store, StoredRecord
from farmctl.store import journal
from farmctl.store.connection import LostSessionError
from farmctl.store.sqlstore import SqlStore

log = structlog.get_logger(__name__)

AGAIN_S = 1.0
"""How often the way back is tried; every append between goes to the local journal at once."""
MERGED_STATE = "standin.merged"
"""In the local store: number of its last record that is in the database."""
ANCHOR_STATE = "standin.anchor"
"""In the local store: the database's last record that this process knew of when it went away."""
LOOK_BACK = 5_000
"""Records after the anchor that are searched for what was in doubt."""


class StandIn(Store):
    """The site's store, with a local journal beside it; durable when the call returns, in one of the two."""

    def __init__(self, database: SqlStore, local: SqlStore, name: str, now_ms: Callable[[], int]) -> None:
        """`name` is this process's; it stands in the records of a merge."""
        self._database, self._local = database, local
        self._name, self._now_ms = name, now_ms
        self._away = False
        self._tried_s = 0.0
        self._known_seq = 0
        self._set: dict[str, bytes] = {}
        """States that were set while the database was away."""
        self._one = asyncio.Lock()

    @property
    def away(self) -> bool:
        """True while the local journal stands in: nothing may be raised."""
        return self._away

    async def settle(self) -> int:
        """Merge records that were left behind, and no states: another may have set them since; how many records."""
        head = await self._database.head()
        self._known_seq = head.seq if head is not None else 0
        return await self._merge({})

    @override
    async def append(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None = None
    ) -> StoredRecord | None:
        """See Store; the record's number is the local journal's while that stands in."""
        async with self._one:
            if self._away and not await self._is_back():
                return await self._append_here(records, states)
            try:
                stored = await self._database.append(records, states)
            except LostSessionError as error:
                await self._go_away(str(error))
                return await self._append_here(records, states)
            if stored is not None:
                self._known_seq = stored.seq
            return stored

    @override
    async def records(
        self, *, after_seq: int = 0, kinds: frozenset[RecordKind] | None = None, limit: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """See Store; the database's, which may lack what is still to be merged."""
        async for record in self._database.records(after_seq=after_seq, kinds=kinds, limit=limit):
            yield record

    @override
    async def head(self) -> StoredRecord | None:
        return await (self._local.head() if self._away else self._database.head())

    @override
    async def state(self, name: str) -> bytes | None:
        if self._away and (found := await self._local.state(name)) is not None:
            return found
        return await self._database.state(name)

    @override
    async def inventory(self) -> tuple[InventoryRow, ...]:
        return await self._database.inventory()

    @override
    async def put_inventory(self, rows: Sequence[InventoryRow]) -> None:
        await self._database.put_inventory(rows)

    @override
    async def remove_inventory(self, miners: Sequence[MinerId]) -> None:
        await self._database.remove_inventory(miners)

    @override
    async def close(self) -> None:
        """Close the database's handle; the local one is its maker's."""
        await self._database.close()

    async def _append_here(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None
    ) -> StoredRecord | None:
        stored = await self._local.append(records, states)
        self._set |= states or {}
        return stored

    async def _go_away(self, why: str) -> None:
        self._away, self._tried_s = True, asyncio.get_running_loop().time()
        await self._local.append([], {ANCHOR_STATE: str(self._known_seq).encode()})
        log.error("database_away", error=why, effect="journalled locally; raising is forbidden, lowering goes on")

    async def _is_back(self) -> bool:
        """Try the way back now and then; True when everything local is merged."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._tried_s < AGAIN_S:
            return False
        self._tried_s = now_s
        try:
            merged = await self._merge(self._set)
        except LostSessionError:
            return False
        self._away, self._set = False, {}
        log.info("database_back", merged=merged)
        return True

    async def _merge(self, states: Mapping[str, bytes]) -> int:
        """Carry over what the local journal has and the database has not; how many records. Raises StoreError."""
        done = int(await self._local.state(MERGED_STATE) or b"0")
        walk, fresh, head = journal.Walk(), list[journal.Link](), None
        async for page in self._local.links():
            if (broken := walk.feed(page)) is not None:
                raise StoreError(f"the local journal is altered at record {broken.seq}: it is not merged")
            fresh += [link for link in page if link.seq > done]
            head = page[-1]
        if not fresh or head is None:
            return 0
        there = await self._there()
        wanted = [link.entry for link in fresh if link.entry not in there]
        about = JournalRecord(
            kind=RecordKind.CONFIG,
            at_ms=self._now_ms(),
            body={
                "what": "merged", "from": self._name, "first": fresh[0].seq, "last": head.seq, "head": head.hash.hex(),
                "records": len(wanted), "already_there": len(fresh) - len(wanted),
            },
        )  # fmt: skip
        last = await self._database.adopt([journal.entry(about), *wanted], states)
        if last is not None:
            self._known_seq = last.seq
        await self._local.append([], {MERGED_STATE: str(head.seq).encode()})
        return len(wanted)

    async def _there(self) -> list[journal.Entry]:
        """What the database has after the anchor: of an earlier merge that was cut off, and of the last append."""
        anchor = int(await self._local.state(ANCHOR_STATE) or b"0")
        found: list[journal.Entry] = []
        async for page in self._database.links(anchor):
            found += [link.entry for link in page]
            if len(found) > LOOK_BACK:
                break
        return found
