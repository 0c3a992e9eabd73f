"""A cable to the database that can be cut: bytes stop, connections stay up, as when a switch dies on the way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65_536


class Cable:
    """Forwards one worker's connections; while it is cut nothing goes either way, and what was sent arrives after."""

    def __init__(self, dsn: str, host: str = "127.0.0.1") -> None:
        self._there = urlsplit(dsn)
        self._host = host
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def laid(self) -> str:
        """Lay it; the DSN at this end."""
        self._server = await asyncio.start_server(self._accepted, self._host, 0)
        port = self._server.sockets[0].getsockname()[1]
        user = f"{self._there.username}@" if self._there.username else ""
        return urlunsplit(self._there._replace(netloc=f"{user}{self._host}:{port}"))

    async def cut(self, for_s: float) -> None:
        """Cut it for a while."""
        self._whole.clear()
        try:
            await asyncio.sleep(for_s)
        finally:
            self._whole.set()

    async def removed(self) -> None:
        """Take it away."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio 3.11 prints a traceback for each of its own that is cancelled.
        task = asyncio.create_task(self._forwarded(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # also where it was cancelled before it began

    async def _forwarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(self._there.hostname, self._there.port)
            try:
                await self._both(reader, writer, there_reader, there_writer)
            finally:
                there_writer.close()

    async def _both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there_reader: asyncio.StreamReader,
        there_writer: asyncio.StreamWriter,
    ) -> None:
        ways = {
            asyncio.create_task(self._one_way(reader, there_writer)),
            asyncio.create_task(self._one_way(there_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
