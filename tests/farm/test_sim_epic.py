"""Clients that share no line with us find, poll, stop and resume the simulated miners on PowerPlay."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from simulators.plan import read_plan
from simulators.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

MODELS = ("epic-s19xp", "epic-s19xp-powertune")
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
        f'[[group]]\nname="{m}"\nmodel="{m}"\ncount=1\naddress="{NET}.{n + 50}"\n' for n, m in enumerate(MODELS)
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
async def test_pyasic_finds_polls_stops_and_resumes(world: World) -> None:
    sim = _miner(world, "epic-s19xp")
    full_w, before = _true_w(world, sim), sim.fingerprint()
    client = await _found_by_pyasic(sim)
    data = await _within(client.get_data())
    assert type(client).__name__ == "ePICS19XP"
    assert (data.mac, data.is_mining) == (sim.identity.mac, True)
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
    assert await _within(client.stop_mining()) is True
    await world.advance(60)
    assert _true_w(world, sim) == pytest.approx(sim.personality.standby_w)
    assert (await _within(client.get_data())).is_mining is False
    assert await _within(client.resume_mining()) is True
    await world.advance(900)
    assert _true_w(world, sim) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_rs_finds_polls_pauses_and_resumes(world: World) -> None:
    sim = _miner(world, "epic-s19xp")
    full_w, before = _true_w(world, sim), sim.fingerprint()
    client = await _found_by_pyasic_rs(sim)
    data = await _within(client.get_data())
    assert data.device_info.model == "S19XP"
    assert (str(data.mac).upper(), data.is_mining) == (sim.identity.mac, True)
    assert data.wattage == pytest.approx(full_w, rel=0.02)
    assert await _within(client.pause()) is True
    await world.advance(60)
    assert _true_w(world, sim) == pytest.approx(sim.personality.standby_w)
    assert await _within(client.resume()) is True
    await world.advance(900)
    assert _true_w(world, sim) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_a_write_without_the_password_changes_nothing(world: World) -> None:
    sim = _miner(world, "epic-s19xp")
    sim.settings.web_password = "changed"  # noqa: S105 - not the factory's
    client = await _found_by_pyasic_rs(sim)
    assert await _within(client.pause()) is False
    assert sim.state == "mining"
