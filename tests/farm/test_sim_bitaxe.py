"""The simulated Bitaxe: what a PATCH does, and clients that share no line with us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from simulators.world import World
from tests.drivers.fixtures.rest.simulated import farm, needs_port_80, true_w
from tests.farm.foreign import CALL_S, FOREIGN_WARNINGS, found_by_pyasic, found_by_pyasic_rs

pytestmark = FOREIGN_WARNINGS


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm("bitaxe-gamma") as world:
        yield world


@pytest_asyncio.fixture
async def real_ports() -> AsyncIterator[World]:
    async with farm("bitaxe-gamma", ports="", scale=1.0) as world:
        yield world


async def patch(world: World, body: Any) -> int:
    where = world.miners[0].endpoint
    url = f"http://{where.host}:{where.http}/api/system"
    async with aiohttp.ClientSession() as session, session.patch(url, json=body) as reply:
        return reply.status


async def test_a_patch_stores_what_it_carries_and_a_clock_is_followed_at_once(world: World) -> None:
    before, full_w = world.miners[0].fingerprint(), true_w(world)
    assert await patch(world, {"frequency": 400}) == 200
    await world.advance(1.0)
    assert true_w(world) < 0.8 * full_w
    assert world.miners[0].fingerprint() == before
    for keys in ({"fanspeed": 20}, {"stratumURL": "x"}, {"autofanspeed": 0}):
        now = world.miners[0].fingerprint()
        assert await patch(world, keys) == 200
        assert world.miners[0].fingerprint() != now
    for nonsense in ({"frequency": 5000}, {"frequency": "fast"}, [1]):
        assert await patch(world, nonsense) == 400


@needs_port_80
async def test_pyasic_and_pyasic_rs_find_and_poll_it(real_ports: World) -> None:
    sim, full_w = real_ports.miners[0], true_w(real_ports)
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        data = await client.get_data()
        assert (data.model, str(data.mac)) == ("Gamma", sim.identity.mac)
        assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
        assert float(data.expected_hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.01)
        assert data.wattage == pytest.approx(full_w, abs=1.0)
    async with asyncio.timeout(CALL_S):
        other: Any = await found_by_pyasic_rs(sim)
        data = await other.get_data()
        assert (data.device_info.model, str(data.mac).upper()) == ("Gamma", sim.identity.mac)
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert data.is_mining is True
