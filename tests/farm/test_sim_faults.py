"""Every fault of the simulator can be seen on the wire, and goes away again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio

from simulators.faults import Fault
from simulators.malform import MALFORMS, malform
from simulators.plan import read_plan
from simulators.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

ANSWER_S = 5.0
SILENCE_S = 0.3
PORT_BASE = 20_000 + os.getpid() % 300 * 40
"""One range of ports per test process."""

DESCRIPTION = f"""
[farm]
port_base = {PORT_BASE}
ports_mode = "ports"
report_error = 0.0
[[group]]
name = "lux"
model = "luxos-s21"
count = 1
address = "127.0.0.1"
[[group]]
name = "ant"
model = "s21"
count = 1
address = "127.0.0.1"
[[group]]
name = "whats"
model = "m60s"
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


async def _raw(miner: SimMiner, command: str, parameter: str = "", *, patience_s: float = ANSWER_S) -> bytes:
    reader, writer = await asyncio.open_connection(miner.endpoint.host, miner.endpoint.api)
    try:
        writer.write(json.dumps({"command": command, "parameter": parameter}).encode())
        async with asyncio.timeout(patience_s):
            return await reader.read()
    finally:
        writer.transport.abort()


async def _watts(miner: SimMiner) -> float:
    return float(json.loads((await _raw(miner, "power")).rstrip(b"\0"))["POWER"][0]["Watts"])


async def _order(miner: SimMiner, command: str, words: str) -> str:
    await _raw(miner, "kill")
    session = json.loads((await _raw(miner, "logon")).rstrip(b"\0"))
    if session["STATUS"][0]["STATUS"] != "S":
        return "E"
    sid = session["SESSION"][0]["SessionID"]
    answer = json.loads((await _raw(miner, command, f"{sid},{words}")).rstrip(b"\0"))
    return str(answer["STATUS"][0]["STATUS"])


async def test_an_unplugged_miner_refuses_connections_and_still_draws_power(world: World, miner: SimMiner) -> None:
    before_w = world.total_power_w()
    world.put_fault([0], Fault.UNPLUGGED, for_s=30)
    await world.advance(1)
    with pytest.raises(ConnectionRefusedError):
        await _raw(miner, "power")
    assert world.total_power_w() == pytest.approx(before_w, rel=0.001)
    await world.advance(30)
    assert await _watts(miner) > 0


async def test_a_silent_miner_accepts_and_never_answers(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.SILENT)
    with pytest.raises(TimeoutError):
        await _raw(miner, "power", patience_s=SILENCE_S)
    world.clear_faults([0])
    assert await _watts(miner) > 0


async def test_a_slow_miner_answers_late(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.SLOW, params={"delay_s": 0.6})
    with pytest.raises(TimeoutError):
        await _raw(miner, "power", patience_s=SILENCE_S)
    assert await _watts(miner) > 0


async def test_a_resetting_miner_resets(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.RESET)
    with pytest.raises(ConnectionResetError):
        await _raw(miner, "power")


async def test_a_truncating_miner_stops_in_the_middle(world: World, miner: SimMiner) -> None:
    whole = await _raw(miner, "config")
    world.put_fault([0], Fault.TRUNCATED, params={"keep": 0.5})
    part = await _raw(miner, "config")
    assert 0.4 * len(whole) < len(part) < 0.6 * len(whole)
    assert not part.endswith(b"\0")


@pytest.mark.parametrize("how", MALFORMS)
async def test_every_way_to_break_json_breaks_a_reply(world: World, how: str) -> None:
    whats, lux = world.miners[2], world.miners[0]
    sent: list[bytes] = []
    for miner, command in ((whats, "summary"), (whats, "get_error_code"), (lux, "stats")):
        whole = (await _raw(miner, command)).rstrip(b"\0")
        sent.append(malform(whole, how))
        world.put_fault([miner.row], Fault.MALFORMED, params={"how": how})
        broken = (await _raw(miner, command)).removesuffix(b"\0")
        world.clear_faults([miner.row])
        assert len(broken) == len(sent[-1])
    outcomes = [_reads_as_json(text) for text in sent]
    # "inf" and "nan" are JSON: there the type of the value is what is wrong
    assert how in {"inf", "nan"} or not all(outcomes)
    assert how not in {"inf", "nan"} or any(f'"{how}"'.encode() in text for text in sent)


def _reads_as_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


async def test_a_storm_of_401_refuses_the_right_password(world: World) -> None:
    ant = world.miners[1]
    world.put_fault([1], Fault.UNAUTHORIZED, for_s=10)
    assert await _status_of(ant, "stats") == 401
    await world.advance(11)
    assert await _status_of(ant, "stats") == 200


async def test_a_luxos_log_on_can_be_refused(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.UNAUTHORIZED)
    assert await _order(miner, "curtail", "sleep") == "E"
    assert miner.state == "mining"


async def test_an_expired_session_is_void_and_a_new_one_works(world: World, miner: SimMiner) -> None:
    session = json.loads((await _raw(miner, "logon")).rstrip(b"\0"))["SESSION"][0]["SessionID"]
    world.put_fault([0], Fault.EXPIRED)
    answer = json.loads((await _raw(miner, "curtail", f"{session},sleep")).rstrip(b"\0"))
    assert answer["STATUS"][0]["STATUS"] == "E"
    assert await _order(miner, "curtail", "sleep") == "S"


async def test_a_reboot_drops_power_and_closes_the_doors_for_a_while(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.REBOOT)
    await world.advance(1)
    assert world.fleet.power_w[0] < 20
    with pytest.raises(ConnectionRefusedError):
        await _raw(miner, "power")
    await world.advance(200)
    assert await _watts(miner) > 3000


async def test_a_liar_reports_other_watts_than_it_draws(world: World, miner: SimMiner) -> None:
    true_w = float(world.fleet.power_w[0])
    world.put_fault([0], Fault.LIES_POWER, params={"factor": 0.5})
    assert await _watts(miner) == pytest.approx(true_w / 2, abs=1)
    assert world.fleet.power_w[0] == pytest.approx(true_w, rel=0.001)


async def test_a_liar_says_it_sleeps_while_it_mines(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.LIES_STATE)
    config = json.loads((await _raw(miner, "config")).rstrip(b"\0"))["CONFIG"][0]
    assert config["CurtailMode"] == "Sleep"
    assert await _watts(miner) == miner.personality.standby_w
    assert world.fleet.power_w[0] > 3000


async def test_a_refusing_miner_answers_with_an_error_and_stays(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.REFUSES)
    assert await _order(miner, "curtail", "sleep") == "E"
    assert miner.state == "mining"
    assert miner.log[-1].command == "curtail"


async def test_an_ignoring_miner_answers_success_and_stays(world: World, miner: SimMiner) -> None:
    world.put_fault([0], Fault.IGNORES)
    assert await _order(miner, "curtail", "sleep") == "S"
    await world.advance(30)
    assert miner.state == "mining"
    assert world.fleet.power_w[0] > 3000


async def test_a_stuck_miner_accepts_a_resume_and_never_resumes(world: World, miner: SimMiner) -> None:
    await _order(miner, "curtail", "sleep")
    world.put_fault([0], Fault.STUCK)
    assert await _order(miner, "curtail", "wakeup") == "S"
    await world.advance(600)
    assert miner.state == "stuck"
    assert await _watts(miner) == miner.personality.standby_w
    world.clear_faults([0], Fault.STUCK)
    await world.advance(120)
    assert await _watts(miner) > 3000


async def test_the_web_server_shows_the_faults_too(world: World) -> None:
    ant = world.miners[1]
    world.put_fault([1], Fault.TRUNCATED)
    with pytest.raises(aiohttp.ClientPayloadError):
        await _status_of(ant, "stats")
    world.clear_faults([1])
    world.put_fault([1], Fault.RESET)
    with pytest.raises(aiohttp.ClientError):
        await _status_of(ant, "stats")


async def _status_of(miner: SimMiner, script: str) -> int:
    digest = aiohttp.DigestAuthMiddleware("root", "root")
    where = f"http://{miner.endpoint.host}:{miner.endpoint.http}/cgi-bin/{script}.cgi"
    async with (
        asyncio.timeout(ANSWER_S),
        aiohttp.ClientSession(middlewares=(digest,)) as session,
        session.get(where) as reply,
    ):
        await reply.read()
        return reply.status


@pytest.mark.parametrize("turns", range(4))
async def test_whoever_calls_in_the_moment_of_the_end_is_hung_up_on(world: World, miner: SimMiner, turns: int) -> None:
    with contextlib.ExitStack() as callers:
        place = (miner.endpoint.host, miner.endpoint.api)
        lines = [callers.enter_context(socket.create_connection(place)) for _ in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await world.stop()
        for line in lines:
            line.settimeout(ANSWER_S)
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(1) == b""
        gc.collect()  # a connection that nobody closed is a ResourceWarning here
