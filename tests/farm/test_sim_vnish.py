"""The simulated VNish: its lock, its presets, and clients that share no line with us."""

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

MODELS = {"vnish-s19jpro": ("S19j Pro", "S19jPro"), "vnish-s21pro": ("S21 Pro", "S21Pro")}

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
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session:
        url = f"http://{where.host}:{where.http}/api/v1/{path}"
        async with session.request(method, url, json=body, headers=headers) as reply:
            return reply.status, await reply.json(content_type=None)


async def unlocked(world: World, row: int) -> str:
    _, reply = await call(world, row, "POST unlock", {"pw": "admin"})
    return str(reply["token"])


async def test_writes_need_the_token_and_a_fault_or_an_hour_voids_it(world: World) -> None:
    assert (await call(world, 0, "POST unlock", {"pw": "wrong"}))[0] == 403
    assert (await call(world, 0, "POST mining/stop"))[0] == 401
    for void in (lambda: world.put_fault([0], Fault.EXPIRED), None):
        token = await unlocked(world, 0)
        assert (await call(world, 0, "GET settings", token=token))[0] == 200
        if void:
            void()
        else:
            await world.advance(3601.0)
        assert (await call(world, 0, "GET settings", token=token))[0] == 401
    assert (await call(world, 0, "GET summary"))[0] == 200, "reads are public"


async def test_a_whole_settings_write_damages_what_it_carries(world: World) -> None:
    token, before = await unlocked(world, 0), world.miners[0].fingerprint()
    pools = [{"url": "", "user": "", "pass": ""}] * 3
    await call(world, 0, "POST settings", {"miner": {"pools": pools}}, token)
    assert [pool.url for pool in world.miners[0].settings.pools] == ["", "", ""]
    for keys in ({"miner": {"cooling": {"mode": "manual"}}}, {"password": {"current": "admin", "pw": "x"}}):
        now = world.miners[0].fingerprint()
        await call(world, 0, "POST settings", keys, token)
        assert world.miners[0].fingerprint() not in {now, before}


async def test_old_firmware_has_no_throttle_and_restarts_into_a_preset_by_itself(world: World) -> None:
    old, new = await unlocked(world, 0), await unlocked(world, 1)
    assert (await call(world, 0, "POST mining/throttle", {"percent": 50}, old))[0] == 404
    assert (await call(world, 1, "POST mining/throttle", {"percent": 10}, new))[0] == 400
    preset = {"miner": {"overclock": {"preset": "2510"}}}
    _, reply = await call(world, 0, "POST settings", preset, old)
    assert (reply["restart_required"], world.miners[0].state) == (False, "restarting")
    preset = {"miner": {"overclock": {"preset": "2620"}}}
    _, reply = await call(world, 1, "POST settings", preset, new)
    assert (reply["restart_required"], world.miners[1].state) == (True, "mining")
    await call(world, 1, "POST mining/restart", {}, new)
    assert world.miners[1].state == "restarting"


@needs_port_80
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_finds_polls_stops_and_resumes(real_ports: World, model: str) -> None:
    world, row = real_ports, list(MODELS).index(model)
    sim, full_w, before = world.miners[row], true_w(world, row), world.miners[row].fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        data = await client.get_data()
        assert MODELS[model][0] in data.model
        assert str(data.mac) == sim.identity.mac
        assert float(data.hashrate.rate) == pytest.approx(sim.personality.full_ths, rel=0.02)
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert data.is_mining is True
        assert await client.stop_mining() is True
    assert sim.state == "asleep"
    await world.advance(20)
    assert true_w(world, row) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume_mining() is True
    await world.advance(900)
    assert true_w(world, row) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before


@needs_port_80
async def test_a_preset_that_pyasic_writes_is_followed_by_the_old_firmware(real_ports: World) -> None:
    sim, full_w = real_ports.miners[0], true_w(real_ports)
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic(sim)
        # pyasic 0.79.0 reads a preset mode as normal (so does its recording) and gives up before it writes.
        assert await client.set_power_limit(2600) is False
        assert not sim.log
        await client.web.set_power_limit(2600)
    await real_ports.advance(900)
    assert true_w(real_ports) == pytest.approx(full_w * 2600 / 3050, rel=0.01)


@needs_port_80
@pytest.mark.parametrize("model", MODELS)
async def test_pyasic_rs_finds_polls_pauses_and_resumes(real_ports: World, model: str) -> None:
    world, row = real_ports, list(MODELS).index(model)
    sim, full_w, before = world.miners[row], true_w(world, row), world.miners[row].fingerprint()
    async with asyncio.timeout(CALL_S):
        client: Any = await found_by_pyasic_rs(sim)
        data = await client.get_data()
        assert data.device_info.model == MODELS[model][1]
        assert str(data.mac).upper() == sim.identity.mac
        assert data.is_mining is True
        assert data.wattage == pytest.approx(full_w, rel=0.02)
        assert await client.pause() is True
    await world.advance(20)
    assert true_w(world, row) == pytest.approx(sim.personality.standby_w)
    async with asyncio.timeout(CALL_S):
        assert await client.resume() is True
    await world.advance(900)
    assert true_w(world, row) == pytest.approx(full_w, rel=0.01)
    assert sim.fingerprint() == before
