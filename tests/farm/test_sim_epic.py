"""Clients that share no line with us find, poll, stop and resume the simulated miners on PowerPlay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from simulators.world import World
from tests.drivers.fixtures.rest.simulated import farm, needs_port_80, true_w
from tests.farm.foreign import FOREIGN_WARNINGS, found_by_pyasic, found_by_pyasic_rs, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

MODELS = ("epic-s19xp", "epic-s19xp-powertune")

pytestmark = FOREIGN_WARNINGS


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm(*MODELS, ports="", scale=1.0) as world:
        yield world


def _miner(world: World, model: str) -> SimMiner:
    return world.miners[world.rows_of({"model": model})[0]]


@needs_port_80
async def test_pyasic_finds_polls_stops_and_resumes(world: World) -> None:
    sim = _miner(world, "epic-s19xp")
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    client = await found_by_pyasic(sim)
    data = await within(client.get_data())
    assert type(client).__name__ == "ePICS19XP"
    assert (data.mac, data.is_mining) == (sim.identity.mac, True)
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
    assert await within(client.stop_mining()) is True
    await world.advance(60)
    assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
    assert (await within(client.get_data())).is_mining is False
    assert await within(client.resume_mining()) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_rs_finds_polls_pauses_and_resumes(world: World) -> None:
    sim = _miner(world, "epic-s19xp")
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    client = await found_by_pyasic_rs(sim)
    data = await within(client.get_data())
    assert data.device_info.model == "S19XP"
    assert (str(data.mac).upper(), data.is_mining) == (sim.identity.mac, True)
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert await within(client.pause()) is True
    await world.advance(60)
    assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
    assert await within(client.resume()) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_a_write_without_the_password_changes_nothing(world: World) -> None:
    sim = _miner(world, "epic-s19xp")
    sim.settings.web_password = "changed"  # noqa: S105 - not the factory's
    client = await found_by_pyasic_rs(sim)
    assert await within(client.pause()) is False
    assert sim.state == "mining"
