"""A farm that is larger than the limit on open files shares one listening socket for each port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from simulators.broker import free_port
from simulators.faults import Fault
from simulators.fronts.gate import spans_of
from simulators.plan import read_plan
from simulators.world import World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sockets of one device and their filters are Linux's")

NET = f"127.{30 + os.getpid() % 30}.{os.getpid() // 30 % 250}"
ROOT = Path(__file__).parents[2]
ANSWER_S = 10.0
SILENCE_S = 0.3
TOO_FEW = 560
"""Open files: enough for the 45 sockets of 15 miners and the spare ones, too few for kept connections beside them."""


def described(listen: str, *, count: int = 2) -> str:
    ports = f"ports = {{ api = {free_port()}, http = {free_port()} }}\n"
    groups = "".join(
        f'[[group]]\nname = "{model}"\nmodel = "{model}"\ncount = {count}\naddress = "{NET}.{first}"\n{ports}'
        for model, first in (("m50", 1), ("s21", 101))
    )
    return f'[farm]\nlisten = "{listen}"\n{groups}'


@contextlib.asynccontextmanager
async def shared() -> AsyncIterator[World]:
    world = World(read_plan(described("shared")))
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


async def asked(host: str, port: int) -> dict[str, Any]:
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b'{"command":"summary"}')
        try:
            reply = await reader.read()
            if not reply:
                raise ConnectionResetError(host)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return dict(json.loads(reply.rstrip(b"\0")))


async def test_the_called_address_tells_whose_the_call_is() -> None:
    async with shared() as world:
        assert world.street.listening == "shared"
        one, other = world.miners[:2]
        for miner in (one, other):
            reply = await asked(miner.endpoint.host, miner.endpoint.api)
            assert reply["SUMMARY"][0]["MAC"] == miner.identity.mac
        hosts = one.endpoint.host, other.endpoint.host
        await world.swap(one.row, other.row)
        assert (one.endpoint.host, other.endpoint.host) == hosts[::-1]
        assert (await asked(hosts[0], one.endpoint.api))["SUMMARY"][0]["MAC"] == other.identity.mac


async def test_addresses_without_a_miner_are_silent_and_an_unplugged_one_resets() -> None:
    async with shared() as world:
        miner = world.miners[0]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await asyncio.open_connection(f"{NET}.50", miner.endpoint.api)
        world.put_fault([0], Fault.UNPLUGGED)
        await world.advance(1)
        with pytest.raises(OSError, match=r"127|reset"):
            await asked(miner.endpoint.host, miner.endpoint.api)
        world.clear_faults([0])
        await world.advance(1)
        assert (await asked(miner.endpoint.host, miner.endpoint.api))["SUMMARY"]


async def test_another_farm_stands_beside_it_on_addresses_of_its_own_and_nowhere_else() -> None:
    async with shared() as world:
        ports = world.miners[0].endpoint.api, world.miners[2].endpoint.http
        group = '[[group]]\nname = "b"\nmodel = "m60s"\ncount = 1\naddress = "{}"\nports = {{ api = {} }}\n'
        beside = World(read_plan(group.format(f"{NET}.200", ports[0])))
        await beside.start()
        try:
            mac = beside.miners[0].identity.mac
            assert (await asked(f"{NET}.200", ports[0]))["SUMMARY"][0]["MAC"] == mac
            assert (await asked(f"{NET}.1", ports[0]))["SUMMARY"][0]["MAC"] == world.miners[0].identity.mac
            with pytest.raises(OSError, match="already in use"):
                await World(read_plan(group.format(f"{NET}.200", ports[0]))).start()
        finally:
            await beside.stop()
        with pytest.raises(OSError, match="another farm shares"):
            await World(read_plan('[farm]\nlisten = "shared"\n' + group.format(f"{NET}.220", ports[0]))).start()


async def test_too_few_open_files_lead_to_shared_sockets_by_themselves(tmp_path: Path) -> None:
    description = tmp_path / "world.toml"
    description.write_text(described("auto", count=15))
    command = f"ulimit -n {TOO_FEW}; exec {sys.executable} -m simulators run {description}"
    process = await asyncio.create_subprocess_exec("sh", "-c", command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ready = json.loads(await process.stdout.readline())
        assert (ready["miners"], ready["listening"]) == (30, "shared")
        known = await asyncio.to_thread(_inventory, ready["control"])
        await asyncio.gather(*(asked(place["host"], place["ports"]["api"]) for place in known))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def test_neighbouring_addresses_make_one_span() -> None:
    spans = list(spans_of(["127.0.0.9", "127.0.0.1", "127.0.0.2", "127.0.0.1"]))
    assert [last - first for first, last in spans] == [1, 0]
    assert not list(spans_of([]))


def _inventory(control: str) -> list[dict[str, Any]]:
    with urlopen(f"http://{control}/inventory", timeout=ANSWER_S) as answer:
        return list(json.loads(answer.read()))
