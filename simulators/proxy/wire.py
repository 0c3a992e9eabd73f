"""The two ends of every connection through the proxy, and what is done to the bytes between them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, cast

from typing_extensions import override

from simulators.proxy.trouble import Spell, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.proxy.route import Route

CONNECT_S = 5.0
DRIP_S = 0.1
RST_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for no time: closing sends RST (socket(7))."""
FLIP = 0x15
"""Turns digits into other digits and letters into other letters: wrong, and still text."""


class End(asyncio.Protocol):
    """One socket; `other` is the one that its bytes go to."""

    def __init__(self, route: Route, book: set[End], *, near: bool) -> None:
        """`near` is the side of whoever connected to the proxy; the book lists all ends that are open."""
        self.route = route
        self.near = near
        self._book = book
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        """(when, what) for this end, in order; None is the end of the connection."""
        self._due_s = 0.0
        """When the last of it is due."""
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        """What came before the other end was connected: uvloop forgets a pause_reading() in connection_made()."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._book.add(self)
        if not self.near:
            return
        self.route.opened += 1
        self.route.open_now += 1
        spell = self.route.now()
        if spell is not None and spell.trouble is Trouble.RESET:
            self._hit(spell)
            self.reset()
        elif spell is not None and spell.trouble is Trouble.HALF_OPEN:
            self._hit(spell)
        else:
            self._opening = self._loop.create_task(self._open())

    @override
    def data_received(self, data: bytes) -> None:
        if self._opening is not None:
            self._early.append(data)
            return
        if self.other is None:
            return
        spell = self.route.now()
        if spell is None:
            self.other.write(data)
        else:
            self._spoil(self.other, data, spell)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._book.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.near:
            self.route.open_now -= 1
        if self._opening is not None:
            self._opening.cancel()
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            if isinstance(exc, ConnectionResetError):
                other.reset()
            else:
                other.write(None)

    @override
    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def write(self, data: bytes | None, *, wait_s: float = 0.0) -> None:
        """Send bytes after everything that waits already; None closes in order."""
        now_s = self._loop.time()
        self._due_s = max(now_s + wait_s, self._due_s)
        if self._waiting or self._due_s > now_s:
            self._waiting.append((self._due_s, data))
            self._wait()
        else:
            self._put(data)

    def hold(self, seconds: float) -> None:
        """Whatever is written next waits so long."""
        self._due_s = max(self._due_s, self._loop.time()) + seconds

    def reset(self) -> None:
        """Close with a RST."""
        if self.transport is None:
            return
        opened = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        self.transport.abort()

    async def _open(self) -> None:
        """Connect to what is behind; where nobody listens there, the near end is refused as well as may be."""
        far = End(self.route, self._book, near=False)
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._loop.create_connection(lambda: far, *self.route.target)
        except OSError:
            self.reset()
            return
        if self.transport is None or self.transport.is_closing():
            far.write(None)
            return
        far.other, self.other = self, far
        self._opening, early = None, self._early
        for data in early:
            self.data_received(data)

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._waiting[0][0], self._due)

    def _due(self) -> None:
        self._timer = None
        while self._waiting and self._waiting[0][0] <= self._loop.time():
            self._put(self._waiting.popleft()[1])
        if self._waiting:
            self._wait()

    def _put(self, data: bytes | None) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if data is None:
            self.transport.close()
        else:
            self.transport.write(data)

    def _hit(self, spell: Spell) -> None:
        self.route.hits[spell.trouble] += 1

    def _both_reset(self) -> None:
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.reset()
        self.reset()

    def _part(self) -> None:
        """The far end goes, the near end stays and is not told."""
        near, far = (self, self.other) if self.near else (self.other, self)
        if near is not None and far is not None:
            near.other = far.other = None
            far.write(None)

    def _spoil(self, other: End, data: bytes, spell: Spell) -> None:
        match spell.trouble:
            case Trouble.LATENCY:
                self._hit(spell)
                other.write(data, wait_s=spell.amount)
            case Trouble.RESET:
                self._hit(spell)
                self._both_reset()
            case Trouble.HALF_OPEN:
                self._hit(spell)
                self._part()
            case _ if self.near:
                other.write(data)
            case Trouble.SLOW_DRIP:
                self._hit(spell)
                self._drip(data, spell.amount)
            case Trouble.TRUNCATE:
                self._hit(spell)
                other.write(data[: int(len(data) * spell.amount)])
                other.write(None)
                self.write(None)
            case Trouble.CORRUPT:
                self._hit(spell)
                other.write(self._corrupted(data, spell.amount))

    def _drip(self, data: bytes, bytes_per_s: float) -> None:
        size = max(int(bytes_per_s * DRIP_S), 1)
        for first in range(0, len(data), size):
            if self.other is not None:
                self.other.write(data[first : first + size])
                self.other.hold(DRIP_S)

    def _corrupted(self, data: bytes, share: float) -> bytes:
        changed = bytearray(data)
        for _ in range(max(int(len(data) * share), 1)):
            changed[self.route.dice.randrange(len(changed))] ^= FLIP
        return bytes(changed)


class Proxy:
    """Routes that are open; open() and close() own the sockets."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Nothing listens yet."""
        self.routes = tuple(routes)
        self._servers: list[asyncio.Server] = []
        self._ends: set[End] = set()

    async def open(self) -> None:
        """Listen on every route; raises OSError where an address is taken."""
        loop = asyncio.get_running_loop()
        for route in self.routes:
            server = await loop.create_server(partial(End, route, self._ends, near=True), *route.listen)
            self._servers.append(server)
            if route.listen[1] == 0:
                route.listen = server.sockets[0].getsockname()[:2]

    def calm(self) -> None:
        """No trouble any more, whatever the scripts say."""
        for route in self.routes:
            route.calm()

    async def close(self) -> None:
        """End every connection and stop listening."""
        for server in self._servers:
            server.close()
        for end in tuple(self._ends):
            end.reset()
        await asyncio.sleep(0)
