"""A webhook's receiver on loopback that answers what the story wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


@dataclass
class Receiver:
    """What arrived, and what is answered."""

    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers; 200 when it is empty."""
    got: list[tuple[dict[str, Any], dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for body, _, _ in self.got]

    async def take(self, request: web.Request) -> web.Response:
        data = await request.read()
        self.got.append((orjson.loads(data), dict(request.headers), data))
        return web.Response(status=self.answers.pop(0) if self.answers else 200, text="said so")


@asynccontextmanager
async def receiving(*answers: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers=list(answers))
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
