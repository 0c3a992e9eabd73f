"""The least that can poll a miner: one bare asyncio Protocol and orjson, for each way in which miners are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from typing_extensions import override

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
FRAME_HEAD = 4
DEFAULTS = {"api": 4028, "api3": 4433, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a web server wants before it says anything."""

    path: str
    payload: dict[str, str]
    header: str
    token: Callable[[Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request that a poll cannot do without."""

    door: str
    """`tcp`: a connection each, up to NUL or close; `framed`: the same with a length in front; `http`: kept alive."""
    port: str = "api"
    """Its name in the inventory."""
    request: bytes = b""
    path: str = ""
    login: Login | None = None


class Floor:
    """Asks one fleet, index by index."""

    def __init__(self, asking: Asking, places: Sequence[Mapping[str, Any]]) -> None:
        """`places` are as farmsim lists them: `host`, and `ports` by name."""
        self._asking = asking
        self._places = [
            (str(place["host"]), int(place["ports"].get(asking.port, DEFAULTS[asking.port]))) for place in places
        ]
        self._kept: dict[int, _Kept] = {}

    async def poll(self, index: int) -> None:
        """One request, its reply read and parsed."""
        asking, place = self._asking, self._places[index]
        if asking.door == "http":
            orjson.loads(await (self._kept.get(index) or await self._connected(index)).ask())
        elif asking.door == "framed":
            orjson.loads(await _once(_Framed, place, asking))
        else:
            orjson.loads(await _once(_Bare, place, asking))

    def close(self) -> None:
        """Hang up what is kept."""
        for kept in self._kept.values():
            kept.close()

    async def _connected(self, index: int) -> _Kept:
        asking, (host, port) = self._asking, self._places[index]
        loop = asyncio.get_running_loop()
        _, kept = await loop.create_connection(_Kept, host, port)
        self._kept[index] = kept
        header = ""
        if asking.login is not None:
            body = orjson.dumps(asking.login.payload)
            head = f"POST {asking.login.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            kept.request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            header = f"{asking.login.header}: {asking.login.token(orjson.loads(await kept.ask()))}\r\n"
        kept.request = f"GET {asking.path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n".encode()
        return kept


async def _once(kind: type[_Bare], place: tuple[str, int], asking: Asking) -> bytes:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_connection(lambda: kind(asking.request, done), *place)
    try:
        return await done
    finally:
        transport.close()


class _Bare(asyncio.Protocol):
    """Connect, write, read to the NUL or the close: nothing less can poll a miner."""

    __slots__ = ("done", "parts", "request")

    def __init__(self, request: bytes, done: asyncio.Future[bytes]) -> None:
        self.request = request
        self.done = done
        self.parts: list[bytes] = []

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        cast("asyncio.WriteTransport", transport).write(self.request)

    @override
    def data_received(self, data: bytes) -> None:
        """Keep what comes; a NUL ends the reply, whoever closes first."""
        self.parts.append(data)
        if data.endswith(b"\0") and not self.done.done():
            self.done.set_result(b"".join(self.parts)[:-1])

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """The peer closes when it has said all."""
        del exc
        if not self.done.done():
            self.done.set_result(b"".join(self.parts))


class _Framed(_Bare):
    """The same with a length in front, both ways."""

    @override
    def data_received(self, data: bytes) -> None:
        """The length ends the reply."""
        self.parts.append(data)
        whole = b"".join(self.parts)
        size = FRAME_HEAD + int.from_bytes(whole[:FRAME_HEAD], "little")
        if FRAME_HEAD < size <= len(whole) and not self.done.done():
            self.done.set_result(whole[FRAME_HEAD:size])


class _Kept(asyncio.Protocol):
    """One kept connection: a fixed request, the body by its Content-Length."""

    __slots__ = ("buffer", "done", "request", "transport")

    def __init__(self) -> None:
        self.request = b""
        self.buffer = b""
        self.done: asyncio.Future[bytes] | None = None
        self.transport: asyncio.WriteTransport | None = None

    async def ask(self) -> bytes:
        """Body of the answer."""
        if self.transport is None:
            raise ConnectionAbortedError("not connected")
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(self.request)
        return await self.done

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self.transport = cast("asyncio.WriteTransport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        """Head and length are enough: chunks and redirects are nobody's floor."""
        self.buffer += data
        head, found, body = self.buffer.partition(HEAD_END)
        if not found:
            return
        size = int(head.lower().partition(LENGTH)[2].partition(b"\r\n")[0])
        if len(body) >= size and self.done is not None and not self.done.done():
            self.buffer = b""
            self.done.set_result(body)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """A floor that is hung up on is no measurement."""
        if self.done is not None and not self.done.done():
            self.done.set_exception(exc or ConnectionAbortedError("closed"))
