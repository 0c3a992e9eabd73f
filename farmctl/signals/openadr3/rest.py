"""The VTN's REST interface: bearer tokens, pages, deadlines; answers are objects or one of the error groups."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from farmctl.errors import (
    BackOffError,
    ConfigError,
    CredentialError,
    MalformedReplyError,
    RefusedError,
    SilentPeerError,
)
from farmctl.signals._intake.shape import JsonObject, json_object
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.openadr3.config import OpenAdr3Config, is_safe

PAGE = 50
"""Most that a VTN gives at once (openadr3.yaml 3.1.0, `limit`)."""
MOST_PAGES = 40
MOST_BYTES = 4 * 2**20
REFRESH_EARLY_S = 30.0
TOKEN_LASTS_S = 3_600.0
"""Where the answer has no `expires_in`; a 401 refreshes at once in any case."""
_AWAY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})

Body = Mapping[str, Any]


class UnknownPathError(RefusedError):
    """The VTN has no such object or does not offer this service."""


class ConflictError(RefusedError):
    """The VTN has an object of that name already."""


class Vtn:
    """One VTN; `async with` opens its connections."""

    def __init__(self, config: OpenAdr3Config) -> None:
        self._config = config
        self._base = config.url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._token_until_s = 0.0
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Open; raises ConfigError for certificates that cannot be read."""
        certificates = self._config.certificates
        tls = certificates.context() if certificates is not None else True
        timeout = aiohttp.ClientTimeout(total=self._config.deadline_s)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def listing(self, path: str, query: Mapping[str, str] | None = None) -> list[JsonObject]:
        """All objects of a path, page by page.

        Raises MalformedReplyError where they are not objects or do not end after `MOST_PAGES`.
        """
        found: list[JsonObject] = []
        for page in range(MOST_PAGES):
            part = await self._call("GET", path, query={**(query or {}), "skip": str(page * PAGE), "limit": str(PAGE)})
            if not isinstance(part, list) or not all(isinstance(item, dict) for item in part):
                raise MalformedReplyError(f"GET {path}: expected a list of objects")
            found += part
            if len(part) < PAGE:
                return found
        raise MalformedReplyError(f"GET {path}: more than {MOST_PAGES * PAGE} objects")

    async def one(self, path: str) -> JsonObject:
        """One object.  Raises MalformedReplyError where it is none."""
        return _an_object(await self._call("GET", path), f"GET {path}")

    async def post(self, path: str, body: Body) -> JsonObject:
        """Create an object.  Raises ConflictError where it exists."""
        return _an_object(await self._call("POST", path, body=body), f"POST {path}")

    async def token(self) -> str:
        """A bearer token that is valid now; empty where the certificate is enough."""
        if self._config.login is None:
            return ""
        async with self._renewing:
            if time.monotonic() >= self._token_until_s:
                await self._renew()
            return self._token

    async def _call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Any:
        """One call; a token that was refused is renewed once."""
        for again in (True, False):
            bearer = await self.token()
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            status, raw = await self._send(method, f"{self._base}{path}", headers=headers, params=query, json=body)
            if status == HTTPStatus.UNAUTHORIZED and bearer and again:
                self._token_until_s = 0.0
                continue
            return _answer(status, raw, f"{method} {path}")
        raise CredentialError(f"{method} {path}: the VTN refuses a fresh token")

    async def _renew(self) -> None:
        login = self._config.login
        if login is None:
            return
        form = {
            "grant_type": "client_credentials",
            "client_id": login.client_id,
            "client_secret": login.client_secret,
            **({"scope": login.scope} if login.scope else {}),
        }
        url = await self._token_url()
        status, raw = await self._send("POST", url, data=form)
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise CredentialError(f"{URL(url).path}: the VTN refuses client {login.client_id!r} ({status})")
        answer = _an_object(_answer(status, raw, "POST /auth/token"), "POST /auth/token")
        token, kind, lasts_s = answer.get("access_token"), answer.get("token_type"), answer.get("expires_in")
        if not isinstance(token, str) or not token or str(kind).lower() != "bearer":
            raise MalformedReplyError("POST /auth/token: expected access_token and token_type Bearer")
        usable_s = float(lasts_s) if isinstance(lasts_s, int | float) and lasts_s > 0 else TOKEN_LASTS_S
        self._token = token
        self._token_until_s = time.monotonic() + max(usable_s - REFRESH_EARLY_S, usable_s / 2)

    async def _token_url(self) -> str:
        """As configured, else as the VTN says, else its own; never one that would carry the secret in the clear."""
        login = self._config.login
        if login is not None and login.token_url is not None:
            return login.token_url
        status, raw = await self._send("GET", f"{self._base}/auth/server")
        if status != HTTPStatus.OK:
            return f"{self._base}/auth/token"
        told = _an_object(_answer(status, raw, "GET /auth/server"), "GET /auth/server").get("tokenURL")
        url = URL(told) if isinstance(told, str) else URL()
        if not url.is_absolute():
            url = URL(f"{self._base}/").join(url) if isinstance(told, str) and told else URL(f"{self._base}/auth/token")
        if not is_safe(url):
            raise ConfigError(f"GET /auth/server: tokenURL {url} would carry the secret in the clear, expected https")
        return str(url)

    async def _send(self, method: str, url: str, **what: Any) -> tuple[int, bytes]:
        """Status and body.  Raises SilentPeerError without an answer in time, MalformedReplyError for a flood."""
        if self._session is None:
            raise SilentPeerError(f"{method} {URL(url).path}: not connected")
        try:
            async with (
                asyncio.timeout(self._config.deadline_s),
                self._session.request(method, url, allow_redirects=False, **what) as response,
            ):
                return response.status, await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error) or type(error).__name__
            raise SilentPeerError(f"{method} {URL(url).path} of source {self._config.name!r}: {told}") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(2**16):
        size += len(chunk)
        if size > MOST_BYTES:
            raise MalformedReplyError(f"{response.url.path}: more than {MOST_BYTES} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _answer(status: int, raw: bytes, what: str) -> Any:
    """The JSON of a good answer.  Raises by what the caller should do."""
    if status in (HTTPStatus.OK, HTTPStatus.CREATED):
        try:
            return json_object(b'{"answer":' + raw + b"}", max_bytes=MOST_BYTES + 64)["answer"]
        except NotAcceptedError as fault:
            raise MalformedReplyError(f"{what}: {fault.detail}") from fault
    told = f"{what}: HTTP {status} {raw[:200].decode(errors='replace')}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise CredentialError(told)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED):
        raise UnknownPathError(told)
    if status == HTTPStatus.CONFLICT:
        raise ConflictError(told)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AWAY:
        raise BackOffError(told)
    raise RefusedError(told)


def _an_object(found: Any, what: str) -> JsonObject:
    if not isinstance(found, dict):
        raise MalformedReplyError(f"{what}: expected an object")
    return found
