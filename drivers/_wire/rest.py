"""JSON over plain HTTP: keep-alive, a token in one header, deadlines, a size cap; no vendor knowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from drivers._wire.digest import ANSWER_S, BODY_CAP_BYTES, CHUNK_BYTES, CONNECT_S, NotServedError, SharedWeb
from drivers._wire.json_repair import loads
from farmctl.errors import CredentialError, MalformedReplyError, RefusedError, SilentPeerError

SAID_BYTES = 200
"""How much of a refusal's text is repeated in our message."""

_FAULT = 500


class UnauthorizedError(CredentialError):
    """The token or the password was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call: absolute, so that asking twice does what asking once does, unless `once` says otherwise."""

    method: str
    path: str
    payload: object = None
    answer_s: float = ANSWER_S
    once: bool = False
    """Never repeated by itself after a lost answer: a restart."""
    form: str = ""
    """A body that is no JSON but a form."""
    keeps_cookies: bool = False
    """Whether cookies in the answer are kept for the caller: a log-in."""


class RestClient:
    """Pages of one device; polls and writes travel side by side, so no write waits behind a poll."""

    def __init__(self, web: SharedWeb, *, host: str, port: int) -> None:
        self.where = f"{host}:{port}"
        self._web = web
        netloc = f"[{host}]" if ":" in host else host
        self._origin = f"http://{netloc}:{port}"
        self.given: dict[str, str] = {}
        """Cookies of answers to requests with `keeps_cookies`."""

    async def ask(self, request: Request, headers: Mapping[str, str] | None = None) -> Any:
        """JSON of the answer; None where its body is empty.

        Raises SilentPeerError, MalformedReplyError, NotServedError (404, 405), UnauthorizedError (401, 403) and
        RefusedError (other 4xx) with the device's words.
        """
        body = await self.fetch(request, headers)
        if not body.strip():
            return None
        try:
            return loads(body)
        except MalformedReplyError as fault:
            raise MalformedReplyError(f"{self.at(request)}: {body[:60]!r}, expected JSON") from fault

    async def fetch(self, request: Request, headers: Mapping[str, str] | None = None) -> bytes:
        """Body of the answer as it came; raises as `ask` does but for JSON."""
        where = self.at(request)
        try:
            async with asyncio.timeout(CONNECT_S + request.answer_s):
                return await self._twice(request, headers)
        except TimeoutError as fault:  # aiohttp's connect time-out is one too
            said = f"{where}: no answer within {CONNECT_S:g} s to connect and {request.answer_s:g} s to answer"
            raise SilentPeerError(said) from fault
        except aiohttp.ClientConnectorError as fault:
            # The cause is the refusal itself: who asks whether anything is there wants to tell it from silence.
            raise SilentPeerError(f"{where}: cannot connect: {fault.os_error}") from fault.os_error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as fault:
            raise SilentPeerError(f"{where}: broke the connection without an answer: {fault}") from fault
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise MalformedReplyError(f"{where}: not an HTTP answer: {type(fault).__name__}: {fault}") from fault

    def at(self, request: Request) -> str:
        """Where a request goes, for messages."""
        return f"{self.where} {request.method} {request.path}"

    async def close(self) -> None:
        """Give the shared session back; safe to call twice."""
        await self._web.release(self)

    async def _twice(self, request: Request, headers: Mapping[str, str] | None) -> bytes:
        """A kept connection that the device closed meanwhile costs a second try, not a failed command."""
        try:
            return await self._exchange(request, headers)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if request.once:
                raise
            return await self._exchange(request, headers)

    async def _exchange(self, request: Request, headers: Mapping[str, str] | None) -> bytes:
        said = dict(headers or {})
        body = request.form.encode() or None
        if body is not None:
            said["Content-Type"] = "application/x-www-form-urlencoded"
        elif request.payload is not None:
            body = orjson.dumps(request.payload)
            said["Content-Type"] = "application/json"
        async with self._web.session(self).request(
            request.method,
            self._origin + request.path,
            data=body,
            headers=said,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        ) as reply:
            found = await self._body(reply, request)
            if request.keeps_cookies:
                self.given.update({name: morsel.value for name, morsel in reply.cookies.items()})
        self._judge(reply.status, found, request)
        return found

    async def _body(self, reply: aiohttp.ClientResponse, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in reply.content.iter_chunked(CHUNK_BYTES):
            size += len(part)
            if size > BODY_CAP_BYTES:
                raise MalformedReplyError(f"{self.at(request)}: answer above {BODY_CAP_BYTES} bytes")
            parts.append(part)
        return b"".join(parts)

    def _judge(self, status: int, body: bytes, request: Request) -> None:
        where = f"{self.at(request)}: HTTP {status} {body[:SAID_BYTES].decode(errors='replace')!r}"
        match status:
            case 200 | 201 | 202 | 204:
                return
            case 401 | 403:
                raise UnauthorizedError(f"{where}: token or password refused")
            case 404 | 405:
                raise NotServedError(f"{where}: no such page")
            case fault if fault >= _FAULT or fault < 400:  # noqa: PLR2004 - a redirect is somebody else's server
                raise MalformedReplyError(f"{where}, expected 200")
            case _:
                raise RefusedError(f"{where}, expected 200")


class TokenClient:
    """Calls that carry a token: logged in when first needed, and once more where the device refused the old one."""

    def __init__(
        self,
        rest: RestClient,
        *,
        log_in: Callable[[], Awaitable[str]],
        header: str = "Authorization",
        is_expired: Callable[[Any], bool] = lambda _reply: False,
    ) -> None:
        """`log_in` returns the header's value or raises; `is_expired` finds a refusal that came as HTTP 200."""
        self._rest = rest
        self._log_in = log_in
        self._header = header
        self._is_expired = is_expired
        self._token = ""
        # Fifty calls that find the token expired at once are one log-in, not fifty.
        self._turn = asyncio.Lock()

    async def prepare(self) -> None:
        """Have a token."""
        await self._renew("")

    async def ask(self, request: Request, *, needs_token: bool = True) -> Any:
        """JSON of the answer; raises as RestClient.ask does, UnauthorizedError only for a fresh token.

        Without `needs_token` a first call goes without: some firmwares serve their reads to everybody.
        """
        if needs_token and not self._token:
            await self.prepare()
        token = self._token
        try:
            reply = await self._rest.ask(request, {self._header: token} if token else None)
            if not self._is_expired(reply):
                return reply
        except UnauthorizedError:
            pass  # answered below, outside the handler: what follows is no consequence of this refusal
        await self._renew(token)
        reply = await self._rest.ask(request, {self._header: self._token})
        if self._is_expired(reply):
            raise UnauthorizedError(f"{self._rest.at(request)}: a fresh token is refused")
        return reply

    async def _renew(self, refused: str) -> None:
        async with self._turn:
            if self._token == refused:
                self._token = ""
                self._token = await self._log_in()
