"""A command of a process whose right has ended does not leave, not even from the middle of a conversation."""

from __future__ import annotations

import asyncio
import sys

import pytest

from drivers._wire.cgminer import exchange, request
from drivers.pyasic_bridge.process import WorkerProcess
from drivers.pyasic_bridge.wire import Call
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


async def test_what_waits_for_its_turn_at_the_long_tails_process_is_asked_when_it_goes_there() -> None:
    loop = asyncio.get_running_loop()
    echo = "import sys\nfor line in sys.stdin: print(line, file=sys.stderr)"
    transport, link = await loop.subprocess_exec(lambda: WorkerProcess(loop), sys.executable, "-c", echo)
    try:
        with fenced(lambda: False), pytest.raises(FencedOffError):
            await link.carry(Call(id=1, operation="apply", host="127.0.0.1", argument="full"), 1.0)
    finally:
        await link.end()
        transport.close()
