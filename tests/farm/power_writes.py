"""Families that answer one request per order, and how each is tried: power words, reads, and what turns its fans."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import orjson

from drivers._wire.cgminer import ask, request
from drivers._wire.digest import SharedWeb
from drivers._wire.framed import Framed
from drivers._wire.rest import Request, RestClient
from drivers.avalon.driver import AvalonDriver
from drivers.epic.driver import EpicDriver
from drivers.luxos.driver import LuxosDriver
from drivers.whatsminer.driver import WhatsminerDriver
from drivers.whatsminer_v3.driver import WhatsminerV3Driver
from drivers.whatsminer_v3.wire import signed
from farmctl.core.model import OperatingPoint, PointKind
from farmctl.errors import FarmError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Driver, Endpoint, Prepares
from simulators.miner import SimMiner
from simulators.plan import read_plan
from simulators.world import World

HOST = "127.0.0.1"
HALF = b"["
"""Half of a JSON reply: no reader makes anything of it."""

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Family:
    """How one family is commanded, and by which words it may be."""

    driver: Driver
    settings: Mapping[str, tuple[str, ...]]
    """Simulated model -> settings to command."""
    words: frozenset[str]
    """Every command that a power order may send."""
    relay: Talk
    """Carries one conversation to the miner behind a port, but answers reads with half a reply."""
    door: str = "api"
    fans: Callable[[SimMiner], Awaitable[object]] | None = None
    """Turns a fan through the miner's own interface, where that needs no more than a request."""

    def port(self, sim: SimMiner) -> int:
        return int(getattr(sim.endpoint, self.door))

    def device(self, port: int) -> Device:
        return self.driver.device(Endpoint(host=HOST, ports={self.door: port}), Credentials())

    async def command(self, port: int, setting: str) -> None:
        """Poll, prepare, apply, poll: as the engine does, and whatever fails fails."""
        miner = self.device(port)
        assert isinstance(miner, AppliesPoint)
        point = OperatingPoint(kind=PointKind.THROTTLE, power_w=1.0, hash_rate_hs=1.0, setting=setting)
        prepare = [miner.prepare] if isinstance(miner, Prepares) else []
        for step in (miner.poll, *prepare, lambda: miner.apply(point), miner.poll, miner.close):
            with suppress(FarmError):
                await step()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def farm_of_one(model: str, start: str = "mining") -> AsyncIterator[World]:
    """One simulated miner on ports of its own."""
    plan = f"""
        [[group]]
        name = "bench"
        model = "{model}"
        count = 1
        address = "{HOST}"
        ports = {{ api = {_free_port()}, api3 = {_free_port()}, http = 0 }}
        start = "{start}"
    """
    world = World(read_plan(plan))
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def deaf_to_reads(family: Family, port: int) -> AsyncIterator[int]:
    """The port of a relay before the miner at `port`: its reads fail, its writes arrive."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await family.relay(reader, writer, port)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.02)


async def _through(asked: bytes, port: int) -> bytes:
    inward, outward = await asyncio.open_connection(HOST, port)
    outward.write(asked)
    reply = await inward.read()
    outward.close()
    return reply


def _lines(is_read: Callable[[str], bool]) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        asked = await reader.read(1 << 16)
        reply = await _through(asked, port)
        writer.write(HALF if is_read(orjson.loads(asked).get("command", "")) else reply)

    return talk


async def _pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    asked = await reader.read(1 << 16)
    if asked.startswith(b"GET"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n" + HALF)
    elif asked:
        writer.write(await _through(asked.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1), port))


async def _frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """The salt goes through: without one nothing can be written."""
    inward, outward = await asyncio.open_connection(HOST, port)
    with suppress(asyncio.IncompleteReadError):
        while True:
            head = await reader.readexactly(4)
            asked = await reader.readexactly(int.from_bytes(head, "little"))
            body = orjson.loads(asked)
            outward.write(head + asked)
            back = await inward.readexactly(4)
            reply = await inward.readexactly(int.from_bytes(back, "little"))
            is_read = body["cmd"].startswith("get.") and body.get("param") != "salt"
            writer.write(len(HALF).to_bytes(4, "little") + HALF if is_read else back + reply)
    outward.close()


async def _epic_fans(sim: SimMiner) -> None:
    rest = RestClient(SharedWeb(), host=HOST, port=sim.endpoint.api)
    body = {"param": {"Manual": 100}, "password": sim.settings.web_password}
    await rest.ask(Request(method="POST", path="/fanspeed", payload=body))
    await rest.close()


async def _v3_fans(sim: SimMiner) -> None:
    async with Framed(HOST, sim.endpoint.api3) as link:
        salt = (await link.ask(b'{"cmd":"get.device.info","param":"salt"}'))["msg"]["salt"]
        word = sim.settings.api_password
        await link.ask(signed("set.fan.zero_speed", 1, account="super", password=word, salt=salt, now_s=1))


async def _avalon_fans(sim: SimMiner) -> None:
    await ask(HOST, sim.endpoint.api, request("ascset", "0,fan-spd,100"))


_CGMINER_READS = frozenset(
    {"summary", "status", "config", "profiles", "stats", "stats+power+config", "devdetails", "get_version"}
)
_WHATSMINER = ("sleep", "full", "percent:60", "watts:2500")
_EPIC = ("sleep", "full", "profile:100TH", "watts:2500")
_AVALON = ("sleep", "full", "mode:low", "mode:normal")

FAMILIES = {
    "whatsminer": Family(
        driver=WhatsminerDriver(),
        settings={"m50": _WHATSMINER, "m30s++": _WHATSMINER},
        words=frozenset({"power_off", "power_on", "set_power_pct", "set_power_pct_v2", "adjust_power_limit"}),
        relay=_lines(_CGMINER_READS.__contains__),
    ),
    "whatsminer_v3": Family(
        driver=WhatsminerV3Driver(),
        settings={"m60s-v3": _WHATSMINER, "m60s-v3only": _WHATSMINER},
        words=frozenset({"set.miner.service", "set.miner.power_percent", "set.miner.power_limit"}),
        relay=_frames,
        door="api3",
        fans=_v3_fans,
    ),
    "luxos": Family(
        driver=LuxosDriver(),
        settings={"luxos-s19kpro": ("sleep", "full", "profile:440MHz", "watts:2000")},
        words=frozenset({"curtail", "profileset"}),
        relay=_lines(_CGMINER_READS.__contains__),
    ),
    "avalon": Family(
        driver=AvalonDriver(),
        settings={"a1246": _AVALON, "a1246-no-ntp": _AVALON, "avalon-q": _AVALON},
        words=frozenset({"softoff", "softon", "workmode", "worklevel"}),
        relay=_lines(lambda command: command != "ascset"),
        fans=_avalon_fans,
    ),
    "epic": Family(
        driver=EpicDriver(),
        settings={"epic-s19xp-powertune": _EPIC, "epic-s19xp": _EPIC},
        words=frozenset({"miner", "perpetualtune", "perpetualtune/algo"}),
        relay=_pages,
        fans=_epic_fans,
    ),
}
