"""The glass in a browser: textual-serve with our own page, for callers who mean this very server."""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import click
from aiohttp import web
from textual_serve.server import Server
from typing_extensions import override

PAGES = Path(__file__).parent / "web"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'"
)
OPEN_TRIES, OPEN_EVERY_S = 200, 0.05
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GlassServer(Server):
    """One process of the glass per browser; it has no accounts, so it is for loopback or behind a proxy that has."""

    def __init__(self, socket_path: str, *, host: str, port: int, read_only: bool) -> None:
        """`read_only` is told to every glass that is opened."""
        words = [sys.executable, "-m", "farmctl", "tui", "--socket", socket_path]
        words += ["--read-only"] if read_only else []
        super().__init__(shlex.join(words), host=host, port=port, title="farmctl", templates_path=PAGES)
        self._read_only = read_only

    @override
    async def on_startup(self, app: web.Application) -> None:
        """Say where it is, once it is there: this is called before the port is open."""
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        for _ in range(OPEN_TRIES):
            try:
                _, writer = await asyncio.open_connection(self.host, self.port)
            except OSError:
                await asyncio.sleep(OPEN_EVERY_S)
                continue
            writer.close()
            break
        what = "read-only" if self._read_only else "orders allowed: whoever reaches this port may give them"
        click.echo(f"farmctl: the glass is at {self.public_url} ({what}); ctrl+c ends it", err=True)

    @override
    def initialize_logging(self) -> None:
        """The log is the terminal of whoever started it: nothing but errors."""

    @override
    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guarded)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A page of another site must not look through the operator's browser: names and origins have to be ours."""
        host = urlsplit(f"//{request.host}").hostname or ""
        if host not in {self.host, "localhost"} and not is_loopback(host):
            raise web.HTTPForbidden(text=f"host {host!r}: expected the address that this glass is served at")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text=f"origin {origin!r}: expected http://{request.host}")
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = POLICY
            response.headers["X-Frame-Options"] = "DENY"
        return response


def is_loopback(host: str) -> bool:
    """An address of this machine alone; a name is none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
