"""Clients that share no line with us find, poll, stop and resume the simulated Avalons."""

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

MODELS = {"a1246": ("Avalon 1246", "Avalon1246"), "avalon-q": ("Avalon Q Home", "AvalonHomeQ")}
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
        f'[[group]]\nname="{m}"\nmodel="{m}"\ncount=1\naddress="{NET}.{n + 40}"\n' for n, m in enumerate(MODELS)
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
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_finds_polls_stops_and_resumes(world: World, model: str) -> None:
    sim = _miner(world, model)
    full_w, before = _true_w(world, sim), sim.fingerprint()
    client = await _found_by_pyasic(sim)
    data = await _within(client.get_data())
    assert MODELS[model][0] == data.model
    assert data.mac == sim.identity.mac
    assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
    assert await _within(client.stop_mining()) is True
    await world.advance(60)
    assert _true_w(world, sim) == pytest.approx(sim.personality.standby_w)
    # softon of a Q closes without a byte, which pyasic calls a failure
    assert await _within(client.resume_mining()) is (model != "avalon-q")
    await world.advance(600)
    assert _true_w(world, sim) == pytest.approx(full_w, rel=0.02)
    assert sim.fingerprint() == before


@needs_port_80
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_rs_finds_polls_pauses_and_resumes(world: World, model: str) -> None:
    """pyasic_rs 0.8.6 waits for "ASC 0 set OK" and calls the answer that informs a failure; the power tells."""
    sim = _miner(world, model)
    full_w, before = _true_w(world, sim), sim.fingerprint()
    client = await _found_by_pyasic_rs(sim)
    data = await _within(client.get_data())
    assert data.device_info.model == MODELS[model][1]
    assert str(data.mac).upper() == sim.identity.mac
    await _within(client.pause())
    await world.advance(60)
    assert _true_w(world, sim) == pytest.approx(sim.personality.standby_w)
    await _within(client.resume())
    await world.advance(600)
    assert _true_w(world, sim) == pytest.approx(full_w, rel=0.02)
    assert sim.fingerprint() == before


@needs_port_80
async def test_pyasic_turns_watts_into_one_of_three_levels(world: World) -> None:
    sim = _miner(world, "avalon-q")
    client = await _found_by_pyasic(sim)
    assert await _within(client.set_power_limit(1)) is True
    await world.advance(600)
    assert _true_w(world, sim) == pytest.approx(1300, rel=0.06)
    assert await _within(client.set_power_limit(1000)) is True  # anything above 100 W is level 2
    await world.advance(600)
    assert _true_w(world, sim) == pytest.approx(1674, rel=0.06)


@needs_port_80
async def test_a_date_of_our_time_is_decades_ahead_for_a_clock_that_was_never_set() -> None:
    text = f'[[group]]\nname="cold"\nmodel="a1246-no-ntp"\ncount=1\naddress="{NET}.60"\n'
    farm = World(read_plan(text))
    await farm.start()
    try:
        sim = farm.miners[0]
        client = await _found_by_pyasic(sim)
        assert await _within(client.stop_mining()) is True
        await farm.advance(600)
        assert sim.state == "mining"
    finally:
        await farm.stop()
