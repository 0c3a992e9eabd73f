"""The simulated Whatsminer keeps the token rules of API v2 and does what its writes say."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulators.fronts.md5crypt import md5crypt
from simulators.fronts.whatsminer_token import TokenDesk, TokenError
from simulators.plan import read_plan
from simulators.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.miner import SimMiner

CASES = Path(__file__).parents[2] / "../shared/cases"
ANSWER_S = 5.0
FACTORY = "admin"
"""The password that these miners are shipped with."""

PORT_BASE = 20_000 + os.getpid() % 300 * 40
"""One range of ports per test process."""

DESCRIPTION = f"""
[farm]
port_base = {PORT_BASE}
ports_mode = "ports"
report_error = 0.0
[[group]]
name = "new"
model = "m50"
count = 1
address = "127.0.0.1"
[[group]]
name = "old"
model = "m30s++"
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


async def _raw(miner: SimMiner, request: bytes) -> bytes:
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(miner.endpoint.host, miner.endpoint.api)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


async def _ask(miner: SimMiner, command: str) -> dict[str, Any]:
    reply = await _raw(miner, json.dumps({"cmd": command}).encode())
    assert reply.endswith(b"\0")
    answer: dict[str, Any] = json.loads(reply[:-1])
    return answer


class Writer:
    """A client of the write API with one token."""

    def __init__(self, miner: SimMiner, password: str = FACTORY) -> None:
        self.miner = miner
        self.password = password
        self.sign = ""
        self.key = b""

    async def log_on(self) -> None:
        token = (await _ask(self.miner, "get_token"))["Msg"]
        secret = md5crypt(self.password, token["salt"])
        self.sign = md5crypt(secret + token["time"], token["newsalt"])
        self.key = sha256(secret.encode()).digest()

    async def write(self, command: str, **fields: str) -> dict[str, Any]:
        plain = json.dumps({"cmd": command, "token": self.sign, **fields}).encode()
        cipher = Cipher(algorithms.AES(self.key), modes.ECB())  # noqa: S305 - vendor protocol
        seal = cipher.encryptor()
        sealed = seal.update(plain + b"\0" * (-len(plain) % 16)) + seal.finalize()
        request = {"enc": 1, "data": base64.b64encode(sealed).decode()}
        answer: dict[str, Any] = json.loads((await _raw(self.miner, json.dumps(request).encode()))[:-1])
        if "enc" not in answer:
            return answer
        open_ = cipher.decryptor()
        opened = open_.update(base64.b64decode(answer["enc"])) + open_.finalize()
        inner: dict[str, Any] = json.loads(opened.rstrip(b"\0"))
        return inner


@pytest_asyncio.fixture
async def writer(miner: SimMiner) -> Writer:
    client = Writer(miner)
    await client.log_on()
    return client


async def test_power_off_and_power_on_move_the_true_power(world: World, miner: SimMiner, writer: Writer) -> None:
    full_w, before = world.total_power_w(), miner.fingerprint()
    answer = await writer.write("power_off", respbefore="true")
    assert (answer["Code"], answer["Msg"]) == (131, "API command OK")
    await world.advance(30)
    assert world.total_power_w() < full_w - 3000
    assert (await _ask(miner, "status"))["Msg"]["mineroff"] == "true"
    assert (await _ask(miner, "summary"))["SUMMARY"][0]["MHS 1m"] == 0
    await writer.write("power_on")
    await world.advance(900)
    assert world.total_power_w() == pytest.approx(full_w, rel=0.01)
    assert miner.fingerprint() == before


async def test_a_percentage_is_followed_without_a_restart(world: World, miner: SimMiner, writer: Writer) -> None:
    full_w = float(world.fleet.power_w[miner.row])
    assert (await writer.write("set_power_pct", percent="60"))["Code"] == 131
    await world.advance(5)
    assert miner.state == "mining"
    await world.advance(60)
    assert world.fleet.power_w[miner.row] == pytest.approx(full_w * 0.6, rel=0.02)
    assert (await _ask(miner, "status"))["Msg"]["hash_percent"] == "60"


async def test_a_watt_limit_restarts_mining_unless_fast_boot_is_on(
    world: World, miner: SimMiner, writer: Writer
) -> None:
    await writer.write("adjust_power_limit", power_limit="2600")
    await world.advance(2)
    assert miner.state == "restarting"
    await world.advance(900)
    assert miner.state == "mining"
    await writer.write("enable_btminer_fast_boot")
    await writer.write("adjust_power_limit", power_limit="2400")
    await world.advance(2)
    assert miner.state == "mining"
    assert (await _ask(miner, "summary"))["SUMMARY"][0]["Power Limit"] == 2400


async def test_power_off_does_not_survive_a_reboot_but_the_limit_does(
    world: World, miner: SimMiner, writer: Writer
) -> None:
    await writer.write("adjust_power_limit", power_limit="2600")
    await writer.write("power_off", respbefore="true")
    await world.advance(30)
    await writer.write("reboot")
    await world.advance(5)
    with pytest.raises(ConnectionRefusedError):
        await _ask(miner, "summary")
    await world.advance(900)
    assert miner.state == "mining"
    assert miner.limit_w == 2600


async def test_a_token_dies_after_half_an_hour(world: World, miner: SimMiner, writer: Writer) -> None:
    await world.advance(1801)
    assert (await writer.write("power_off", respbefore="true"))["Code"] == 135
    assert miner.state == "mining"
    await writer.log_on()
    assert (await writer.write("power_off", respbefore="true"))["Code"] == 131


async def test_the_thirty_third_token_of_an_address_is_refused(miner: SimMiner) -> None:
    codes = [(await _ask(miner, "get_token"))["Code"] for _ in range(33)]
    assert codes == [134] * 32 + [136]


def test_the_seventeenth_client_address_is_refused_until_a_token_dies() -> None:
    now_s = 0.0
    desk = TokenDesk(lambda: now_s)
    for n in range(16):
        desk.issue(f"10.0.0.{n}", era=0)
    with pytest.raises(TokenError, match="over max"):
        desk.issue("10.0.0.16", era=0)
    now_s = 1800.0
    assert desk.issue("10.0.0.16", era=0)["salt"]


async def test_a_wrong_password_is_a_token_error(miner: SimMiner) -> None:
    stranger = Writer(miner, FACTORY[::-1])
    await stranger.log_on()
    assert (await stranger.write("power_off"))["Code"] == 135
    assert miner.state == "mining"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"enc": 1, "data": "%%%"}, 137),
        ({"enc": 1, "data": "AAAA"}, 135),
        ({"cmd": "power_off"}, 45),
        ({"cmd": "no_such_command"}, 14),
    ],
)
async def test_a_bad_write_gets_the_code_of_the_manual(miner: SimMiner, request_: dict[str, Any], code: int) -> None:
    reply = json.loads((await _raw(miner, json.dumps(request_).encode()))[:-1])
    assert (reply["STATUS"], reply["Code"]) == ("E", code)


async def test_a_refused_value_is_a_command_error(miner: SimMiner, writer: Writer) -> None:
    assert (await writer.write("set_power_pct", percent="140"))["Code"] == 132
    assert (await writer.write("adjust_power_limit", power_limit="many"))["Code"] == 132
    assert miner.percent == 100


async def test_update_pools_changes_the_fingerprint(miner: SimMiner, writer: Writer) -> None:
    before = miner.fingerprint()
    await writer.write("update_pools", pool1="stratum+tcp://elsewhere:1", worker1="w", passwd1="x")
    assert miner.fingerprint() != before


async def test_old_firmware_says_btmineroff_and_refuses_mined_data_when_stopped(
    world: World,
) -> None:
    old = world.miners[1]
    assert (await _ask(old, "status"))["Msg"]["btmineroff"] == "false"
    old.sleep()
    assert (await _ask(old, "status"))["Msg"]["btmineroff"] == "true"
    refused = await _raw(old, b'{"command":"summary"}')
    assert refused == b"Socket connect failed: Connection refused\n\0"
    writer = Writer(old)
    await writer.log_on()
    assert (await writer.write("set_power_pct", percent="80"))["Code"] == 132


async def test_plain_text_and_joined_requests_are_answered(miner: SimMiner) -> None:
    text = await _raw(miner, b"summary")
    assert text.startswith(b"Code=11,Description=cgminer 4.9.2,Msg=Summary,STATUS=S,When=")
    assert b"|SUMMARY,Accepted=" in text
    joined = json.loads((await _raw(miner, b'{"command":"summary+devs"}'))[:-1])
    assert set(joined) == {"summary", "devs", "id"}
    assert len(joined["devs"][0]["DEVS"]) == 3


async def test_a_request_in_two_pieces_is_put_together(miner: SimMiner) -> None:
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(miner.endpoint.host, miner.endpoint.api)
        writer.write(b'{"command":')
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b'"status"}')
        assert b"mineroff" in await reader.read()
        writer.close()
        await writer.wait_closed()


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded replies are not beside the checkout")
@pytest.mark.parametrize("command", ["summary", "devs", "status", "get_version", "get_miner_info", "get_psu"])
async def test_replies_have_the_keys_of_a_real_device(miner: SimMiner, command: str) -> None:
    case = json.loads((CASES / "bench_m30spp.json").read_text())
    real = case["raw"]["tcp4028"][command]
    ours = await _ask(miner, command)
    assert set(real) == set(ours)
    for section in set(real) - {"id"}:
        if isinstance(real[section], list):
            assert set(real[section][0]) <= set(ours[section][0])
        elif isinstance(real[section], dict):
            assert set(real[section]) == set(ours[section])
