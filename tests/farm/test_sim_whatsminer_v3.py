"""Clients that share no line with us speak API 3 to the simulated Whatsminer, as far as they can."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from drivers.whatsminer.driver import WhatsminerDriver
from drivers.whatsminer_v3.driver import WhatsminerV3Driver
from farmctl.ports.devices import Credentials, Endpoint
from simulators.plan import read_plan
from simulators.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

MODELS = ("m60s-v3", "m60s-v3only")
CALL_S = 50.0
NET = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
"""Addresses of this test process: the clients insist on the real ports."""

# pyasic 0.79.0: pydantic class Config at import, sockets left open on its timeout path
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _can_bind_port_80() -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as the doors have it
        try:
            sock.bind((f"{NET}.250", 80))
        except OSError:
            return False
    return True


needs_port_80 = pytest.mark.skipif(
    not _can_bind_port_80(), reason="pyasic and pyasic_rs insist on port 80, which needs root"
)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    groups = "".join(
        f'[[group]]\nname="{m}"\nmodel="{m}"\ncount=1\naddress="{NET}.{n + 30}"\n' for n, m in enumerate(MODELS)
    )
    farm = World(read_plan(f"[farm]\nseed=3\nreport_error=0.0\n{groups}"))
    await farm.start()
    yield farm
    await farm.stop()


def _miner(world: World, model: str) -> SimMiner:
    return world.miners[world.rows_of({"model": model})[0]]


def _true_w(world: World, miner: SimMiner) -> float:
    return float(world.fleet.power_w[miner.row])


async def _found_by_pyasic(sim: SimMiner) -> Any:
    pyasic = pytest.importorskip("pyasic")
    async with asyncio.timeout(CALL_S):
        return await pyasic.get_miner(sim.endpoint.host)


async def _found_by_pyasic_rs(sim: SimMiner) -> Any:
    pyasic_rs = pytest.importorskip("pyasic_rs")
    async with asyncio.timeout(CALL_S):
        return await pyasic_rs.MinerFactory().get_miner(sim.endpoint.host)


async def _within(call: Any) -> Any:
    async with asyncio.timeout(CALL_S):
        return await call


@needs_port_80
async def test_pyasic_finds_polls_stops_resumes_and_limits(world: World) -> None:
    sim = _miner(world, "m60s-v3")
    full_w, before = _true_w(world, sim), sim.fingerprint()
    client = await _found_by_pyasic(sim)
    data = await _within(client.get_data())
    assert type(client).__name__ == "BTMinerM60SVK40"
    assert data.mac == sim.identity.mac
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
    assert await _within(client.stop_mining()) is True
    await world.advance(60)
    assert _true_w(world, sim) == pytest.approx(sim.personality.standby_w)
    assert await _within(client.resume_mining()) is True
    await world.advance(900)
    assert _true_w(world, sim) == pytest.approx(full_w, rel=0.01)
    assert await _within(client.set_power_limit(2500)) is True
    await world.advance(900)
    assert _true_w(world, sim) == pytest.approx(2500, rel=0.06)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_rs_finds_polls_pauses_and_resumes(world: World) -> None:
    sim = _miner(world, "m60s-v3")
    full_w, before = _true_w(world, sim), sim.fingerprint()
    client = await _found_by_pyasic_rs(sim)
    data = await _within(client.get_data())
    assert data.device_info.model == "M60SVK40"
    assert (str(data.mac).upper(), data.is_mining) == (sim.identity.mac, True)
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert await _within(client.pause()) is True
    await world.advance(60)
    assert _true_w(world, sim) == pytest.approx(sim.personality.standby_w)
    assert (await _within(client.get_data())).is_mining is False
    assert await _within(client.resume()) is True
    await world.advance(900)
    assert _true_w(world, sim) == pytest.approx(full_w, rel=0.01)
    assert await _within(client.set_power_limit(2752)) is True
    await world.advance(900)
    assert _true_w(world, sim) == pytest.approx(2752, rel=0.06)
    assert sim.fingerprint() == before


@needs_port_80
async def test_a_miner_without_port_4028_is_found_by_our_driver_alone(world: World) -> None:
    """pyasic_rs 0.8.6 does not look at port 4433; pyasic 0.79.0 does, and then speaks API 2 to it."""
    sim = _miner(world, "m60s-v3only")
    assert await _found_by_pyasic_rs(sim) is None
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
