"""The controller as the glass knows it: a snapshot, then the watch, for ever; the link's state told meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from typing_extensions import override

from farmctl.control.client import ControllerRefusedError, ControllerSilentError, Where, elsewhere
from farmctl.control.mirror import first_image, next_image
from farmctl.control.sieve import fitting
from farmctl.core.units import MaskColumn
from farmctl.errors import FarmError, MalformedReplyError
from farmctl.ports.feed import Feed, FleetImage, LinkState, SiteMovedError

SILENT_S = 3.0
"""No byte for so long is a lost link (OPERATIONS section 3)."""
ASK_S = 15.0
RETRY_S = (0.25, 0.5, 1.0, 2.0)
"""Pause before each new try; the last one is kept."""
TOLD_S = 1.0
LONGEST_LINE = 32 * 2**20
GONE = 410
ERROR_FROM = 400
MOVED = frozenset({"if_rev", "params.confirm"})
"""Fields that are right in a preview and wrong a moment later: another's order, a change that has become large."""
HOST = "http://farmctl"


class SocketFeed(Feed):
    """One controller on its Unix socket, or over TLS with a token."""

    def __init__(self, where: str | Where, origin: str = "") -> None:
        """A text is a socket's path; `origin` is where this terminal says that it comes from."""
        self._home = where if isinstance(where, Where) else Where(socket=where)
        self._headers = {"X-Farmctl-Origin": origin}
        self._go(self._home)
        self._heard_s = 0.0
        self._attempt = 0

    @override
    async def run(self, on_image: Callable[[FleetImage], None], on_link: Callable[[LinkState], None]) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        while True:
            why = await self._followed(on_image, on_link)
            pause_s = RETRY_S[min(self._attempt, len(RETRY_S) - 1)]
            self._attempt += 1
            await self._down(on_link, why, pause_s)

    @override
    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(ASK_S),
                self._session() as session,
                session.request(method, self._host + path, data=data, headers=headers) as response,
            ):
                return _answer(response.status, await response.read(), f"{method} {path}")
        except ControllerRefusedError as error:
            if error.field in MOVED:
                raise SiteMovedError(str(error)) from error
            raise
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            message = f"{self._path}: the controller does not answer: {_why(error)}"
            raise ControllerSilentError(message) from None

    @override
    def matching(self, image: FleetImage, text: str) -> MaskColumn:
        return fitting(image, text)

    def _go(self, where: Where) -> None:
        """Ask there from now on."""
        self._where = where
        self._path = where.named
        self._host = where.url.rstrip("/") or HOST
        if where.token:
            self._headers["Authorization"] = f"Bearer {where.token}"

    async def _followed(self, on_image: Callable[[FleetImage], None], on_link: Callable[[LinkState], None]) -> str:
        """Tell images until the link breaks; why it did."""
        try:
            async with self._session() as session:
                while True:
                    image = await self._snapshot(session)
                    self._attempt = 0
                    on_link(LinkState(up=True, age_s=0.0, attempt=0, why=""))
                    on_image(image)
                    await self._watch(session, image, on_image)
        except TimeoutError:
            self._go(self._home)
            return f"no byte for {SILENT_S:.0f} s"
        except ControllerRefusedError as error:
            self._go(elsewhere(self._where, error) or self._home)
            return _why(error)
        except (FarmError, aiohttp.ClientError, OSError) as error:
            self._go(self._home)
            return _why(error)

    async def _snapshot(self, session: aiohttp.ClientSession) -> FleetImage:
        async with asyncio.timeout(ASK_S), session.get(f"{self._host}/v1/snapshot") as response:
            data = await response.read()
            if response.status >= ERROR_FROM:
                _answer(response.status, data, "GET /v1/snapshot")
        self._hear()
        return await asyncio.to_thread(_parsed, data)

    async def _watch(
        self, session: aiohttp.ClientSession, image: FleetImage, on_image: Callable[[FleetImage], None]
    ) -> None:
        """Follow one snapshot; returns when the controller wants another one taken."""
        path = f"{self._host}/v1/watch?since={image.rev}&epoch={quote(image.epoch)}"
        async with asyncio.timeout(SILENT_S):
            response = await session.get(path)
        async with response:
            if response.status == GONE:
                return
            if response.status >= ERROR_FROM:
                _answer(response.status, await response.read(), "GET /v1/watch")
            told: list[tuple[str, bytes]] = []
            async for name, data, last in self._events(response.content):
                if name == "gone":
                    return
                if name != "heartbeat":
                    told.append((name, data))
                if last:
                    image = next_image(image, told)
                    told = []
                    on_image(image)
        message = "the controller closed the link"
        raise ControllerSilentError(message)

    async def _events(self, stream: aiohttp.StreamReader) -> AsyncIterator[tuple[str, bytes, bool]]:
        """(event, data, last of its revision) for every server-sent event; raises TimeoutError when silent."""
        name, data, last = "", b"", False
        while True:
            async with asyncio.timeout(SILENT_S):
                line = await stream.readuntil(b"\n")
            if not line:
                return
            self._hear()
            if line == b"\n":
                yield name, data, last
                name, data, last = "", b"", False
            elif line.startswith(b"event: "):
                name = line[7:-1].decode()
            elif line.startswith(b"data: "):
                data = line[6:-1]
            elif line.startswith(b"id: "):
                last = True

    async def _down(self, on_link: Callable[[LinkState], None], why: str, pause_s: float) -> None:
        """Say that the link is lost, with its age, for as long as the pause."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + pause_s
        while True:
            age_s = loop.time() - self._heard_s
            on_link(LinkState(up=False, age_s=age_s, attempt=self._attempt, why=why))
            if (left_s := until_s - loop.time()) <= 0:
                return
            await asyncio.sleep(min(left_s, TOLD_S))

    def _hear(self) -> None:
        self._heard_s = asyncio.get_running_loop().time()

    def _session(self) -> aiohttp.ClientSession:
        where = self._where
        if where.url:
            trust = ssl.create_default_context(cafile=where.ca_file or None)
            connector: aiohttp.BaseConnector = aiohttp.TCPConnector(ssl=trust)
        else:
            connector = aiohttp.UnixConnector(path=where.socket)
        return aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=LONGEST_LINE,
        )


def _parsed(data: bytes) -> FleetImage:
    """The first image; the memory that reading the JSON took is given back.

    glibc keeps it otherwise: 13 of 100 MB at 50,000 miners.
    """
    image = first_image(data)
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
    return image


def _answer(status: int, data: bytes, asked: str) -> dict[str, Any]:
    """The object of an answer. Raises ControllerRefusedError, MalformedReplyError."""
    try:
        told = orjson.loads(data)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        message = f"{asked}: expected a JSON object, got {data[:80]!r}"
        raise MalformedReplyError(message)
    if status < ERROR_FROM:
        return told
    error = told.get("error", {})
    words = {name: str(error.get(name, "")) for name in ("code", "field", "hint", "door")}
    raise ControllerRefusedError(status, words.pop("code"), str(error.get("message", f"{asked}: {status}")), **words)


def _why(error: BaseException) -> str:
    """In a person's words: a connector's own text is a path and a row of defaults."""
    number = getattr(error, "errno", None)
    if isinstance(error, aiohttp.ClientConnectorError) and number is not None:
        return f"no controller listens there: {os.strerror(number).lower()}"
    return str(error) or type(error).__name__
