"""JSON in frames of `<u32 little endian length><text>`, several requests on one connection."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self, cast

import orjson
from typing_extensions import override

from drivers._wire.cgminer import DEADLINES, REPLY_LIMIT, Deadlines, parse_reply
from farmctl.errors import MalformedReplyError, SilentPeerError
from farmctl.ports.fence import must_be_open

HEAD_BYTES = 4


def frame(text: bytes) -> bytes:
    """Put the length in front."""
    return len(text).to_bytes(HEAD_BYTES, "little") + text


class Framed:
    """One connection, as an async context manager; one request at a time.

    Whatsminer counts connections (10 clients at most) and closes idle ones: a poll takes one and gives it back.
    """

    def __init__(self, host: str, port: int, deadlines: Deadlines = DEADLINES) -> None:
        self.peer = f"{host}:{port}"
        self._host = host
        self._port = port
        self._deadlines = deadlines
        self._link = _Link(self.peer)

    async def __aenter__(self) -> Self:
        """Connect; raises SilentPeerError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadlines.connect_s):
                await loop.create_connection(lambda: self._link, self._host, self._port)
        except TimeoutError as fault:
            raise SilentPeerError(f"{self.peer} did not connect within {self._deadlines.connect_s:g} s") from fault
        except OSError as fault:
            raise SilentPeerError(f"{self.peer} did not connect: {fault}") from fault
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at once."""
        self._link.abort()

    async def ask(self, text: bytes) -> dict[str, Any]:
        """Send one request and read its answer as a JSON object.

        Raises SilentPeerError (reset, closed, past its deadline), MalformedReplyError.
        """
        try:
            async with asyncio.timeout(self._deadlines.answer_s):
                raw = await self._link.exchange(frame(text))
        except TimeoutError as fault:
            raise SilentPeerError(f"{self.peer} did not answer within {self._deadlines.answer_s:g} s") from fault
        except OSError as fault:
            raise SilentPeerError(f"{self.peer} broke the connection: {fault}") from fault
        try:
            reply = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return parse_reply(raw, self.peer)
        if type(reply) is dict:
            return reply
        raise MalformedReplyError(f"{self.peer} answered {raw[:60]!r}, expected a JSON object")


class _Link(asyncio.Protocol):
    """Collects one frame at a time."""

    __slots__ = ("_buffer", "_lost", "_peer", "_reply", "_transport")

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._buffer = b""
        self._reply: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None

    async def exchange(self, data: bytes) -> bytes:
        """Write, then wait for a frame."""
        if self._lost is not None or self._transport is None:
            raise self._lost or ConnectionAbortedError("not connected")
        self._reply = asyncio.get_running_loop().create_future()
        must_be_open()
        self._transport.write(data)
        try:
            return await self._reply
        finally:
            self._reply = None

    def abort(self) -> None:
        """Close without waiting for anybody; nothing that knows this link is kept, or both would live for ever."""
        self._lost = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        while len(buffer) >= HEAD_BYTES:
            length = int.from_bytes(buffer[:HEAD_BYTES], "little")
            if length == 0:  # a heartbeat: four zero bytes
                self._buffer = buffer = buffer[HEAD_BYTES:]
                continue
            if length > REPLY_LIMIT:
                self._end(MalformedReplyError(f"{self._peer} announced {length} bytes, expected an answer"))
                return
            if len(buffer) < HEAD_BYTES + length:
                return
            frame_end = HEAD_BYTES + length
            self._buffer, found = buffer[frame_end:], buffer[HEAD_BYTES:frame_end]
            buffer = self._buffer
            if self._reply is not None and not self._reply.done():
                self._reply.set_result(found)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        what = f"closed after {len(self._buffer)} bytes of a frame" if self._buffer else "closed without a byte"
        # A frame that is cut short is the device's fault, not silence.
        cut: Exception = MalformedReplyError(f"{self._peer} {what}") if self._buffer else ConnectionAbortedError(what)
        self._end(exc or cut)

    def _end(self, fault: Exception) -> None:
        self._lost = fault
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(fault)
