"""Clients that share no line with us find, poll, stop and resume the simulated Avalons."""

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

MODELS = {"a1246": ("Avalon 1246", "Avalon1246"), "avalon-q": ("Avalon Q Home", "AvalonHomeQ")}

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
    client = await found_by_pyasic(sim)
    data = await within(client.get_data())
    assert MODELS[model][0] == data.model
    assert data.mac == sim.identity.mac
    assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
    assert await within(client.stop_mining()) is True
    await world.advance(60)
    assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
    # softon of a Q closes without a byte, which pyasic calls a failure
    assert await within(client.resume_mining()) is (model != "avalon-q")
    await world.advance(600)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.02)
    assert sim.fingerprint() == before


@needs_port_80
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_rs_finds_polls_pauses_and_resumes(world: World, model: str) -> None:
    """pyasic_rs 0.8.6 waits for "ASC 0 set OK" and calls the answer that informs a failure; the power tells."""
    sim = _miner(world, model)
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    client = await found_by_pyasic_rs(sim)
    data = await within(client.get_data())
    assert data.device_info.model == MODELS[model][1]
    assert str(data.mac).upper() == sim.identity.mac
    await within(client.pause())
    await world.advance(60)
    assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
    await within(client.resume())
    await world.advance(600)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.02)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_turns_watts_into_one_of_three_levels(world: World) -> None:
    sim = _miner(world, "avalon-q")
    client = await found_by_pyasic(sim)
    assert await within(client.set_power_limit(1)) is True
    await world.advance(600)
    assert true_w(world, sim.row) == pytest.approx(1300, rel=0.06)
    assert await within(client.set_power_limit(1000)) is True  # anything above 100 W is level 2
    await world.advance(600)
    assert true_w(world, sim.row) == pytest.approx(1674, rel=0.06)


@needs_port_80
async def test_a_date_of_our_time_is_decades_ahead_for_a_clock_that_was_never_set() -> None:
    async with farm("a1246-no-ntp", ports="", scale=1.0) as world:
        sim = world.miners[0]
        client = await found_by_pyasic(sim)
        assert await within(client.stop_mining()) is True
        await world.advance(600)
        assert sim.state == "mining"
