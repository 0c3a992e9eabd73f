"""The front door of a process that does not lead: it says who does, and that is all it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from farmctl.control.door import close_socket, open_socket, take_no_more
from farmctl.control.wire import answer
from farmctl.core.units import MS_PER_S
from farmctl.ports.shards import Member
from farmctl.ports.site import Clock

NOT_LEADING = 503
UNKNOWN_S = 60.0
"""So long after a leader was last seen this process counts as well; then the dead man beside it acts."""


class StandbyDoor:
    """Answers on the same socket as the controller would."""

    def __init__(self, path: Path, group: str | None, clock: Clock) -> None:
        self._path, self._group, self._clock = path, group, clock
        self._leader: Member | None = None
        self._heard_s = clock.monotonic_s()

    def heard(self, members: Sequence[Member]) -> None:
        """Who is there, as the database has it."""
        leader = next((member for member in members if member.leads), None)
        if leader is not None:
            self._leader, self._heard_s = leader, self._clock.monotonic_s()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve while the block runs. Raises SocketError."""
        door = open_socket(self._path, self._group)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answered)
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
        try:
            await runner.setup()
            await web.SockSite(runner, door).start()
            yield
        finally:
            await take_no_more(door)
            await runner.cleanup()
            close_socket(door, self._path)

    async def _answered(self, request: web.Request) -> web.Response:
        age_s = self._clock.monotonic_s() - self._heard_s
        leader = self._leader
        if request.path == "/v1/health" and age_s < UNKNOWN_S:
            name = leader.name if leader else None
            return answer({"role": "standby", "leader": name, "age_ms": int(age_s * MS_PER_S)})
        who = f"{leader.name} leads, at {leader.door}" if leader else "nobody leads yet"
        error = {
            "code": "not_leading",
            "message": f"this process stands by; {who}",
            "field": "",
            "hint": "ask there" if leader else "ask again in some seconds",
            "door": leader.door if leader else "",
        }
        return answer({"error": error}, status=NOT_LEADING)
