"""The simulated Antminer keeps what is absent, erases what is empty, and asks who you are."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio

from simulators.plan import read_plan
from simulators.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

CASES = Path(__file__).parents[2] / "../shared/cases"
ANSWER_S = 10.0
FACTORY = "root"
"""The log-in that these miners are shipped with."""
PORT_BASE = 20_000 + os.getpid() % 300 * 40
"""One range of ports per test process."""

DESCRIPTION = f"""
[farm]
port_base = {PORT_BASE}
ports_mode = "ports"
[[group]]
name = "s21"
model = "s21"
count = 1
address = "127.0.0.1"
[[group]]
name = "s19"
model = "s19pro"
count = 1
address = "127.0.0.1"
quirks = ["no_percent", "api_closed_asleep"]
"""


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    farm = World(read_plan(DESCRIPTION))
    await farm.start()
    yield farm
    await farm.stop()


@pytest.fixture
def miner(world: World) -> SimMiner:
    return world.miners[0]


async def _cgi(miner: SimMiner, script: str, body: object = None, *, password: str = FACTORY) -> tuple[int, Any]:
    digest = aiohttp.DigestAuthMiddleware("root", password)
    where = f"http://{miner.endpoint.host}:{miner.endpoint.http}/cgi-bin/{script}.cgi"
    method = "GET" if body is None else "POST"
    data = None if body is None else json.dumps(body)
    async with (
        asyncio.timeout(ANSWER_S),
        aiohttp.ClientSession(middlewares=(digest,)) as session,
        session.request(method, where, data=data) as reply,
    ):
        text = await reply.text()
        return reply.status, json.loads(text) if text.startswith("{") else text


async def test_miner_mode_alone_sleeps_and_leaves_the_rest_as_it_was(world: World, miner: SimMiner) -> None:
    before = miner.fingerprint()
    began = time.monotonic()
    status, answer = await _cgi(miner, "set_miner_conf", {"miner-mode": 1})
    assert time.monotonic() - began >= 1.0
    assert (status, answer["code"]) == (200, "M000")
    await world.advance(30)
    assert world.fleet.power_w[miner.row] == pytest.approx(35)
    assert miner.fingerprint() == before
    assert (await _cgi(miner, "stats"))[1]["STATS"] == []
    assert (await _cgi(miner, "get_miner_conf"))[1]["bitmain-work-mode"] == "1"
    await _cgi(miner, "set_miner_conf", {"miner-mode": 0})
    await world.advance(600)
    assert miner.state == "mining"
    assert miner.fingerprint() == before


async def test_empty_strings_erase_the_pools(miner: SimMiner) -> None:
    before = miner.fingerprint()
    empty = [{"url": "", "user": "", "pass": ""}] * 3
    await _cgi(miner, "set_miner_conf", {"miner-mode": 1, "pools": empty})
    assert miner.fingerprint() != before
    pools = (await _cgi(miner, "get_miner_conf"))[1]["pools"]
    assert pools == empty


async def test_an_absent_field_of_a_pool_is_kept(miner: SimMiner) -> None:
    password = miner.settings.pools[0].password
    await _cgi(miner, "set_miner_conf", {"pools": [{"url": "stratum+tcp://new:1"}]})
    assert miner.settings.pools[0].url == "stratum+tcp://new:1"
    assert miner.settings.pools[0].password == password
    assert miner.settings.pools[1].url != ""


async def test_a_misspelt_fan_key_does_nothing_and_the_right_one_does(miner: SimMiner) -> None:
    before = miner.fingerprint()
    await _cgi(miner, "set_miner_conf", {"bitmain-fan-pwn": "30"})
    assert miner.fingerprint() == before
    await _cgi(miner, "set_miner_conf", {"bitmain-fan-pwm": "30"})
    assert miner.fingerprint() != before


async def test_a_percentage_is_followed_by_new_firmware_within_its_range(world: World, miner: SimMiner) -> None:
    full_w = float(world.fleet.power_w[miner.row])
    limits = (await _cgi(miner, "get_adjustment_params"))[1]
    assert limits["hashrate_percent_min"] == 65
    _, refused = await _cgi(miner, "set_miner_conf", {"bitmain-hashrate-percent": "50"})
    assert refused["code"] == "M001"
    await _cgi(miner, "set_miner_conf", {"bitmain-hashrate-percent": "70"})
    await world.advance(60)
    assert world.fleet.power_w[miner.row] == pytest.approx(full_w * 0.7, rel=0.02)
    assert (await _cgi(world.miners[1], "get_adjustment_params"))[0] == 404


async def test_low_power_mode_restarts_and_settles_lower(world: World, miner: SimMiner) -> None:
    full_w = float(world.fleet.power_w[miner.row])
    await _cgi(miner, "set_miner_conf", {"miner-mode": 3})
    await world.advance(2)
    assert miner.state == "restarting"
    await world.advance(600)
    share = miner.personality.low_share
    assert world.fleet.power_w[miner.row] == pytest.approx(full_w * share, rel=0.02)


@pytest.mark.parametrize("body", [{"miner-mode": 9}, {"miner-mode": ""}, {}])
async def test_a_mode_the_firmware_does_not_know_is_refused(miner: SimMiner, body: dict[str, Any]) -> None:
    _, answer = await _cgi(miner, "set_miner_conf", body)
    assert answer["code"] == "M001"
    assert miner.state == "mining"


async def test_a_wrong_password_is_turned_away_with_the_realm(miner: SimMiner) -> None:
    assert (await _cgi(miner, "stats", password=FACTORY[::-1]))[0] == 401
    where = f"http://{miner.endpoint.host}:{miner.endpoint.http}/"
    async with asyncio.timeout(ANSWER_S), aiohttp.ClientSession() as session:
        reply = await session.get(where)
        assert reply.status == 401
        assert 'realm="antMiner Configuration"' in reply.headers["WWW-Authenticate"]


async def test_the_mode_survives_a_reboot(world: World, miner: SimMiner) -> None:
    await _cgi(miner, "set_miner_conf", {"miner-mode": 1})
    assert (await _cgi(miner, "reboot"))[1] == {"stats": "success"}
    await world.advance(5)
    with pytest.raises(aiohttp.ClientConnectorError):
        await _cgi(miner, "stats")
    await world.advance(120)
    assert miner.state == "asleep"
    assert (await _cgi(miner, "get_miner_conf"))[1]["bitmain-work-mode"] == "1"


async def test_blinking_is_reported(miner: SimMiner) -> None:
    assert (await _cgi(miner, "blink", {"blink": True}))[1] == {"code": "B000"}
    assert (await _cgi(miner, "get_blink_status"))[1] == {"blink": True}
    assert (await _cgi(miner, "blink", {"blink": False}))[1] == {"code": "B100"}


async def _api(miner: SimMiner, command: str) -> dict[str, Any]:
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(miner.endpoint.host, miner.endpoint.api)
        writer.write(json.dumps({"command": command}).encode())
        reply = await reader.read()
        writer.close()
        await writer.wait_closed()
    answer: dict[str, Any] = json.loads(reply.rstrip(b"\0"))
    return answer


async def test_joined_commands_are_refused_on_4028(miner: SimMiner) -> None:
    assert (await _api(miner, "summary+stats"))["STATUS"][0]["Code"] == 14


async def test_port_4028_closes_asleep_where_the_firmware_does_so(world: World) -> None:
    closing = world.miners[1]
    assert (await _api(closing, "version"))["VERSION"][0]["Type"] == "Antminer S19 Pro"
    await _cgi(closing, "set_miner_conf", {"miner-mode": 1})
    await world.advance(1)
    with pytest.raises(ConnectionRefusedError):
        await _api(closing, "version")
    await _cgi(closing, "set_miner_conf", {"miner-mode": 0})
    await world.advance(1)
    assert (await _api(closing, "version"))["VERSION"][0]["Type"] == "Antminer S19 Pro"


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded replies are not beside the checkout")
async def test_replies_have_the_keys_of_a_real_device(world: World) -> None:
    case = json.loads((CASES / "antminer_s19pro_49.0.1.3.json").read_text())["raw"]
    s19 = world.miners[1]
    for command, section in (("stats", "STATS"), ("summary", "SUMMARY"), ("pools", "POOLS")):
        real, ours = case["tcp4028"][command], await _api(s19, command)
        assert set(ours) == set(real)
        missing = set(real[section][-1]) - set(ours[section][-1])
        assert not {key for key in missing if not key.startswith("temp")}
    for script in ("get_system_info", "get_miner_conf", "get_network_info"):
        _, answer = await _cgi(s19, script)
        assert set(answer) == set(case["http"][f"GET /cgi-bin/{script}.cgi"])
    for script, section in (("stats", "STATS"), ("summary", "SUMMARY")):
        _, answer = await _cgi(s19, script)
        real = case["http"][f"GET /cgi-bin/{script}.cgi"]
        assert set(answer[section][0]) == set(real[section][0])
