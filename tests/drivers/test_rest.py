from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from drivers._wire.digest import BODY_CAP_BYTES, NotServedError, SharedWeb
from drivers._wire.rest import Request, RestClient, TokenClient, UnauthorizedError
from farmctl.errors import CredentialError, MalformedReplyError, RefusedError, SilentPeerError

GET = Request(method="GET", path="/x")
POST = Request(method="POST", path="/x", payload={"a": 1})


def reply(status: int, body: bytes, head: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


@asynccontextmanager
async def answering(answer: Callable[[int], bytes | None]) -> AsyncIterator[RestClient]:
    """A server that gives the n-th request (over all connections) the n-th answer; None: it hangs up instead."""
    numbers = count()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")), 0)
                await reader.readexactly(length)
                data = answer(next(numbers))
                if data is None:
                    break
                writer.write(data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = RestClient(SharedWeb(), host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    try:
        yield client
    finally:
        await client.close()
        server.close()
        for writer in writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await server.wait_closed()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (reply(401, b"{}"), UnauthorizedError),
        (reply(403, b"{}"), CredentialError),
        (reply(404, b"{}"), NotServedError),
        (reply(405, b""), NotServedError),
        (reply(422, b"out of range"), RefusedError),
        (reply(500, b""), MalformedReplyError),
        (reply(307, b"", "Location: /y\r\n"), MalformedReplyError),
        (reply(200, b"<html>"), MalformedReplyError),
        (reply(200, b"{a}"), MalformedReplyError),
        (b"SSH-2.0-dropbear\r\n\r\n", MalformedReplyError),
        (b"HTTP/1.1 200 X\r\nContent-Length: 9\r\nContent-Length: x\r\n\r\n", MalformedReplyError),
        (reply(200, b"1" * (BODY_CAP_BYTES + 1)), MalformedReplyError),
    ],
)
async def test_every_bad_answer_is_named(data: bytes, error: type[Exception]) -> None:
    async with answering(lambda _n: data) as client:
        with pytest.raises(error, match=r"127\.0\.0\.1:\d+ GET /x"):
            await client.ask(GET)


async def test_an_empty_answer_is_a_yes_without_words() -> None:
    async with answering(lambda _n: reply(200, b" ")) as client:
        assert await client.ask(POST) is None


async def test_a_kept_connection_that_was_closed_meanwhile_costs_a_second_try() -> None:
    async with answering(lambda n: None if n == 1 else reply(200, b'{"n": %d}' % n)) as client:
        assert await client.ask(POST) == {"n": 0}
        assert await client.ask(POST) == {"n": 2}


async def test_what_must_not_happen_twice_is_not_tried_twice() -> None:
    async with answering(lambda n: None if n == 1 else reply(200, b"{}")) as client:
        await client.ask(POST)
        with pytest.raises(SilentPeerError, match="without an answer"):
            await client.ask(Request(method="POST", path="/restart", payload={}, once=True))


async def test_a_peer_that_only_hangs_up_is_silent() -> None:
    async with answering(lambda _n: None) as client:
        with pytest.raises(SilentPeerError, match="without an answer"):
            await client.ask(GET)


async def test_a_refused_connection_says_so_to_who_asks_whether_anything_is_there() -> None:
    client = RestClient(SharedWeb(), host="127.0.0.1", port=1)
    with pytest.raises(SilentPeerError, match="cannot connect") as caught:
        await client.ask(GET)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    await client.close()
    await client.close()


async def test_calls_that_find_the_token_expired_at_once_are_one_log_in() -> None:
    logins = count(1)

    async def log_in() -> str:
        await asyncio.sleep(0.01)
        return f"token-{next(logins)}"

    async with answering(lambda n: reply(401 if n < 5 else 200, b"{}")) as client:
        api = TokenClient(client, log_in=log_in)
        await api.prepare()
        assert await asyncio.gather(*(api.ask(GET) for _ in range(5))) == [{}] * 5
    assert next(logins) == 3


async def test_a_fresh_token_that_is_refused_asks_for_a_person() -> None:
    async def log_in() -> str:
        return "token"

    async with answering(lambda _n: reply(401, b"{}")) as client:
        with pytest.raises(UnauthorizedError):
            await TokenClient(client, log_in=log_in).ask(GET)
    async with answering(lambda _n: reply(200, b'{"expired": 1}')) as client:
        with pytest.raises(UnauthorizedError, match="fresh token"):
            await TokenClient(client, log_in=log_in, is_expired=lambda said: "expired" in said).ask(GET)


async def test_a_torn_answer_keeps_its_whole_members() -> None:
    async with answering(lambda _n: reply(200, b'{"a": 1, "b": {"c": 2, "d')) as client:
        assert await client.ask(Request(method="GET", path="/x")) == {"a": 1, "b": {"c": 2}}
