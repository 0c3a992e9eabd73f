"""A wide-area network between two brokers: one TCP path for the bridge, which can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.signals.conftest import Mosquitto

CHUNK = 65_536


class Wan:
    """While it is cut bytes vanish on the way and connections hang, as behind a dead router; healed, they are reset."""

    host = "127.0.0.1"

    def __init__(self, far: Mosquitto) -> None:
        self.port = 0
        self.lost = 0
        """Bytes that were sent into the cut."""
        self.is_cut = False
        self._far = far
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[None]:
        """It is there while the block runs."""
        server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await asyncio.sleep(0)  # what the kernel had accepted already
            await self._reset()

    def cut(self) -> None:
        """From now on nothing arrives."""
        self.is_cut = True

    async def heal(self) -> None:
        """Whoever hung is reset and may connect anew."""
        self.is_cut = False
        await self._reset()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)  # here: a task that is cancelled before it began closes nothing
        task = asyncio.create_task(self._through(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._far.host, self._far.port)
            self._writers.add(far_writer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(reader, far_writer))
                tasks.create_task(self._pass_on(far_reader, writer))
        except* (OSError, EOFError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self.is_cut:
                self.lost += len(data)
                continue
            writer.write(data)
            await writer.drain()
        raise EOFError

    async def _reset(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()
        self._writers.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def bridged(near: Mosquitto, wan: Wan) -> None:
    """Let the site's broker carry the contract's topics over that path, in both directions."""
    near.configured(
        f"""listener {near.port} {near.host}
allow_anonymous true
max_queued_messages 10000
connection wan
address {wan.host}:{wan.port}
remote_clientid site-07-bridge
cleansession false
restart_timeout 1
keepalive_interval 5
notifications false
topic grid/v1/# in 1
topic site/v1/# out 1
"""
    )
