from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from drivers._wire.cgminer import Deadlines, ask, exchange, request
from farmctl.errors import FarmError, MalformedReplyError, SilentPeerError

HOST = "127.0.0.1"
FDS = Path("/proc/self/fd")
SHORT = Deadlines(connect_s=0.2, answer_s=0.2)
GENEROUS = Deadlines(connect_s=20.0, answer_s=20.0)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def miner(talk: Talk) -> AsyncIterator[int]:
    """A server that reads one request and then does what `talk` says."""
    ends: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        try:
            await reader.read(1 << 16)
            await talk(reader, writer)
        except ConnectionError:
            return

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for end in ends:
            end.transport.abort()
        await asyncio.sleep(0.01)


def says(*pieces: bytes, close: bool = True) -> Talk:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        if close:
            writer.close()

    return talk


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_a_request_is_one_json_object() -> None:
    assert request("summary") == b'{"command":"summary"}'
    assert request("ascset", "0,led,1-1") == b'{"command":"ascset","parameter":"0,led,1-1"}'


ENDINGS = {
    "a NUL and a close": says(b'{"a":1}\0'),
    "a NUL and an open connection": says(b'{"a":1}\0', close=False),
    "a close without NUL": says(b'{"a":1}'),
    "neither NUL nor close": says(b'{"a":1}', close=False),
    "a newline and an open connection": says(b'{"a":1}\n', close=False),
    "pieces cut after a brace": says(b'{"b":{}', b',"a":', b"1}\0"),
    "a NUL in the last piece alone": says(b'{"a":1 ', b"}", b"\0"),
    "text after the NUL": says(b'{"a":1}\0{"a":2}'),
}


@pytest.mark.parametrize("talk", ENDINGS.values(), ids=ENDINGS)
async def test_a_reply_ends_at_the_nul_at_the_close_or_when_it_is_whole(talk: Talk) -> None:
    async with miner(talk) as port:
        assert (await ask(HOST, port, request("summary"), GENEROUS))["a"] == 1


async def test_broken_json_is_mended_only_after_the_strict_reading_failed() -> None:
    async with miner(says(b'{"URL":"poolbinance","MHS":nan,}\0')) as port:
        assert await ask(HOST, port, request("pools"), GENEROUS) == {"URL": "poolbinance", "MHS": None}


@pytest.mark.parametrize("reply", [b"[1]\0", b"<html>\0", b"\xff\xfe\0", b'"a"\0'])
async def test_what_is_no_object_is_malformed_and_names_the_peer(reply: bytes) -> None:
    async with miner(says(reply)) as port:
        with pytest.raises(MalformedReplyError, match=f"{HOST}:{port}"):
            await ask(HOST, port, request("summary"), GENEROUS)


async def test_an_endless_reply_is_cut_off() -> None:
    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    async with miner(flood) as port:
        with pytest.raises(MalformedReplyError, match="1048576 bytes"):
            await ask(HOST, port, request("summary"), GENEROUS)


async def test_a_miner_that_never_answers_costs_its_deadline_and_says_so() -> None:
    async with miner(silence) as port:
        with pytest.raises(SilentPeerError, match=r"did not answer within 0\.2 s: 0 bytes came"):
            await ask(HOST, port, request("summary"), SHORT)


async def test_a_half_answer_that_stalls_is_silence() -> None:
    async with miner(says(b'{"a":', close=False)) as port:
        with pytest.raises(SilentPeerError, match="5 bytes came"):
            await ask(HOST, port, request("summary"), SHORT)


@pytest.mark.parametrize(("talk", "why"), [(reset, "broke the connection"), (says(), "closed without a byte")])
async def test_a_connection_that_breaks_is_silence(talk: Talk, why: str) -> None:
    async with miner(talk) as port:
        with pytest.raises(SilentPeerError, match=why):
            await ask(HOST, port, request("summary"), GENEROUS)


async def test_a_closed_port_is_silence() -> None:
    with pytest.raises(SilentPeerError, match="did not connect"):
        await ask(HOST, unused_port(), request("summary"), GENEROUS)


async def test_a_host_that_drops_packets_costs_the_connect_deadline() -> None:
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]  # a full backlog on Linux drops what knocks
        try:
            for filler in fillers:
                filler.settimeout(0)
                filler.connect_ex((HOST, port))
            with pytest.raises(SilentPeerError, match=r"did not connect within 0\.2 s"):
                await exchange(HOST, port, b"{}", SHORT)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
        finally:
            for filler in fillers:
                filler.close()


async def test_a_cancelled_call_ends_as_cancelled() -> None:
    async with miner(silence) as port:
        call = asyncio.create_task(ask(HOST, port, request("summary"), GENEROUS))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_deadline_is_not_mistaken_for_a_cancellation_nor_the_reverse() -> None:
    async with miner(silence) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(HOST, port, request("summary"), GENEROUS)
        with pytest.raises(SilentPeerError):
            async with asyncio.timeout(20):
                await ask(HOST, port, request("summary"), SHORT)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_an_answer_may_come_after_the_connect_deadline_within_its_own() -> None:
    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(b'{"a":1}\0')

    async with miner(slow) as port:
        assert await ask(HOST, port, request("summary"), Deadlines(connect_s=0.1, answer_s=20.0)) == {"a": 1}


async def _walk_every_path() -> None:
    async with (
        miner(says(b'{"a":1}\0')) as good,
        miner(silence) as mute,
        miner(reset) as broken,
        miner(says(b"<html>\0", close=False)) as odd,
    ):
        for port in (good, mute, broken, odd, unused_port()):
            for _ in range(3):
                try:
                    await ask(HOST, port, request("summary"), SHORT)
                except FarmError:
                    continue
        for pause_s in (0.0, 0.001, 0.05):
            call = asyncio.create_task(ask(HOST, mute, request("summary"), GENEROUS))
            await asyncio.sleep(pause_s)
            call.cancel()
            await asyncio.wait([call])
        await asyncio.sleep(0.05)


@pytest.mark.skipif(not FDS.is_dir(), reason="/proc/self/fd is where descriptors are counted")
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_no_path_leaks_a_socket(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    counts: list[int] = []

    async def walk() -> None:
        for _ in range(3):
            await _walk_every_path()
            counts.append(open_files())

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(walk())
    assert counts[0] == counts[1] == counts[2]


def open_files() -> int:
    return len(list(FDS.iterdir()))


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("talk", [silence, says(), says(b"Socket connect failed")], ids=["silent", "closed", "words"])
async def test_a_call_that_fails_leaves_no_circle_to_the_collector(talk: Talk) -> None:
    async with miner(talk) as port:
        gc.collect()
        gc.disable()
        try:
            with contextlib.suppress(FarmError):
                await ask(HOST, port, request("summary"), SHORT)
            await asyncio.sleep(0.05)
            left = [one for one in gc.get_objects() if type(one).__qualname__ == "_Exchange"]
        finally:
            gc.enable()
    assert not left
