"""The simulated LuxOS keeps one session, forgets it after an idle minute, and survives reboots."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from simulators.plan import read_plan
from simulators.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

CASES = Path(__file__).parents[2] / "../shared/cases"
ANSWER_S = 5.0
PORT_BASE = 20_000 + os.getpid() % 300 * 40
"""One range of ports per test process."""

DESCRIPTION = f"""
[farm]
port_base = {PORT_BASE}
ports_mode = "ports"
report_error = 0.0
[[group]]
name = "lux"
model = "luxos-s19kpro"
count = 1
address = "127.0.0.1"
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


async def _ask(miner: SimMiner, command: str, parameter: str = "") -> dict[str, Any]:
    request = {"command": command} | ({"parameter": parameter} if parameter else {})
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(miner.endpoint.host, miner.endpoint.api)
        writer.write(json.dumps(request).encode())
        reply = await reader.read()
        writer.close()
        await writer.wait_closed()
    answer: dict[str, Any] = json.loads(reply.rstrip(b"\0"))
    return answer


def _letter(answer: dict[str, Any]) -> str:
    return str(answer["STATUS"][0]["STATUS"])


async def _log_on(miner: SimMiner) -> str:
    answer = await _ask(miner, "logon")
    assert answer["STATUS"][0]["Code"] == 316
    return str(answer["SESSION"][0]["SessionID"])


async def test_curtail_sleeps_within_seconds_and_wakes_again(world: World, miner: SimMiner) -> None:
    full_w, before = world.total_power_w(), miner.fingerprint()
    sid = await _log_on(miner)
    answer = await _ask(miner, "curtail", f"{sid},sleep")
    assert answer["CURTAIL"] == [{"Action": "sleep mode"}]
    await world.advance(6)
    assert world.total_power_w() == pytest.approx(25)
    assert (await _ask(miner, "config"))["CONFIG"][0]["CurtailMode"] == "Sleep"
    assert (await _ask(miner, "power"))["POWER"][0]["Watts"] == 25
    await _ask(miner, "curtail", f"{sid},wakeup")
    await world.advance(90)
    assert world.total_power_w() == pytest.approx(full_w, rel=0.01)
    assert miner.fingerprint() == before


async def test_an_unsafe_wake_takes_ten_seconds_but_not_right_after_a_reboot(world: World, miner: SimMiner) -> None:
    full_w = world.total_power_w()
    sid = await _log_on(miner)
    await _ask(miner, "curtail", f"{sid},sleep")
    await world.advance(10)
    await _ask(miner, "curtail", f"{sid},wakeup,mode=unsafe")
    await world.advance(12)
    assert world.total_power_w() == pytest.approx(full_w, rel=0.02)
    await _ask(miner, "curtail", f"{sid},sleep")
    await _ask(miner, "rebootdevice", sid)
    await world.advance(60)
    sid = await _log_on(miner)
    refused = await _ask(miner, "curtail", f"{sid},wakeup,mode=unsafe")
    assert _letter(refused) == "E"


async def test_a_session_expires_after_an_idle_minute(world: World, miner: SimMiner) -> None:
    sid = await _log_on(miner)
    await world.advance(50)
    assert _letter(await _ask(miner, "curtail", f"{sid},sleep")) == "S"
    await world.advance(50)
    assert (await _ask(miner, "session"))["SESSION"][0]["SessionID"] == sid
    await world.advance(61)
    assert (await _ask(miner, "session"))["SESSION"][0]["SessionID"] == ""
    assert _letter(await _ask(miner, "curtail", f"{sid},wakeup")) == "E"
    assert miner.state == "asleep"


async def test_there_is_only_one_session_until_it_is_killed_or_logged_off(
    miner: SimMiner,
) -> None:
    sid = await _log_on(miner)
    assert _letter(await _ask(miner, "logon")) == "E"
    assert _letter(await _ask(miner, "logoff", sid)) == "S"
    await _log_on(miner)
    assert _letter(await _ask(miner, "kill")) == "S"
    await _log_on(miner)


@pytest.mark.parametrize("parameter", ["", "sleep", "nobody,sleep"])
async def test_a_write_without_a_live_session_does_nothing(miner: SimMiner, parameter: str) -> None:
    assert _letter(await _ask(miner, "curtail", parameter)) == "E"
    assert miner.state == "mining"


@pytest.mark.parametrize(
    ("wish", "profile"),
    [("290MHz", "290MHz"), ("1250W", "290MHz"), ("1.25kW", "290MHz"), ("60THs", "290MHz"), ("-1", "565MHz")],
)
async def test_a_profile_is_chosen_by_name_watts_hash_rate_or_step(
    world: World, miner: SimMiner, wish: str, profile: str
) -> None:
    sid = await _log_on(miner)
    answer = await _ask(miner, "profileset", f"{sid},{wish}")
    assert answer["STATUS"][0]["Code"] == 321
    assert answer["PROFILE"][0]["Profile"] == profile
    await world.advance(60)
    chosen = next(p for p in miner.personality.ladder if p.name == profile)
    reading = miner.read()
    assert reading.power_w == pytest.approx(chosen.watts, rel=0.05)
    assert reading.hash_ths == pytest.approx(chosen.hash_rate_ths, rel=0.05)


async def test_a_profile_below_the_ladder_is_refused(miner: SimMiner) -> None:
    sid = await _log_on(miner)
    assert _letter(await _ask(miner, "profileset", f"{sid},100W")) == "E"
    assert _letter(await _ask(miner, "profileset", f"{sid},fast")) == "E"


async def test_curtailment_and_profile_survive_a_reboot_and_the_session_does_not(world: World, miner: SimMiner) -> None:
    sid = await _log_on(miner)
    await _ask(miner, "profileset", f"{sid},440MHz")
    await _ask(miner, "curtail", f"{sid},sleep")
    await _ask(miner, "rebootdevice", sid)
    await world.advance(120)
    config = (await _ask(miner, "config"))["CONFIG"][0]
    assert (config["CurtailMode"], config["Profile"]) == ("Sleep", "440MHz")
    assert (await _ask(miner, "session"))["SESSION"][0]["SessionID"] == ""


async def test_atm_is_switched_by_key_and_value(miner: SimMiner) -> None:
    sid = await _log_on(miner)
    answer = await _ask(miner, "atmset", f"{sid},enabled=false")
    assert answer["STATUS"][0]["Code"] == 340
    assert (await _ask(miner, "atm"))["ATM"][0]["Enabled"] is False


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded replies are not beside the checkout")
@pytest.mark.parametrize(
    ("command", "section"),
    [
        ("config", "CONFIG"),
        ("summary", "SUMMARY"),
        ("power", "POWER"),
        ("profiles", "PROFILES"),
        ("fans", "FANS"),
        ("temps", "TEMPS"),
        ("version", "VERSION"),
        ("tempctrl", "TEMPCTRL"),
        ("groups", "GROUPS"),
    ],
)
async def test_replies_have_the_keys_of_a_real_device(miner: SimMiner, command: str, section: str) -> None:
    case = json.loads((CASES / "luxos_s19kpro_2025.4.8.json").read_text())
    real = case["raw"]["tcp4028"][command]
    ours = await _ask(miner, command)
    assert set(ours) == set(real)
    assert set(ours[section][0]) == set(real[section][0])
    assert set(ours["STATUS"][0]) == set(real["STATUS"][0])
