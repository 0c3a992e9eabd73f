"""HTTP digest client for miners' CGI pages: one shared session, one nonce per device, deadlines, a size cap."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import orjson

from farmctl.errors import CredentialError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.fence import must_be_open

CONNECT_S = 2.0
ANSWER_S = 3.0
BODY_CAP_BYTES = 1 << 20
"""A stock `get_miner_conf` is 1 KiB, `stats` of a 4-board machine 12 KiB: a megabyte is somebody else's server."""
CHUNK_BYTES = 1 << 16
KEEP_ALIVE_S = 30.0
"""Longer than a command and its confirmation by polling (1-2 s), shorter than an idle farm would keep sockets open."""

_FAULT = 500
_REALM = re.compile(r'realm="([^"]*)"')


class NotServedError(RefusedError):
    """The web server has no such page."""


class WrongRealmError(CredentialError):
    """The password was refused; `realm` says whose door it was."""

    def __init__(self, message: str = "", *, realm: str = "") -> None:
        super().__init__(message)
        self.realm = realm


def _fence_last() -> aiohttp.TraceConfig:
    """The fence is asked when the connection is there: between that and the bytes nothing is waited for."""

    async def asked(*_: object) -> None:
        must_be_open()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(asked)
    trace.on_connection_reuseconn.append(asked)
    return trace


class SharedWeb:
    """One aiohttp session for all devices of a driver; opened by the first use, closed by the last `close`.

    A session belongs to the loop that runs at its first use; another loop gets its own.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._holders: set[object] = set()

    def session(self, holder: object) -> aiohttp.ClientSession:
        """The open session; `holder` keeps it open until it is released."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            # Cookies, redirects and gzip are no part of these pages: nothing a stranger sends is unpacked or kept.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
                trace_configs=[_fence_last()],
            )
            self._loop = loop
            self._holders = set()
        self._holders.add(holder)
        return self._session

    async def release(self, holder: object) -> None:
        """Give the session back; the last one out closes it. Safe to call twice."""
        self._holders.discard(holder)
        if self._holders or self._session is None:
            return
        session, self._session = self._session, None
        await session.close()


class DigestClient:
    """CGI pages of one device behind HTTP digest; keeps the nonce, so that most requests are one round trip.

    The digest itself is aiohttp's `DigestAuthMiddleware` (3.14): it counts `nc` up on one nonce, answers a 401 or
    `stale=true` once with the new challenge, and sends the password's proof to one origin only, which is why every
    device has its own. Kept alive on uvloop a page costs 0.12 ms of CPU, 0.06 of them the digest (loopback, 100
    devices in flight, 4 x 2,000 requests): a digest of our own could save half of that 0.06 at best.
    """

    def __init__(self, web: SharedWeb, *, host: str, port: int, user: str, password: str) -> None:
        self.where = f"{host}:{port}"
        self._web = web
        netloc = f"[{host}]" if ":" in host else host
        self._origin = f"http://{netloc}:{port}"
        if ":" in user:
            raise CredentialError(f"{self.where}: user {user!r}, expected one without a colon: a digest cannot say it")
        self._digest = aiohttp.DigestAuthMiddleware(user, password)
        # Two requests on one nonce could arrive with their counts swapped, which a strict server calls a replay;
        # and two `set_miner_conf.cgi` at once rewrite one file (Bitmain's script has no lock).
        self._turn = asyncio.Lock()

    async def get(self, path: str, *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S) -> bytes:
        """Body of a page. Raises SilentPeerError, MalformedReplyError, NotServedError, WrongRealmError."""
        return await self._ask("GET", path, None, connect_s=connect_s, answer_s=answer_s)

    async def post(
        self, path: str, payload: object, *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S
    ) -> bytes:
        """Body of the answer to compact JSON; raises as `get` does. Never repeated by itself after a lost answer."""
        return await self._ask("POST", path, orjson.dumps(payload), connect_s=connect_s, answer_s=answer_s)

    async def close(self) -> None:
        """Give the shared session back; safe to call twice."""
        await self._web.release(self)

    async def _ask(self, method: str, path: str, body: bytes | None, *, connect_s: float, answer_s: float) -> bytes:
        async with self._turn:
            try:
                async with asyncio.timeout(connect_s + answer_s):
                    return await self._exchange(method, path, body, connect_s)
            except TimeoutError as fault:  # aiohttp's connect time-out is one too
                said = f"{self.where} {path}: no answer within {connect_s} s to connect and {answer_s} s to answer"
                raise SilentPeerError(said) from fault
            except aiohttp.ClientConnectorError as fault:
                raise SilentPeerError(f"{self.where} {path}: cannot connect: {fault.os_error}") from fault
            except aiohttp.ServerDisconnectedError as fault:
                raise SilentPeerError(f"{self.where} {path}: closed the connection without an answer") from fault
            except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as fault:
                raise MalformedReplyError(f"{self.where} {path}: not an HTTP answer: {fault}") from fault
            except (aiohttp.ClientError, OSError, ValueError) as fault:
                # ClientError: a challenge without nonce, an unknown algorithm; ValueError: a header that is none.
                raise MalformedReplyError(f"{self.where} {path}: {type(fault).__name__}: {fault}") from fault

    async def _exchange(self, method: str, path: str, body: bytes | None, connect_s: float) -> bytes:
        session = self._web.session(self)
        async with session.request(
            method,
            self._origin + path,
            data=body,
            headers={"Content-Type": "application/json"} if body is not None else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
            middlewares=(self._digest,),
        ) as reply:
            self._judge(reply, path)
            return await self._body(reply, path)

    def _judge(self, reply: aiohttp.ClientResponse, path: str) -> None:
        match reply.status:
            case 200:
                return
            case 401 | 403:
                found = _REALM.search(reply.headers.get("WWW-Authenticate", ""))
                realm = found.group(1) if found else ""
                said = f"{self.where} {path}: user or password refused (HTTP {reply.status}, realm {realm!r})"
                raise WrongRealmError(said, realm=realm)
            case 404:
                raise NotServedError(f"{self.where} {path}: no such page (HTTP 404)")
            case status if status >= _FAULT:
                raise MalformedReplyError(f"{self.where} {path}: HTTP {status} where 200 was expected")
            case status:
                raise RefusedError(f"{self.where} {path}: HTTP {status} where 200 was expected")

    async def _body(self, reply: aiohttp.ClientResponse, path: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in reply.content.iter_chunked(CHUNK_BYTES):
            size += len(part)
            if size > BODY_CAP_BYTES:
                raise MalformedReplyError(f"{self.where} {path}: answer above {BODY_CAP_BYTES} bytes")
            parts.append(part)
        return b"".join(parts)
