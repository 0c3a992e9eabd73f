"""Braiins OS from before gRPC: GraphQL behind a session, LuCI for the MAC, pause and resume on port 4028."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from drivers.braiins.driver import BraiinsDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import CredentialError, RefusedError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Endpoint
from tests.drivers.fixtures.graphql import answer_graphql

CARD = "/cgi-bin/luci/admin/network/iface_status/lan"


def solver(rate_mhs: float) -> dict[str, Any]:
    heat = [{"name": "Board", "degreesC": 55.0}, {"name": "Chip", "degreesC": 70.0}]
    child = {"name": "1", "realHashrate": {"mhs5S": rate_mhs}, "temperatures": heat}
    return {"nominalMhs": 1.4e7, "realHashrate": {"mhs5S": rate_mhs}, "childSolvers": [child]}


@dataclass(slots=True)
class OldBraiins:
    """An S9 of 2021."""

    password: str = "root"  # noqa: S105 - what they ship with
    rate_mhs: float = 1.35e7
    watts: int = 1250
    sessions: set[str] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    def system(self) -> dict[str, Any]:
        power = {"limitW": 1300, "approxConsumptionW": self.watts}
        pools = [{"url": "stratum+tcp://pool:3333", "user": "u.w", "status": "ALIVE", "active": True}]
        info = {
            "modelName": "Antminer S9",
            "workSolver": solver(self.rate_mhs),
            "fans": [{"name": "0", "rpm": 4200}],
            "summary": {"power": power},
            "poolGroups": [{"name": "all", "pools": pools}],
        }
        bos = {"hostname": "x", "info": {"version": {"full": "2021-09-27-0-21.09"}}, "uptime": {"durationS": 500}}
        return {"data": {"bos": bos, "bosminer": {"info": info}}}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        known = any(session in request.headers.get("Cookie", "") for session in self.sessions)
        if request.path == "/graphql":
            body = await request.json()
            self.queries.append(body["query"])
            if "login" in body["query"]:
                return self.let_in(body["variables"]["password"], {"data": {}})
            if not known:
                return web.json_response({"data": None, "errors": [{"message": "Not authorized"}]})
            return web.json_response(answer_graphql({"gql_all": self.system()}, body["query"]))
        if request.path == "/cgi-bin/luci":
            return self.let_in((await request.post())["luci_password"], {})
        if request.path == CARD:
            found = [{"macaddr": "02:00:00:00:00:07"}]
            return web.json_response(found) if known else web.Response(status=403)
        return web.Response(status=404)

    def let_in(self, password: Any, reply: Any) -> web.Response:
        answer = web.json_response(reply)
        if password == self.password:
            session = f"session{len(self.sessions)}"
            self.sessions.add(session)
            answer.set_cookie("session_id", session)
        return answer

    async def serve_api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = orjson.loads(await reader.read(4096))["command"]
        self.commands.append(command)
        if command == "pause":
            self.rate_mhs, self.watts = 0.0, 40
        elif command == "resume":
            self.rate_mhs, self.watts = 1.35e7, 1250
        head = {"STATUS": "S", "Code": 22, "Msg": command, "Description": "BOSminer+ 0.2.0"}
        writer.write(orjson.dumps({"STATUS": [head], "VERSION": [{"API": "3.7", "BOSminer+": "0.2.0"}], "id": 1}))
        writer.write(b"\0")
        writer.close()


@asynccontextmanager
async def serving(miner: OldBraiins) -> AsyncIterator[Endpoint]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", miner.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = await asyncio.start_server(miner.serve_api, "127.0.0.1", 0)
    try:
        ports = {"api": api.sockets[0].getsockname()[1], "http": runner.addresses[0][1], "grpc": 1}
        yield Endpoint(host="127.0.0.1", ports=ports)
    finally:
        api.close()
        await api.wait_closed()
        await runner.cleanup()


async def apply(device: Device, setting: str) -> None:
    assert isinstance(device, AppliesPoint)
    await device.apply(OperatingPoint(kind=PointKind.THROTTLE, power_w=0.0, hash_rate_hs=0.0, setting=setting))


async def test_it_is_identified_polled_put_to_sleep_and_woken() -> None:
    miner, driver = OldBraiins(), BraiinsDriver()
    async with serving(miner) as endpoint:
        who = await driver.identify(endpoint, Credentials())
        assert who is not None
        assert (who.miner_id, who.model, who.firmware) == ("02:00:00:00:00:07", "Antminer S9", "2021-09-27-0-21.09")
        device = driver.device(endpoint, Credentials())
        try:
            reading = await device.poll()
            assert (reading.state, reading.power_w) == (MinerState.HASHING, 1250.0)
            assert reading.hash_rate_hs == pytest.approx(13.5e12)
            assert (reading.temperature_c, reading.fans_rpm) == (70.0, (4200.0,))
            assert [pool.user for pool in (await device.facts()).pools] == ["u.w"]
            await apply(device, "sleep")
            asleep = await device.poll()
            assert (asleep.state, asleep.setting) == (MinerState.CURTAILED, "sleep")
            await apply(device, "full")
            assert (await device.poll()).state is MinerState.HASHING
            with pytest.raises(RefusedError):
                await apply(device, "watts:900")
        finally:
            await device.close()
    assert [command for command in miner.commands if command != "version"] == ["pause", "resume"]
    assert not any("update" in query for query in miner.queries)


async def test_a_wrong_password_is_told_to_a_human_and_pauses_nothing() -> None:
    miner, driver = OldBraiins(password="other"), BraiinsDriver()  # noqa: S106 - of this test
    async with serving(miner) as endpoint:
        device = driver.device(endpoint, Credentials())
        try:
            with pytest.raises(CredentialError):
                await device.poll()
        finally:
            await device.close()
