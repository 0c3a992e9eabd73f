"""Clients that share no line with us speak API 3 to the simulated Whatsminer, as far as they can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from drivers.whatsminer.driver import WhatsminerDriver
from drivers.whatsminer_v3.driver import WhatsminerV3Driver
from farmctl.ports.devices import Credentials, Endpoint
from simulators.world import World
from tests.drivers.fixtures.rest.simulated import farm, needs_port_80, true_w
from tests.farm.foreign import FOREIGN_WARNINGS, found_by_pyasic, found_by_pyasic_rs, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

MODELS = ("m60s-v3", "m60s-v3only")

pytestmark = FOREIGN_WARNINGS


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with farm(*MODELS, ports="", scale=1.0) as world:
        yield world


def _miner(world: World, model: str) -> SimMiner:
    return world.miners[world.rows_of({"model": model})[0]]


@needs_port_80
async def test_pyasic_finds_polls_stops_resumes_and_limits(world: World) -> None:
    sim = _miner(world, "m60s-v3")
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    client = await found_by_pyasic(sim)
    data = await within(client.get_data())
    assert type(client).__name__ == "BTMinerM60SVK40"
    assert data.mac == sim.identity.mac
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
    assert await within(client.stop_mining()) is True
    await world.advance(60)
    assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
    assert await within(client.resume_mining()) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.01)
    assert await within(client.set_power_limit(2500)) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(2500, rel=0.06)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_rs_finds_polls_pauses_and_resumes(world: World) -> None:
    sim = _miner(world, "m60s-v3")
    full_w, before = true_w(world, sim.row), sim.fingerprint()
    client = await found_by_pyasic_rs(sim)
    data = await within(client.get_data())
    assert data.device_info.model == "M60SVK40"
    assert (str(data.mac).upper(), data.is_mining) == (sim.identity.mac, True)
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert await within(client.pause()) is True
    await world.advance(60)
    assert true_w(world, sim.row) == pytest.approx(sim.personality.standby_w)
    assert (await within(client.get_data())).is_mining is False
    assert await within(client.resume()) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(full_w, rel=0.01)
    assert await within(client.set_power_limit(2752)) is True
    await world.advance(900)
    assert true_w(world, sim.row) == pytest.approx(2752, rel=0.06)
    assert sim.fingerprint() == before


@needs_port_80
async def test_a_miner_without_port_4028_is_found_by_our_driver_alone(world: World) -> None:
    """pyasic_rs 0.8.6 does not look at port 4433; pyasic 0.79.0 does, and then speaks API 2 to it."""
    sim = _miner(world, "m60s-v3only")
    assert await found_by_pyasic_rs(sim) is None
    identity = await WhatsminerV3Driver().identify(Endpoint(host=sim.endpoint.host, ports={}), Credentials())
    assert identity is not None
    assert identity.mac == sim.identity.mac.lower()


@needs_port_80
async def test_port_4028_of_api_3_is_left_to_the_driver_of_api_3(world: World) -> None:
    sim = _miner(world, "m60s-v3")
    endpoint = Endpoint(host=sim.endpoint.host, ports={})
    assert await WhatsminerDriver().identify(endpoint, Credentials()) is None
    identity = await WhatsminerV3Driver().identify(endpoint, Credentials())
    assert identity is not None
    assert identity.driver == "whatsminer_v3"
