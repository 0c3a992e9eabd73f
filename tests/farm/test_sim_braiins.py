"""The simulated Braiins OS: REST, gRPC, and clients that share no line with us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from simulators.faults import Fault
from simulators.world import World
from tests.drivers.fixtures.rest.simulated import farm, needs_port_80, true_w
from tests.farm.foreign import CALL_S, FOREIGN_WARNINGS, found_by_pyasic, found_by_pyasic_rs

MODELS = {"braiins-s19jpro": "S19J Pro", "braiins-s19xp": "S19 XP"}
OLD, NEW = 0, 1

pytestmark = FOREIGN_WARNINGS


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm(*MODELS) as world:
        yield world


@pytest_asyncio.fixture
async def real_ports() -> AsyncIterator[World]:
    async with farm(*MODELS, ports="", scale=1.0) as world:
        yield world


async def call(world: World, row: int, what: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    method, path = what.split()
    where = world.miners[row].endpoint
    async with aiohttp.ClientSession() as session:
        url = f"http://{where.host}:{where.http}/api/v1/{path}"
        async with session.request(method, url, json=body, headers={"Authorization": token}) as reply:
            text = await reply.text()
            return reply.status, await reply.json(content_type=None) if text[:1] in "{[" else text


async def logged_in(world: World) -> str:
    _, reply = await call(world, NEW, "POST auth/login", {"username": "root", "password": "root"})
    return str(reply["token"])


async def test_old_firmware_has_no_rest(world: World) -> None:
    assert (await call(world, OLD, "POST auth/login", {"username": "root", "password": "root"}))[0] == 404
    assert (await call(world, NEW, "POST auth/login", {"username": "root", "password": "x"}))[0] == 401


async def test_a_token_is_needed_and_a_fault_voids_it(world: World) -> None:
    assert (await call(world, NEW, "GET miner/stats"))[0] == 401
    token = await logged_in(world)
    assert (await call(world, NEW, "GET miner/stats", token=token))[0] == 200
    world.put_fault([NEW], Fault.EXPIRED)
    assert (await call(world, NEW, "GET miner/stats", token=token))[0] == 401


async def test_relative_targets_refer_to_nominal_lowest_highest_and_current(world: World) -> None:
    token = await logged_in(world)
    for reference, watts in ((1, 2425), (3, 2910), (4, 2328)):
        body = {"percentage": 80, "reference": reference}
        status, reply = await call(world, NEW, "PATCH performance/power-target/relative", body, token)
        assert (status, reply["watt"]) == (200, pytest.approx(watts, abs=1))
    for bad in ({}, {"percentage": 80, "reference": 9}, {"percentage": 10, "reference": 2}):
        assert (await call(world, NEW, "PATCH performance/power-target/relative", bad, token))[0] == 422
    for bad in ({"down_s": 0, "up_s": 5}, {"down_s": 2}, {}):
        assert (await call(world, NEW, "PUT performance/quick-ramping", bad, token))[0] == 422


async def test_other_pages_damage_what_they_carry(world: World) -> None:
    token = await logged_in(world)
    for what, body in (
        ("PUT pools/batch", [{"name": "g", "pools": [{"url": "", "user": "", "password": ""}]}]),
        ("PUT cooling/mode", {"manual": 20}),
        ("PUT auth/password", {"password": "new"}),
    ):
        before = world.miners[NEW].fingerprint()
        await call(world, NEW, what, body, token)
        assert world.miners[NEW].fingerprint() != before


@needs_port_80
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_finds_polls_stops_resumes_and_limits_over_grpc(real_ports: World, model: str) -> None:
    world, row = real_ports, list(MODELS).index(model)
    sim, full_w, before = world.miners[row], true_w(world, row), world.miners[row].fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        data = await client.get_data()
        assert MODELS[model].lower() in str(data.model).lower()
        assert str(data.mac) == sim.identity.mac
        assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert data.is_mining is True
        assert data.wattage_limit == round(sim.personality.full_w)
        assert [fan.speed > 1000 for fan in data.fans] == [True] * 4
        assert await client.stop_mining() is True
    assert sim.state == "asleep"
    await world.advance(20)
    assert true_w(world, row) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume_mining() is True
        assert await client.set_power_limit(2000) is True
    await world.advance(900)
    assert true_w(world, row) == pytest.approx(full_w * 2000 / sim.personality.full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_rs_finds_polls_pauses_resumes_and_limits_over_rest(real_ports: World) -> None:
    world, sim = real_ports, real_ports.miners[NEW]
    full_w, before = true_w(world, NEW), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic_rs(sim)
        data = await client.get_data()
        assert data.device_info.model == "S19XP"
        assert str(data.mac).upper() == sim.identity.mac
        assert data.is_mining is True
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert await client.pause() is True
    await world.advance(20)
    assert true_w(world, NEW) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume() is True
        assert await client.set_power_limit(2000) is True
    await world.advance(900)
    assert true_w(world, NEW) == pytest.approx(full_w * 2000 / sim.personality.full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_rs_polls_pauses_resumes_and_limits_old_firmware_by_graphql(real_ports: World) -> None:
    """It follows LuCI's redirect without the cookie it was given, and so has no MAC of it."""
    world, sim = real_ports, real_ports.miners[OLD]
    full_w, before = true_w(world, OLD), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic_rs(sim)
        data = await client.get_data()
        assert data.device_info.model == "S19jPro"
        assert data.is_mining is True
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert await client.pause() is True
    await world.advance(20)
    assert true_w(world, OLD) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume() is True
        assert await client.set_power_limit(2000) is True
    await world.advance(900)
    assert true_w(world, OLD) == pytest.approx(full_w * 2000 / sim.personality.full_w, rel=0.01)
    assert sim.fingerprint() == before


async def test_graphql_wants_a_session_and_knows_its_fields(world: World) -> None:
    where = world.miners[OLD].endpoint

    async def asked(query: str, variables: dict[str, str] | None = None) -> Any:
        body = {"query": query, "variables": variables}
        async with session.post(f"http://{where.host}:{where.http}/graphql", json=body) as reply:
            return await reply.json()

    login = "mutation ($u: String!) { auth { login(username: $u) { ... on VoidResult { void } } } }"
    power = "{ bosminer { info { summary { power { limitW } } } } }"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        assert (await asked("{ bos { info { version { full } } } }"))["data"]["bos"]["info"]["version"]["full"]
        assert (await asked(power))["errors"] == [{"message": "Unauthorized"}]
        await asked(login, {"username": "root", "password": "wrong"})
        assert (await asked(power))["errors"]
        await asked(login, {"username": "root", "password": "root"})
        assert (await asked(power))["data"] == {"bosminer": {"info": {"summary": {"power": {"limitW": 3050}}}}}
        assert (await asked("{ bos { colour } }"))["errors"] == [{"message": "Unknown field 'colour'"}]
        world.put_fault([OLD], Fault.EXPIRED)
        assert (await asked(power))["errors"] == [{"message": "Unauthorized"}]
