"""The simulated Auradine: its token, its modes, and clients that share no line with us."""

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

MODEL = "auradine-at2880"

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.filterwarnings("ignore:Unknown chip count:UserWarning")]


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm(MODEL) as world:
        yield world


@pytest_asyncio.fixture
async def real_ports() -> AsyncIterator[World]:
    async with farm(MODEL, ports="", scale=1.0) as world:
        yield world


async def call(world: World, what: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    method, path = what.split()
    where = world.miners[0].endpoint
    async with aiohttp.ClientSession() as session:
        url = f"http://{where.host}:{where.http}/{path}"
        async with session.request(method, url, json=body, headers={"Token": token}) as reply:
            return reply.status, await reply.json(content_type=None)


async def logged_in(world: World) -> str:
    _, reply = await call(world, "POST token", {"command": "token", "user": "admin", "password": "admin"})
    return str(reply["Token"][0]["Token"])


async def test_everything_needs_the_token_and_a_fault_voids_it(world: World) -> None:
    _, reply = await call(world, "POST token", {"user": "admin", "password": "wrong"})
    assert reply["STATUS"][0]["STATUS"] == "E"
    assert (await call(world, "GET summary"))[0] == 401
    token = await logged_in(world)
    assert (await call(world, "GET summary", token=token))[0] == 200
    world.put_fault([0], Fault.EXPIRED)
    assert (await call(world, "GET summary", token=token))[0] == 401


async def test_a_custom_mode_without_watts_is_refused_and_other_pages_damage_what_they_carry(world: World) -> None:
    token, before = await logged_in(world), world.miners[0].fingerprint()
    for body in ({"mode": "custom"}, {"mode": "custom", "tune": "ths", "power": 5}, {"mode": "loud"}):
        _, reply = await call(world, "POST mode", body, token)
        assert reply["STATUS"][0]["STATUS"] == "E"
    assert world.miners[0].fingerprint() == before
    for name, keys in (
        ("fan", {"index": 1, "percentage": 30}),
        ("updatepools", {"pools": [{"url": "x"}]}),
        ("password", {"old": "admin", "new": "y"}),
    ):
        before = world.miners[0].fingerprint()
        await call(world, f"POST {name}", keys, token)
        assert world.miners[0].fingerprint() != before


@needs_port_80
async def test_pyasic_finds_polls_stops_resumes_and_limits(real_ports: World) -> None:
    world, sim = real_ports, real_ports.miners[0]
    full_w, before = true_w(world), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        data = await client.get_data()
        assert "AT2880" in data.model
        assert str(data.mac) == sim.identity.mac
        assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert await client.stop_mining() is True
    await world.advance(20)
    assert true_w(world) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume_mining() is True
        assert await client.set_power_limit(1440) is True
    await world.advance(900)
    assert true_w(world) == pytest.approx(full_w / 2, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_rs_finds_polls_pauses_resumes_and_limits(real_ports: World) -> None:
    world, sim = real_ports, real_ports.miners[0]
    full_w, before = true_w(world), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic_rs(sim)
        data = await client.get_data()
        assert data.device_info.model == "AT2880"
        assert str(data.mac).upper() == sim.identity.mac
        assert data.is_mining is True
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert await client.pause() is True
    await world.advance(20)
    assert true_w(world) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume() is True
        assert await client.set_power_limit(1440) is True
    await world.advance(900)
    assert true_w(world) == pytest.approx(full_w / 2, rel=0.01)
    assert sim.fingerprint() == before
