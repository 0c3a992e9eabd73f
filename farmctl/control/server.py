"""The control API: HTTP and JSON on a Unix socket, and over TCP with TLS and tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from farmctl.control.answers import CALLER, Answers, Handler
from farmctl.control.door import close_socket, open_socket, take_no_more
from farmctl.control.identity import caller_of
from farmctl.control.parts import ControlParts
from farmctl.control.remote import RemoteError
from farmctl.control.routes import ROUTES
from farmctl.control.tokens import TokenFileError
from farmctl.control.wire import ApiError, refusal

__all__ = ["ControlParts", "ControlServer"]

log = structlog.get_logger(__name__)

BODY_LIMIT = 64 * 1024
DRAIN_S = 2.0
"""Answers under way get this long when the daemon stops."""
SETTLE_S = 1.0


class ControlServer:
    """One door; every answer is made from one picture and carries its `rev`."""

    def __init__(self, parts: ControlParts) -> None:
        self._p = parts
        self._answers = Answers(parts)
        self.streamer = self._answers.streamer

    async def run(self) -> None:
        """Serve until cancelled."""
        async with self.listening():
            await asyncio.Event().wait()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve while the block runs. Raises SocketError, RemoteError where a door cannot be opened."""
        path = self._p.socket_path
        await self._answers.door.restore(self._p.store)
        door = open_socket(path, self._p.group)
        runner = web.AppRunner(self.application(), handle_signals=False, access_log=None, shutdown_timeout=DRAIN_S)
        try:
            await runner.setup()
            await web.SockSite(runner, door).start()
            log.info("control_listening", socket=str(path))
            await self._open_remote(runner)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self.streamer.run()), tasks.create_task(self._settle())]
                try:
                    yield
                finally:
                    for task in running:
                        task.cancel()
        finally:
            self.streamer.close()
            await take_no_more(door)
            await runner.cleanup()
            close_socket(door, path)

    def application(self) -> web.Application:
        """Every path of the API."""
        app = web.Application(middlewares=[self._guarded], client_max_size=BODY_LIMIT)
        handlers = self._answers.handlers()
        for route in ROUTES:
            app.router.add_route(route.method, route.path, handlers[route.name])
        return app

    async def _open_remote(self, runner: web.AppRunner) -> None:
        """The TCP listener; never while nobody has a token."""
        remote = self._p.remote
        if remote is None:
            return
        try:
            if not remote.tokens.any_live(self._p.clock.now_ms()):
                log.warning("control_tcp_not_opened", why="nobody has a token", fix="farmctl token make, then restart")
                return
            await web.TCPSite(runner, remote.host, remote.port, ssl_context=remote.context).start()
        except (OSError, TokenFileError) as error:
            message = f"{remote.host}:{remote.port}: the API cannot be served there: {error}"
            raise RemoteError(message) from error
        log.info("control_listening_tls", host=remote.host, port=remote.port)

    async def _settle(self) -> None:
        """Note how orders ended, until cancelled."""
        while True:
            await asyncio.sleep(SETTLE_S)
            await self._answers.door.settle()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Name the caller, then answer; every error in the one form that clients read."""
        parts = self._p
        tokens = parts.remote.tokens if parts.remote is not None else None
        try:
            request[CALLER] = await caller_of(request, parts.identify, tokens, parts.clock.now_ms())
            return await handler(request)
        except ApiError as error:
            return refusal(error.status, str(error), field=error.field, hint=error.hint)
        except web.HTTPException as error:
            text = f"{request.method} {request.path}: {error.reason}"
            return refusal(error.status, text, hint="GET /v1/openapi.json lists the paths")
        except Exception:
            # A fault in one answer must not reach the control loop; it is recorded, and the client hears of it.
            log.exception("answer_failed", method=request.method, path=request.path)
            return refusal(500, f"{request.method} {request.path}: the controller failed to answer; see its log")
