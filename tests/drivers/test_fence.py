"""A command of a process whose right has ended does not leave, not even from the middle of a conversation."""

from __future__ import annotations

import asyncio

import pytest

from drivers._wire.cgminer import exchange, request
from farmctl.ports.fence import FencedOffError, fenced


async def test_nothing_is_written_once_the_fence_is_shut() -> None:
    heard: list[bytes] = []

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.write(b'{"STATUS":[]}\0')
        writer.close()

    async with await asyncio.start_server(answered, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        lives = True
        with fenced(lambda: lives):
            await exchange("127.0.0.1", port, request("logon"))
            lives = False
            with pytest.raises(FencedOffError):
                await exchange("127.0.0.1", port, request("curtail", "wakeup"))
        await asyncio.sleep(0.05)
    assert [b"logon" in each for each in heard if each] == [True]
