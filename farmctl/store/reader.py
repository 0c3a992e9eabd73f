"""Reading a journal: beside the writer in this process, or beside a running controller from another one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from farmctl.ports.store import InventoryRow, RecordKind, StoredRecord
from farmctl.store import journal, layout, schema
from farmctl.store.connection import DEADLINE_S, Session, SqlValues, connect_reader, reported
from farmctl.store.journal import Link
from farmctl.store.writer import last_link

PAGE = 64  # rows per read: a decision of 50,000 miners packs to some 200 kB, so a page stays near 13 MB


class SqlReader:
    """The reading half of a Store on any SQL engine; sees what was committed before each call.

    Long reads go page by page, so they never hold back the writer's checkpoints.
    """

    def __init__(self, connection: Session) -> None:
        self._connection = connection

    async def records(
        self,
        *,
        after_seq: int = 0,
        kinds: frozenset[RecordKind] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StoredRecord]:
        """See Store; ends at the record that was last when the reading began."""
        async for page in self._pages(after_seq=after_seq, kinds=kinds, limit=limit):
            for link in page:
                yield journal.stored(link)

    async def head(self) -> StoredRecord | None:
        """See Store."""
        link = await self._head_link()
        return None if link is None else journal.stored(link)

    async def state(self, name: str) -> bytes | None:
        """See Store."""
        found = await self._fetch("state", (name,))
        return bytes(found[0][0]) if found else None

    async def inventory(self) -> tuple[InventoryRow, ...]:
        """See Store."""
        return tuple(layout.inventory_row(values) for values in await self._fetch("inventory"))

    async def states(self) -> Mapping[str, bytes]:
        """All named states as last set."""
        return {name: bytes(value) for name, value in await self._fetch("states")}

    async def links(self, after_seq: int = 0) -> AsyncIterator[list[Link]]:
        """The journal byte for byte, page by page; ends where it ended when the reading began."""
        async for page in self._pages(after_seq=after_seq, kinds=None, limit=None):
            yield page

    async def verify(self) -> journal.Verdict:
        """Walk the whole chain as the file has it, byte for byte, in memory of one page."""
        walk = journal.Walk()
        async for page in self._pages(after_seq=None, kinds=None, limit=None):
            if await asyncio.to_thread(walk.feed, page) is not None:
                break
        return walk.verdict()

    async def close(self) -> None:
        """Let go of the journal."""
        await self._connection.close()

    async def _pages(
        self, *, after_seq: int | None, kinds: frozenset[RecordKind] | None, limit: int | None
    ) -> AsyncIterator[list[Link]]:
        head = await self._head_link()
        if head is None:
            return
        after = after_seq if after_seq is not None else -(2**63)  # verify looks for records before the first, too
        left = limit if limit is not None else head.seq - after
        while left > 0:
            page = await self._page(after=after, until=head.seq, kinds=kinds, limit=min(left, PAGE))
            if not page:
                return
            yield page
            left -= len(page)
            after = page[-1].seq

    async def _page(self, *, after: int, until: int, kinds: frozenset[RecordKind] | None, limit: int) -> list[Link]:
        # In this order: engines whose parameters have numbers instead of names count them off.
        values: dict[str, int | str] = {"after": after, "until": until, "limit": limit}
        if kinds is not None:
            values["kinds"] = json.dumps(sorted(kinds))
        found = await self._fetch("links" if kinds is None else "links_of_kinds", values)
        return [layout.link_from(raw) for raw in found]

    async def _head_link(self) -> Link | None:
        with reported(self._connection.place, "read"):
            async with asyncio.timeout(DEADLINE_S):
                return await last_link(self._connection)

    async def _fetch(self, query: str, values: SqlValues = ()) -> list[tuple[Any, ...]]:
        with reported(self._connection.place, "read"):
            async with asyncio.timeout(DEADLINE_S):
                return await self._connection.fetch(query, values)


class SqliteReader(SqlReader):
    """The reading half of a journal file."""


async def open_reader(path: Path) -> SqliteReader:
    """Open a journal to read only, also while a controller writes it.

    Raises StoreError where there is none, NewerDatabaseError or OlderDatabaseError where its schema is not ours.
    """
    connection = await connect_reader(path)
    try:
        await schema.check(connection)
    except BaseException:
        await connection.close()
        raise
    return SqliteReader(connection)
