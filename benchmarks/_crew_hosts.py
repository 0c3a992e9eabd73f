"""Where a worker of a crew runs: a namespace with a wire of its own, as root; else an address of loopback's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from typing_extensions import override

from benchmarks._cable import Cable
from benchmarks._crew_worker import ADDRESS
from benchmarks._netns import DATABASE, Room

OFFICE = "127.214.0"
"""Network of the workers without namespaces; their miners are elsewhere on loopback."""


class Host(Protocol):
    """One worker's machine."""

    address: str
    """Who its miners say called."""
    dsn: str
    """How the database is reached from there."""

    def command(self, *words: str) -> list[str]:
        """The same command, there."""
        ...

    async def without_database(self, for_s: float) -> None:
        """No byte to or from the database for so long, connections left up; the miners are reached as before."""
        ...


class RoomHost(Host):
    """A network namespace: the kernel keeps its packets from the database."""

    def __init__(self, room: Room, dsn: str) -> None:
        self._room, self.address, self.dsn = room, room.address, dsn

    @override
    def command(self, *words: str) -> list[str]:
        return self._room.command(*words)

    @override
    async def without_database(self, for_s: float) -> None:
        await asyncio.to_thread(self._room.cut)
        try:
            await asyncio.sleep(for_s)
        finally:
            await asyncio.to_thread(self._room.mend)


class LoopbackHost(Host):
    """A source address and a cable of its own: needs no rights."""

    def __init__(self, number: int, cable: Cable, dsn: str) -> None:
        self._cable, self.address, self.dsn = cable, f"{OFFICE}.{number + 1}", dsn

    @override
    def command(self, *words: str) -> list[str]:
        return ["env", f"{ADDRESS}={self.address}", *words]

    @override
    async def without_database(self, for_s: float) -> None:
        await self._cable.cut(for_s)


@asynccontextmanager
async def in_rooms(dsn: str, rooms: list[Room]) -> AsyncIterator[list[Host]]:
    """One host for each room; they share the cable that brings the database to where packets are kept from it."""
    cable = Cable(dsn, DATABASE)
    try:
        there = urlsplit(await cable.laid())
        yield [RoomHost(room, urlunsplit(there)) for room in rooms]
    finally:
        await cable.removed()


@asynccontextmanager
async def on_loopback(dsn: str, count: int) -> AsyncIterator[list[Host]]:
    """So many hosts on this one."""
    cables = [Cable(dsn) for _ in range(count)]
    try:
        yield [LoopbackHost(number, cable, await cable.laid()) for number, cable in enumerate(cables)]
    finally:
        for cable in cables:
            await cable.removed()
