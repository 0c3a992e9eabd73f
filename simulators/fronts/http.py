"""A small HTTP/1.1 server with digest log-in, as lighttpd on a miner's control board behaves."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import deque
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING, Protocol, cast

from typing_extensions import override

from simulators.faults import Fault
from simulators.fronts.door import Outcome, is_gone, is_served, reset, spoil

if TYPE_CHECKING:
    from simulators.miner import SimMiner

MAX_HEAD, MAX_BODY = 16_384, 1_048_576
MAX_NONCES = 64
FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^,\s]+))')
REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    500: "Error",
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, its body read."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Target without the query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One answer; `delay_s` is how long the board works on it."""

    status: int
    body: bytes
    content_type: str = "application/json"
    header: str = ""
    delay_s: float = 0.0


class WebFront(Protocol):
    """What answers behind an HTTP door."""

    def answer(self, request: HttpRequest) -> HttpReply:
        """Return the reply to one request."""
        ...


class DigestGate:
    """Digest log-in with qop=auth for one miner; `era` voids the nonces given out before."""

    def __init__(self, realm: str) -> None:
        self._realm = realm
        self._nonces: deque[str] = deque(maxlen=MAX_NONCES)
        self._era = 0

    def admits(self, request: HttpRequest, user: str, password: str, era: int) -> bool:
        """Whether the request carries a valid answer to a nonce of ours."""
        if era != self._era:
            self._era = era
            self._nonces.clear()
        given = request.headers.get("authorization", "")
        if not given.lower().startswith("digest "):
            return False
        fields = {m[1].lower(): m[2] or m[3] or "" for m in FIELD.finditer(given[7:])}
        if fields.get("username") != user or fields.get("nonce") not in self._nonces:
            return False
        return secrets.compare_digest(
            fields.get("response", ""), self._expected(fields, request.method, user, password)
        )

    def challenge(self) -> HttpReply:
        """Build the 401 with a fresh nonce."""
        nonce = secrets.token_hex(16)
        self._nonces.append(nonce)
        header = f'WWW-Authenticate: Digest realm="{self._realm}", nonce="{nonce}", algorithm=MD5, qop="auth"\r\n'
        page = b"<html><head><title>401 Unauthorized</title></head></html>"
        return HttpReply(401, page, "text/html", header)

    def _expected(self, fields: dict[str, str], method: str, user: str, password: str) -> str:
        secret = _hash(f"{user}:{self._realm}:{password}")
        what = _hash(f"{method}:{fields.get('uri', '')}")
        parts = [fields.get(k, "") for k in ("nonce", "nc", "cnonce", "qop")]
        return _hash(":".join([secret, *parts, what]))


class HttpDoor(asyncio.Protocol):
    """One connection to a web server; requests are answered in order, keep-alive."""

    __slots__ = ("_allow_remote", "_buffer", "_front", "_miner", "_timer", "_transport")

    def __init__(self, miner: SimMiner, front: WebFront, *, allow_remote: bool) -> None:
        self._miner = miner
        self._front = front
        self._allow_remote = allow_remote
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport: nothing to check here
        self._transport = cast("asyncio.Transport", transport)
        self._miner.live.add(self._transport)
        peername = transport.get_extra_info("peername")
        if not is_served(peername[0] if peername else "", allow_remote=self._allow_remote):
            self._transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._miner.live.discard(cast("asyncio.Transport", self._transport))
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._timer is None:
            self._answer_next()

    def _answer_next(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if is_gone(self._miner):
            transport.abort()
            return
        try:
            taken = take_request(self._buffer)
        except ValueError:
            transport.write(_encode(HttpReply(400, b""), close=True))
            transport.close()
            return
        if taken is None:
            return
        request, self._buffer = taken
        reply = self._front.answer(request)
        close = request.headers.get("connection", "").lower() == "close"
        outcome = Outcome(reply.body)
        if self._miner.faults:
            outcome = spoil(self._miner, reply.body)
        delay_s = reply.delay_s + outcome.delay_s
        loop = asyncio.get_running_loop()
        if delay_s > 0:
            self._timer = loop.call_later(delay_s, self._send_late, reply, outcome, close)
        else:
            self._send(reply, outcome, close)

    def _send_late(self, reply: HttpReply, outcome: Outcome, close: bool) -> None:  # noqa: FBT001 - call_later passes positionally
        self._timer = None
        self._send(reply, outcome, close)

    def _send(self, reply: HttpReply, outcome: Outcome, close: bool) -> None:  # noqa: FBT001 - as above
        transport = self._transport
        if transport is None or outcome.data is None:
            return
        if outcome.reset:
            reset(transport)
            return
        transport.write(_encode(reply, outcome.data, whole=outcome.whole, close=close))
        if close or not outcome.whole:
            transport.close()
        elif self._buffer:
            self._answer_next()


def take_request(data: bytes) -> tuple[HttpRequest, bytes] | None:
    """Split one request off; None when it is not complete; raises ValueError on nonsense."""
    head, gap, rest = data.partition(b"\r\n\r\n")
    if not gap:
        if len(data) > MAX_HEAD:
            raise ValueError(f"request head of more than {MAX_HEAD} bytes")
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= MAX_BODY:
        raise ValueError(f"content-length {length}, expected at most {MAX_BODY}")
    if len(rest) < length:
        return None
    return HttpRequest(method, target, headers, rest[:length]), rest[length:]


def is_refused(miner: SimMiner) -> bool:
    """Whether the fault of endless 401 is on."""
    return Fault.UNAUTHORIZED in miner.faults


def _encode(reply: HttpReply, body: bytes | None = None, *, whole: bool = True, close: bool) -> bytes:
    sent = reply.body if body is None else body
    length = len(sent) if whole else len(reply.body)
    head = (
        f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'OK')}\r\n"
        f"{reply.header}Content-Type: {reply.content_type}\r\nContent-Length: {length}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\nServer: lighttpd/1.4.32\r\n\r\n"
    )
    return head.encode("latin-1") + sent


def _hash(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
