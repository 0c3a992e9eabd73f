"""The end of a door: nobody who was just let in is forgotten on its threshold."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from pathlib import Path

import pytest
from typing_extensions import override

from farmctl.control.door import close_socket, open_socket, take_no_more


class Guest(asyncio.Protocol):
    """Let in."""

    def __init__(self, inside: list[asyncio.Transport]) -> None:
        self._inside = inside

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._inside.append(transport)


@pytest.mark.parametrize("turns", range(4))
async def test_whoever_called_before_the_end_becomes_a_connection_that_can_be_closed(
    tmp_path: Path, turns: int
) -> None:
    inside: list[asyncio.Transport] = []
    door = open_socket(tmp_path / "door", None)
    server = await asyncio.get_running_loop().create_unix_server(lambda: Guest(inside), sock=door)
    with contextlib.ExitStack() as callers:
        for _ in range(20):
            callers.enter_context(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / "door"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await take_no_more(door)
        server.close()
        for transport in inside:
            transport.abort()
        await asyncio.sleep(0)
        close_socket(door, tmp_path / "door")
        gc.collect()  # a connection that nobody closed is a ResourceWarning here
    assert len(inside) in {0, 20}
