"""A DSN of several servers: the one that fits is found soon, whatever the others do not say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from farmctl.ports.store import JournalRecord, RecordKind
from farmctl.store.connection import LostSessionError
from farmctl.store.postgres import open_postgres
from farmctl.store.servers import Servers, single
from simulators.broker import free_port

pytestmark = pytest.mark.peer
SHORT_S = 20.0
"""Of a deadline that nobody who is asked in vain may use up."""
LINKS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[int, list[int]]]:
    """A server that takes connections and never says a word, as a host that was stopped; its port, and who came."""
    came = list[int]()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(1)
        try:
            while await reader.read(4096):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came
        server.close()


def behind(dsn: str, *ports: int) -> str:
    """The DSN with other servers of this host named before its own."""
    head, _, tail = dsn.partition("127.0.0.1:")
    return f"{head}{''.join(f'127.0.0.1:{port},' for port in ports)}127.0.0.1:{tail}"


async def test_a_server_that_is_gone_without_a_word_does_not_keep_the_store_from_the_other(dsn: str) -> None:
    async with silent() as (port, came):
        async with asyncio.timeout(SHORT_S):
            store = await open_postgres(behind(dsn, port, free_port()))
            await store.append([JournalRecord(kind=RecordKind.EVENT, at_ms=1, body={})])
        assert came, "the first that the DSN names was asked"
        assert await store.head() is not None
        await store.close()


async def test_the_server_that_answered_is_asked_first_the_next_time(dsn: str) -> None:
    async with silent() as (port, came):
        servers = Servers(behind(dsn, port))
        for _ in range(3):
            await (await servers.connect(timeout=SHORT_S)).close()
        assert len(came) == 1


async def test_servers_that_all_stand_by_are_a_database_that_is_away_not_one_that_refuses(dsn: str) -> None:
    with pytest.raises(LostSessionError, match="target attribute"):
        await open_postgres(f"{dsn}&target_session_attrs=read-write&default_transaction_read_only=on")


async def test_of_two_that_answer_in_the_same_moment_one_is_kept(dsn: str) -> None:
    both, name = asyncio.Event(), "twice"
    links = list[asyncpg.Connection]()

    async def late(dsn: str, **named: Any) -> asyncpg.Connection:
        link = await asyncpg.connect(dsn, server_settings={"application_name": name}, **named)
        links.append(link)
        if len(links) > 1:
            both.set()
        await both.wait()
        return link

    kept = await Servers(behind(dsn, int(dsn.partition("127.0.0.1:")[2].partition("/")[0])), late).connect(
        timeout=SHORT_S
    )
    async with asyncio.timeout(SHORT_S):
        while await kept.fetchval(LINKS, name) != 1:  # noqa: ASYNC110 - the server sees it go in its own time
            await asyncio.sleep(0.05)
    await kept.close()


@pytest.mark.parametrize(
    ("dsn", "each"),
    [
        ("postgresql://u:p%40@a:1,b:2/db?x=1", ["postgresql://u:p%40@a:1/db?x=1", "postgresql://u:p%40@b:2/db?x=1"]),
        ("postgresql://a,[::1]:5/db", ["postgresql://a/db", "postgresql://[::1]:5/db"]),
        ("postgresql:///db?host=/run", ["postgresql:///db?host=/run"]),
    ],
)
def test_a_dsn_is_told_once_for_each_server(dsn: str, each: list[str]) -> None:
    assert single(dsn) == each
