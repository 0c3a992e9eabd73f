"""Group commit: callers that wait at the same time share one transaction and one sync of the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from farmctl.errors import StoreError
from farmctl.ports.store import JournalRecord
from farmctl.store import journal, layout
from farmctl.store.connection import DEADLINE_S, LostSessionError, Session, SqlValue, reported
from farmctl.store.journal import Entry, Link

HEAVY_ENTRIES = 100  # 1,000 commands take 29 ms to make canonical and 5 ms to chain; the loop may stall for 5
HEAVY_BYTES = 2**20  # SHA-256 of 1 MiB takes 1-3 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A named query with its rows."""

    query: str
    rows: Sequence[Sequence[SqlValue]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Write:
    """What one caller wants in one transaction."""

    entries: Sequence[Entry]
    statements: Sequence[Statement]
    done: asyncio.Future[Link | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """The caller's last link, once it is on the disk."""


class Writer:
    """The one owner of the writing connection and of the chain's head.

    A caller that is cancelled lets go of its answer only: a transaction under way is finished by the writer's own task,
    so the head in memory and the file never part.  A write that was not begun yet is dropped.
    """

    def __init__(self, connection: Session, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._connection = connection
        self._head: Link | None = None
        self._head_known = False
        self._queue: asyncio.Queue[Write | None] = asyncio.Queue()
        self._closing = False
        # One task for the life of the connection, joined in close(): callers' tasks come and go.
        self._task = asyncio.create_task(self._run(), name=f"store writer {connection.place}")

    async def write(self, entries: Sequence[Entry], statements: Sequence[Statement]) -> Link | None:
        """Commit with whoever else is waiting; the last link, None for no entries.  Raises StoreError.

        After a deadline or a cancellation the file may or may not have the write; it has it whole or not at all.
        """
        if self._closing or self._task.done():
            raise StoreError(f"{self._connection.place}: the store is closed")
        write = Write(entries=entries, statements=statements)
        self._queue.put_nowait(write)
        with reported(self._connection.place, "commit"):
            try:
                async with asyncio.timeout(self._deadline_s):
                    return await write.done
            except TimeoutError as error:
                if not self._connection.shared:
                    raise
                raise LostSessionError(f"{self._connection.place}: no answer in {self._deadline_s:.0f} s") from error

    async def close(self) -> None:
        """Finish what was asked before, then stop; raises StoreError where the disk does not answer."""
        self._closing = True
        self._queue.put_nowait(None)
        _, unfinished = await asyncio.wait({self._task}, timeout=DEADLINE_S)
        if unfinished:
            self._task.cancel()
            raise StoreError(f"{self._connection.place}: close got no answer from the disk in {DEADLINE_S:.0f} s")
        if not self._task.cancelled() and (failure := self._task.exception()) is not None:
            raise failure

    async def _run(self) -> None:
        group: list[Write] = []
        try:
            stopping = False
            while not stopping:
                group, stopping = await self._next_group()
                await self._serve(group)
        finally:
            while not self._queue.empty():
                if (left := self._queue.get_nowait()) is not None:
                    group.append(left)
            _refuse(group, StoreError(f"{self._connection.place}: the store is closed"))

    async def _next_group(self) -> tuple[list[Write], bool]:
        group: list[Write] = []
        wanted = await self._queue.get()
        while wanted is not None:
            group.append(wanted)
            if self._queue.empty():
                return group, False
            wanted = self._queue.get_nowait()
        return group, True

    async def _serve(self, group: Sequence[Write]) -> None:
        """Commit a group; where that fails, each alone, so that nobody pays for a neighbour's oversized record."""
        wanted = [write for write in group if not write.done.done()]
        try:
            await self._commit(wanted)
        except StoreError as error:
            if len(wanted) == 1 or isinstance(error, LostSessionError):
                _refuse(wanted, error)
                return
            for write in wanted:
                await self._serve([write])

    async def _commit(self, group: Sequence[Write]) -> None:
        if not group:
            return
        try:
            if self._connection.in_transaction:  # left by a rollback that failed
                await self._connection.rollback()
            await self._connection.fetch("begin")
            links = await self._write(group)
            await self._connection.fetch("commit")
        except BaseException:
            # A commit that failed may still be in the file: the next one asks the file, not this memory.
            self._head_known = False
            await self._roll_back_quietly()
            raise
        start = 0
        for write in group:
            end = start + len(write.entries)
            if not write.done.done():
                write.done.set_result(links[end - 1] if write.entries else None)
            start = end
        self._head = links[-1] if links else self._head

    async def _write(self, group: Sequence[Write]) -> list[Link]:
        if not self._head_known or self._connection.shared:
            self._head = await last_link(self._connection)
            self._head_known = True
        entries = [entry for write in group for entry in write.entries]
        links: list[Link] = []
        if entries:
            heavy = is_heavy(entries)
            links, values = await asyncio.to_thread(_lay, entries, self._head) if heavy else _lay(entries, self._head)
            await self._connection.run_many("add_links", values)
        for write in group:
            for statement in write.statements:
                await self._connection.run_many(statement.query, statement.rows)
        return links

    async def _roll_back_quietly(self) -> None:
        # The first failure is the one to report; SQLite itself rolls back on a full disk and on I/O errors.
        try:
            if self._connection.in_transaction:
                await self._connection.rollback()
        except StoreError:
            return


def is_heavy(entries: Sequence[Entry] | Sequence[JournalRecord]) -> bool:
    """True where hashing would hold the loop for too long."""
    return len(entries) > HEAVY_ENTRIES or sum(len(entry.blob) for entry in entries) > HEAVY_BYTES


async def last_link(connection: Session) -> Link | None:
    """The end of the chain as the file has it."""
    found = await connection.fetch("last_link")
    return layout.link_from(found[0]) if found else None


def _lay(entries: Sequence[Entry], head: Link | None) -> tuple[list[Link], list[layout.LinkValues]]:
    links = journal.chain(entries, head)
    return links, [layout.link_values(link) for link in links]


def _refuse(group: Sequence[Write], error: StoreError) -> None:
    for write in group:
        if not write.done.done():
            write.done.set_exception(error)
