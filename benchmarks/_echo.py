"""The cheapest server there can be: a bare Protocol on uvloop that answers 2 KB to whatever comes, and closes.

Its cost on the same machine in the same minute tells how much of another server's is the machine's.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop
from typing_extensions import override

REPLY = b'{"STATUS":[]}'.ljust(2_000) + b"\0"


class _Answer(asyncio.Protocol):
    """One connection."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._transport.write(REPLY)
        self._transport.close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answer, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
