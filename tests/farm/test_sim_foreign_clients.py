"""Clients that share no line with us find, poll, stop and resume the simulated miners."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from simulators.world import World
from tests.drivers.fixtures.rest.simulated import farm, needs_port_80, true_w
from tests.farm.foreign import CALL_S, FOREIGN_WARNINGS, found_by_pyasic, found_by_pyasic_rs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

MODELS = {
    "m30s++": ("M30S++", "M30SPlusPlusVH60"),
    "m50": ("M50", "M50VH50"),
    "m60s": ("M60S", "M60SVK40"),
    "s19pro": ("S19 Pro", "S19Pro"),
    "s21": ("S21", "S21"),
    "luxos-s19kpro": ("S19k Pro", "S19KPro"),
    "luxos-s21": ("S21", "S21"),
}
NO_WATTS = {"s19pro", "s21"}
"""Stock Antminers report no power."""


pytestmark = FOREIGN_WARNINGS


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm(*MODELS, ports="", scale=1.0) as world:
        yield world


def _miner(world: World, model: str) -> SimMiner:
    return world.miners[world.rows_of({"model": model})[0]]


@needs_port_80
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_finds_polls_stops_and_resumes(world: World, model: str) -> None:
    sim = _miner(world, model)
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        data = await client.get_data()
        assert MODELS[model][0] in data.model
        assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
        if model not in NO_WATTS:
            assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert await client.stop_mining() is True
    assert sim.state == "asleep"
    await world.advance(20)
    assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume_mining() is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_rs_finds_polls_pauses_and_resumes(world: World, model: str) -> None:
    sim = _miner(world, model)
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic_rs(sim)
        data = await client.get_data()
        assert data.device_info.model == MODELS[model][1]
        assert str(data.mac).upper() == sim.identity.mac
        assert data.is_mining is True
        if model not in NO_WATTS:
            assert data.wattage == pytest.approx(full_w, rel=0.02)
    if client.supports_pause:
        async with asyncio.timeout(CALL_S):
            assert await client.pause() is True
        await world.advance(20)
        assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
        async with asyncio.timeout(CALL_S):
            assert await client.resume() is True
        await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
@pytest.mark.parametrize(
    ("model", "lands_at"), [("m30s++", 0.7), ("m50", 0.7), ("m60s", 0.7), ("luxos-s19kpro", 0.7), ("luxos-s21", 0.65)]
)
async def test_pyasic_limits_watts_and_the_true_power_follows(world: World, model: str, lands_at: float) -> None:
    """On LuxOS it takes the highest profile below the limit, which on an S21 is some way below."""
    sim = _miner(world, model)
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        assert await client.set_power_limit(round(0.7 * sim.personality.full_w)) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(lands_at * full_w, rel=0.04)
    assert sim.fingerprint() == before


@needs_port_80
@pytest.mark.parametrize("model", ["m50", "m60s"])
async def test_pyasic_rs_limits_watts_and_the_true_power_follows(world: World, model: str) -> None:
    sim = _miner(world, model)
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic_rs(sim)
        assert client.supports_set_power_limit
        assert await client.set_power_limit(round(0.8 * sim.personality.full_w)) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(0.8 * full_w, rel=0.02)
    assert sim.fingerprint() == before


@needs_port_80
async def test_a_failed_read_makes_pyasic_erase_the_pools_of_an_antminer(world: World) -> None:
    sim = _miner(world, "s21")
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        before = sim.fingerprint()
        client.web.get_miner_conf = _failing_read
        assert await client.stop_mining() is True
    assert sim.fingerprint() != before
    assert [pool.url for pool in sim.settings.pools] == ["", "", ""]


async def _failing_read() -> dict[str, Any]:
    """What pyasic 0.79.0 itself returns for a status that is not 200."""
    return {"success": False, "message": "Unknown error occurred"}
