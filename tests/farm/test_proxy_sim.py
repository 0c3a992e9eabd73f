"""The fault proxy on real sockets: each trouble is what it says, and the same seed makes the same script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice, pairwise

import pytest
import uvloop

from simulators.proxy import Proxy, Route, Trouble, script

HELLO = b"0123456789" * 20
LONG_S = 20.0


@asynccontextmanager
async def parrot() -> AsyncIterator[Route]:
    """A route to somebody who repeats what he is told, and nothing wrong with it."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(1000):
                writer.write(said)
        writer.close()

    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    route = Route(("127.0.0.1", 0), server.sockets[0].getsockname())
    proxy = Proxy([route])
    await proxy.open()
    try:
        yield route
    finally:
        await proxy.close()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def caller(route: Route) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*route.listen)
    try:
        async with asyncio.timeout(LONG_S):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def said(route: Route) -> bytes:
    async with caller(route) as (reader, writer):
        writer.write(HELLO)
        return await reader.read(1)


async def test_a_calm_route_carries_everything_both_ways() -> None:
    async with parrot() as route, caller(route) as (reader, writer):
        for _ in range(3):
            writer.write(HELLO)
            assert await reader.readexactly(len(HELLO)) == HELLO
        assert route.open_now == 1
        writer.write_eof()
        assert await reader.read() == b""
        assert not route.hits


def test_a_calm_route_carries_everything_on_the_loop_that_the_program_uses() -> None:
    uvloop.run(test_a_calm_route_carries_everything_both_ways())


@pytest.mark.parametrize(("trouble", "amount"), [(Trouble.LATENCY, 0.3), (Trouble.SLOW_DRIP, 1_000.0)])
async def test_a_slow_route_delivers_everything_in_order_and_late(trouble: Trouble, amount: float) -> None:
    loop = asyncio.get_running_loop()
    async with parrot() as route, caller(route) as (reader, writer):
        route.put(trouble, amount)
        began_s = loop.time()
        writer.write(HELLO)
        await asyncio.sleep(0.01)
        writer.write(HELLO[::-1])
        assert await reader.readexactly(2 * len(HELLO)) == HELLO + HELLO[::-1]
        assert loop.time() - began_s >= 0.2
        assert route.hits[trouble]


async def test_a_reset_is_a_reset_in_the_middle_and_at_the_door() -> None:
    async with parrot() as route:
        async with caller(route) as (reader, writer):
            route.put(Trouble.RESET)
            writer.write(HELLO)
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        with pytest.raises(ConnectionError):
            await said(route)
        assert route.hits[Trouble.RESET] == 2


async def test_a_half_open_connection_swallows_everything_and_nobody_is_told_even_when_the_path_is_well() -> None:
    async with parrot() as route, caller(route) as (reader, writer):
        writer.write(HELLO)
        await reader.readexactly(len(HELLO))
        route.put(Trouble.HALF_OPEN)
        writer.write(HELLO)
        await writer.drain()
        await asyncio.sleep(0.1)
        route.clear()
        writer.write(HELLO)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        async with caller(route) as (other_reader, other_writer):
            other_writer.write(HELLO)
            assert await other_reader.readexactly(len(HELLO)) == HELLO


async def test_a_truncated_answer_ends_early_and_in_order() -> None:
    async with parrot() as route, caller(route) as (reader, writer):
        route.put(Trouble.TRUNCATE, 0.25)
        writer.write(HELLO)
        assert await reader.read() == HELLO[: len(HELLO) // 4]


async def test_a_corrupt_route_changes_answers_and_keeps_their_length() -> None:
    async with parrot() as route, caller(route) as (reader, writer):
        route.put(Trouble.CORRUPT, 0.02)
        writer.write(HELLO)
        heard = await reader.readexactly(len(HELLO))
        assert 1 <= sum(was != now for was, now in zip(HELLO, heard, strict=True)) <= 4


async def test_nobody_behind_the_proxy_is_nobody_at_all() -> None:
    route = Route(("127.0.0.1", 0), ("127.0.0.1", 1))
    proxy = Proxy([route])
    await proxy.open()
    with pytest.raises(ConnectionError):
        await said(route)
    await proxy.close()


def test_a_script_is_the_same_for_its_seed_and_calm_between_its_spells() -> None:
    spells = list(islice(script("7", every_s=60.0, for_s=5.0, after_s=30.0), 400))
    assert spells == list(islice(script("7", every_s=60.0, for_s=5.0, after_s=30.0), 400))
    assert spells != list(islice(script("8", every_s=60.0, for_s=5.0, after_s=30.0), 400))
    assert spells[0].start_s > 30.0
    assert all(one.end_s <= next_one.start_s for one, next_one in pairwise(spells))
    assert {spell.trouble for spell in spells} == set(Trouble)
    share = sum(spell.end_s - spell.start_s for spell in spells) / spells[-1].end_s
    assert 0.05 < share < 0.12
