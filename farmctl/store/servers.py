"""The servers of one DSN, any of which may be the primary, stand by, or be gone without a word.

asyncpg asks one server after the other under one deadline: a first one that is switched off, and refuses nothing, takes
all of it, and the second is never asked.  Here the next is asked when one has said no, or nothing for a moment; the
first good connection wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    import asyncpg

NEXT_S = 0.25
"""Silence after which the next server is asked as well (RFC 8305, section 8, has as much for addresses of a name)."""

Connect = Callable[..., Coroutine[Any, Any, "asyncpg.Connection"]]


class Servers:
    """What connects to whichever server fits; the one that did last is asked first."""

    def __init__(self, dsn: str, connect: Connect | None = None) -> None:
        """`connect` opens a connection as asyncpg's own does, which it is by default."""
        self._dsns = single(dsn)
        self._connect = connect or _asyncpg_connect()

    async def connect(self, *_dsn: str, **named: Any) -> asyncpg.Connection:
        """Open a connection with asyncpg's words, the DSN excepted; raises what the last server to answer raised.

        `timeout` is for all servers together.
        """
        async with asyncio.timeout(named.get("timeout")):
            return await self._race(named)

    async def _race(self, named: dict[str, Any]) -> asyncpg.Connection:
        waiting, asked = list(self._dsns), dict[asyncio.Task[Any], str]()
        failure: BaseException | None = None
        try:
            while waiting or asked:
                if waiting:
                    dsn = waiting.pop(0)
                    asked[asyncio.create_task(self._connect(dsn, **named))] = dsn
                done, _ = await asyncio.wait(
                    asked, timeout=NEXT_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    dsn = asked.pop(task)
                    if (error := task.exception()) is None:
                        self._dsns.sort(key=lambda each, good=dsn: each != good)  # type: ignore[misc]
                        return task.result()
                    failure = error
        finally:
            await _give_up(list(asked))
        assert failure is not None, "a DSN names a server"  # noqa: S101 - `single` returns at least one
        raise failure


def single(dsn: str) -> list[str]:
    """The DSN once for each server that it names before its database; one that names them elsewhere stays whole."""
    parts = urlsplit(dsn)
    login, at, servers = parts.netloc.rpartition("@")
    if "," not in servers:
        return [dsn]
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{server}")) for server in servers.split(",")]


async def _give_up(asked: list[asyncio.Task[Any]]) -> None:
    for task in asked:
        task.cancel()
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            outcome.terminate()  # two servers said yes in the same moment


def _asyncpg_connect() -> Connect:
    import asyncpg  # noqa: PLC0415 - an extra, and 60 ms of start-up for every verb

    return asyncpg.connect  # type: ignore[no-any-return]
