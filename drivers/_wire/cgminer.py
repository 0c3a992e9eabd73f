"""The cgminer API on TCP: one connection, one request, one JSON reply that ends at a NUL or at the close.

A Protocol, not streams: on uvloop a poll by streams and the json module costs twice as much CPU
(`SCALE.md` section 2.1: 0.24 against 0.125 ms for a Whatsminer-size reply at 100 in flight).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import orjson
from typing_extensions import override

from drivers._wire.json_repair import repair
from farmctl.errors import MalformedReplyError, SilentPeerError
from farmctl.ports.fence import FencedOffError, fence

API_PORT = 4028
"""Where every firmware of the cgminer family listens."""

REPLY_LIMIT = 1 << 20
"""The largest recorded reply is 20 KB; whoever sends a megabyte is not a miner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a call may take, s."""

    connect_s: float = 2.0
    answer_s: float = 3.0
    """From the connection to the last byte of the reply."""


DEADLINES = Deadlines()


class MiningProcessDownError(MalformedReplyError):
    """The API relay answers, but the mining process behind it is down."""


def request(command: str, parameter: str = "") -> bytes:
    """Encode one command as miners expect it."""
    if parameter:
        return orjson.dumps({"command": command, "parameter": parameter})
    return orjson.dumps({"command": command})


async def ask(host: str, port: int, payload: bytes, deadlines: Deadlines = DEADLINES) -> dict[str, Any]:
    """Send one request and read its reply as a JSON object.

    Raises what `exchange` and `parse_reply` raise.
    """
    raw = await exchange(host, port, payload, deadlines)
    try:
        reply = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return parse_reply(raw, f"{host}:{port}")
    if type(reply) is dict:
        return reply
    raise MalformedReplyError(f"{host}:{port} answered {raw[:60]!r}, expected a JSON object")


async def exchange(host: str, port: int, payload: bytes, deadlines: Deadlines = DEADLINES) -> bytes:
    """Connect, write, read up to the NUL (not included) or the close; the socket is closed on every path.

    Raises SilentPeerError: refused, reset, past a deadline, or closed without a byte;
    MalformedReplyError: more than REPLY_LIMIT bytes.
    """
    loop = asyncio.get_running_loop()
    link = _Exchange(loop, payload, deadlines)
    try:
        await loop.create_connection(link, host, port)
        return await link.reply
    except asyncio.CancelledError:
        if link.was_cancelled_by_deadline():
            raise SilentPeerError(f"{host}:{port} did not connect within {deadlines.connect_s:g} s") from None
        raise
    except OSError as fault:
        what = "did not connect" if link.transport is None else "broke the connection"
        if isinstance(fault, _OverdueError):
            what = f"did not answer within {deadlines.answer_s:g} s"
        raise SilentPeerError(f"{host}:{port} {what}: {fault}") from fault
    finally:
        link.abandon()
        del link  # an error's traceback holds this frame: frame, link, reply and error would keep each other alive


def parse_reply(raw: bytes, peer: str) -> dict[str, Any]:
    """Read a reply strictly, and only if that fails as broken firmware means it.

    Raises MiningProcessDownError for btminer's relay message, MalformedReplyError naming `peer` for the rest.
    """
    text = raw.partition(b"\0")[0]
    try:
        reply = orjson.loads(text)
    except orjson.JSONDecodeError:
        # Whatsminer: the relay's own words while btminer restarts or is powered off.
        if text.startswith(b"Socket connect failed"):
            raise MiningProcessDownError(f"{peer} says {text.strip().decode(errors='replace')!r}") from None
        try:
            reply = orjson.loads(repair(text.decode("utf-8", "replace")))
        except (MalformedReplyError, orjson.JSONDecodeError) as fault:
            raise MalformedReplyError(f"{peer} answered {text[:60]!r}, expected JSON: {fault}") from fault
    if isinstance(reply, dict):
        return reply
    raise MalformedReplyError(f"{peer} answered {text[:60]!r}, expected a JSON object")


class _OverdueError(OSError):
    """The answer did not come before its deadline."""


class _Exchange(asyncio.Protocol):
    """One request and its reply; calling it returns itself, so that it is its own protocol factory.

    One timer serves both deadlines: asyncio.timeout with a reschedule costs 10 us on uvloop, this 3 of some 80.
    """

    __slots__ = (
        "answer_s",
        "buffer",
        "cancelling",
        "connected_at_s",
        "fence",
        "is_cancelled",
        "loop",
        "payload",
        "reply",
        "task",
        "timer",
        "transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, payload: bytes, deadlines: Deadlines) -> None:
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("an exchange runs inside a task: its connect deadline cancels it")
        self.loop = loop
        self.task = task
        self.cancelling = task.cancelling()
        self.is_cancelled = False
        self.payload = payload
        self.fence = fence()  # taken here: uvloop promises no context to a protocol's callbacks
        self.buffer = b""
        self.reply: asyncio.Future[bytes] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self.connected_at_s = 0.0
        self.answer_s = deadlines.answer_s
        self.timer = loop.call_later(deadlines.connect_s, self.expire)

    def __call__(self) -> _Exchange:
        return self

    def expire(self) -> None:
        """Fail what is overdue; re-arm once where the connection came in time and the answer may still."""
        if self.transport is None:
            self.is_cancelled = True
            self.task.cancel()
            return
        left_s = self.connected_at_s + self.answer_s - self.loop.time()
        if left_s > 0:
            self.timer = self.loop.call_later(left_s, self.expire)
        else:
            self._fail(_OverdueError(f"{len(self.buffer)} bytes came"))

    def was_cancelled_by_deadline(self) -> bool:
        """Whether the cancellation in hand is this exchange's own; takes it back, as asyncio.timeout does."""
        return self.is_cancelled and self.task.uncancel() <= self.cancelling

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connected_at_s = self.loop.time()
        self.transport = link = cast("asyncio.Transport", transport)
        if self.fence is not None and not self.fence():
            self._fail(FencedOffError())
            return
        link.write(self.payload)

    @override
    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        self.buffer = data
        end = data.find(b"\0")
        if end >= 0:
            self._finish(data[:end])
        elif len(data) > REPLY_LIMIT:
            self._fail(MalformedReplyError(f"a reply of more than {REPLY_LIMIT} bytes, expected a miner's answer"))
        elif data.endswith((b"}", b"}\n")) and _is_whole(data):
            self._finish(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._fail(exc)
        elif self.buffer:
            self._finish(self.buffer)
        else:
            self._fail(ConnectionAbortedError("closed without a byte"))

    def abandon(self) -> None:
        """Close at once and keep nothing: a transport knows its protocol, and here that circle ends."""
        self.timer.cancel()
        if self.transport is not None:
            self.transport.abort()
            self.transport = None
        if not self.reply.cancel() and not self.reply.cancelled():
            self.reply.exception()  # seen: a reply that nobody awaited any more is not worth a log line

    def _finish(self, reply: bytes) -> None:
        if not self.reply.done():
            self.reply.set_result(reply)

    def _fail(self, fault: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(fault)


def _is_whole(data: bytes) -> bool:
    """Whether a reply without NUL is complete: firmware that keeps the connection open must not cost a deadline."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
