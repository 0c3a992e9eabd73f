from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from typing_extensions import override

from drivers._wire.cgminer import Deadlines
from drivers._wire.framed import Framed, frame
from drivers.whatsminer_v3 import wire
from drivers.whatsminer_v3.driver import WhatsminerV3Driver
from farmctl.core.model import MinerState, PowerSource
from farmctl.errors import MalformedReplyError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Endpoint

CASES = Path(__file__).parents[3] / "shared" / "cases"
HOST = "127.0.0.1"
RECORDING = "whatsminer_m60s_v3_fw20251209"


class Recorded(asyncio.Protocol):
    """Port 4433 that answers each request with recorded bytes; the views of a joined status are joined."""

    def __init__(self, replies: Mapping[str, Any], asked: Counter[str]) -> None:
        self.replies = replies
        self.asked = asked
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.asked["connections"] += 1

    @override
    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4 and len(self.buffer) >= 4 + int.from_bytes(self.buffer[:4], "little"):
            length = int.from_bytes(self.buffer[:4], "little")
            request, self.buffer = self.buffer[4 : 4 + length], self.buffer[4 + length :]
            assert self.transport is not None
            self.transport.write(frame(self.answer(orjson.loads(request))))

    def answer(self, request: dict[str, Any]) -> bytes:
        command = request["cmd"]
        self.asked[command] += 1
        if command != "get.miner.status":
            found = self.replies.get(command, {"code": -2, "when": 1, "msg": "invalid command", "desc": command})
            return found if isinstance(found, bytes) else orjson.dumps(found)
        msg: dict[str, Any] = {}
        for view in request["param"].split("+"):
            reply = self.replies.get(f"{command}:{view}", {"msg": {}})
            msg |= reply["msg"]
        return orjson.dumps({"code": 0, "when": 1, "msg": msg, "desc": command})


@asynccontextmanager
async def serving(replies: Mapping[str, Any], asked: Counter[str] | None = None) -> AsyncIterator[Endpoint]:
    counts: Counter[str] = Counter() if asked is None else asked
    server = await asyncio.get_running_loop().create_server(lambda: Recorded(replies, counts), HOST, 0)
    try:
        yield Endpoint(host=HOST, ports={"api3": server.sockets[0].getsockname()[1]})
    finally:
        server.close()
        await asyncio.sleep(0.01)


def case() -> dict[str, Any]:
    path = CASES / f"{RECORDING}.json"
    if not path.is_file():
        pytest.skip(f"recording {path.name} is not beside the checkout")
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def device(endpoint: Endpoint) -> Device:
    return WhatsminerV3Driver().device(endpoint, Credentials())


def summary(**fields: object) -> dict[str, Any]:
    full = {"elapsed": 1074, "hash-realtime": 101.8, "power-realtime": 3268, "power-limit": 3500, "up-freq-finish": 1}
    return {"msg": {"summary": {name: value for name, value in (full | fields).items() if value is not None}}}


def info(**miner: object) -> dict[str, Any]:
    return {
        "code": 0,
        "msg": {
            "miner": {"type": "M30S++_VH70", "working": "true", "hash-percent": ""} | miner,
            "network": {"mac": "CA:01:14:00:04:EB"},
            "system": {"api": "3.0.0", "fwversion": "20240722.07.51.REL"},
            "salt": "px5hoXa9",
            "error-code": [],
        },
    }


async def test_a_recorded_poll_says_what_two_clients_say() -> None:
    found = case()
    theirs, rust = found["pyasic"]["data"], found["pyasic_rs"]["data"]
    async with serving(found["raw"]["tcp4433"]) as endpoint:
        reading = await device(endpoint).poll()
    assert reading.state is MinerState.HASHING
    assert reading.power_source is PowerSource.DEVICE
    assert reading.power_w == theirs["wattage"] == rust["wattage"] == 3156.0
    # "hash-realtime": 171.259, as pyasic_rs takes it; pyasic adds the boards' "hash-average" (57.1 + 56.8 + 56.9 =
    # 170.8), a mean over the whole run that stays up for hours after the work has stopped.
    assert reading.hash_rate_hs == rust["hashrate"]["value"] * 1e12
    assert reading.hash_rate_hs == pytest.approx(theirs["hashrate"]["rate"] * 1e12, rel=0.01)
    assert reading.uptime_s == theirs["uptime"] == 50_000
    assert reading.power_limit_w == theirs["wattage_limit"] == rust["tuning_target"]["value"]
    assert reading.fans_rpm == tuple(fan["speed"] for fan in theirs["fans"])
    # Both give means of "chip-temp-min" (69); the port asks for the hottest chip: "chip-temp-max": 82.0.
    assert reading.temperature_c == 82.0
    # Both call "chip-temp-min" (68, 69, 70) a board's temperature; the device has its own:
    # "board-temperature": [41.1, 40.1, 41.5].
    assert reading.board_temperatures_c == (41.1, 40.1, 41.5)
    assert reading.setting == "full"
    assert reading.errors == ()


async def test_the_recorded_miner_is_identified_by_its_mac() -> None:
    found = case()
    theirs, rust = found["pyasic"]["data"], found["pyasic_rs"]["data"]
    async with serving(found["raw"]["tcp4433"]) as endpoint:
        identity = await WhatsminerV3Driver().identify(endpoint, Credentials())
        facts = await device(endpoint).facts()
    assert identity is not None
    assert identity.miner_id == identity.mac == theirs["mac"].lower() == rust["mac"].lower()
    assert identity.serial == theirs["serial_number"]
    assert identity.firmware == theirs["fw_ver"] == rust["firmware_version"]
    # "type": "M60S_VK40"; the clients write it without the line (M60S VK40, M60SVK40).
    assert identity.model == "M60S_VK40"
    assert facts.identity == identity
    assert facts.boards == theirs["expected_hashboards"] == 3
    assert facts.nominal_hash_rate_hs == rust["expected_hashrate"]["value"] * 1e12 == pytest.approx(181.051e12)
    assert facts.nominal_power_w == 3600.0
    # pyasic asks the summary for pools and gets none: "pools": [].
    assert [pool.url for pool in facts.pools] == [pool["url"] for pool in rust["pools"][0]["pools"]]
    assert [pool.user for pool in facts.pools] == ["asic-rs.test"] * 3
    assert all(pool.alive for pool in facts.pools)


async def test_a_mining_miner_costs_one_connection_and_one_request_a_poll() -> None:
    asked: Counter[str] = Counter()
    async with serving(case()["raw"]["tcp4433"], asked) as endpoint:
        miner = device(endpoint)
        for _ in range(10):
            await miner.poll()
    assert asked == {"connections": 10, "get.miner.status": 10, "get.device.info": 1}


async def test_unknown_and_missing_keys_are_normal() -> None:
    replies = {"get.miner.status:summary": summary(brand_new=[1], **{"fan-speed-in": 4980}), "get.device.info": info()}
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert (reading.state, reading.power_w, reading.fans_rpm) == (MinerState.HASHING, 3268.0, (4980.0,))
    assert math.isnan(reading.temperature_c)
    assert reading.board_temperatures_c == ()


async def test_the_hottest_chip_is_found_on_the_boards_where_the_summary_lacks_it() -> None:
    replies = {
        "get.miner.status:summary": summary(),
        "get.miner.status:edevs": {"msg": {"edevs": [{"chip-temp-max": 80.5}, {"chip-temp-max": 91.0}, {}]}},
        "get.device.info": info(),
    }
    async with serving(replies) as endpoint:
        assert (await device(endpoint).poll()).temperature_c == 91.0


@pytest.mark.parametrize(
    ("status", "device_info", "state", "setting"),
    [
        (summary(**{"hash-realtime": 0, "power-realtime": 28}), info(working="false"), MinerState.CURTAILED, "sleep"),
        (summary(**{"hash-realtime": 0, "power-realtime": 3300}), info(working="false"), MinerState.UNKNOWN, "sleep"),
        (summary(**{"hash-realtime": 0, "power-realtime": 400}), info(), MinerState.BOOTING, "full"),
        (summary(**{"hash-realtime": 0, "power-realtime": 28}), {"code": -1}, MinerState.UNKNOWN, None),
        (summary(), info(**{"hash-percent": "60"}), MinerState.THROTTLED, "percent:60"),
        (summary(), {"code": -1}, MinerState.HASHING, None),
    ],
    ids=["asleep", "says-off-and-draws", "waking", "no-info", "throttled", "mining-without-info"],
)
async def test_state_is_what_was_measured(
    status: dict[str, Any], device_info: dict[str, Any], state: MinerState, setting: str | None
) -> None:
    async with serving({"get.miner.status:summary": status, "get.device.info": device_info}) as endpoint:
        reading = await device(endpoint).poll()
    assert (reading.state, reading.setting) == (state, setting)


async def test_errors_come_from_device_info_and_turn_no_hash_rate_into_a_fault() -> None:
    told = info()
    told["msg"]["error-code"] = [{"531": "2025-03-12 14:52:35", "reason": "Slot1 not found."}, 532, "junk"]
    replies = {"get.miner.status:summary": summary(**{"hash-realtime": 0}), "get.device.info": told}
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert reading.errors == ("531", "532")
    assert reading.state is MinerState.FAULT


async def test_one_field_that_does_not_parse_is_one_missing_field() -> None:
    replies = {"get.miner.status:summary": summary(**{"power-limit": "n/a"}), "get.device.info": info()}
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert math.isnan(reading.power_limit_w)
    assert reading.power_w == 3268.0


async def test_a_status_without_a_summary_is_a_malformed_reply() -> None:
    async with serving({"get.device.info": info()}) as endpoint:
        with pytest.raises(MalformedReplyError, match=HOST):
            await device(endpoint).poll()


@pytest.mark.parametrize("reply", [b"<html>502", b'{"code":0,"msg":"x"}', b'{"STATUS":"E","Code":14}'])
async def test_others_on_that_port_are_no_whatsminers(reply: bytes) -> None:
    async with serving({"get.device.info": reply}) as endpoint:
        assert await WhatsminerV3Driver().identify(endpoint, Credentials()) is None


async def test_a_shut_port_is_silence_with_its_refusal_as_cause() -> None:
    async with serving({}) as endpoint:
        pass
    with pytest.raises(SilentPeerError) as caught:
        await WhatsminerV3Driver().identify(endpoint, Credentials())
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@asynccontextmanager
async def saying(*chunks: bytes, closes: bool = True) -> AsyncIterator[int]:
    """A server that answers every connection with these bytes, each in a packet of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
        if not closes:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def test_heartbeats_and_torn_packets_are_put_together() -> None:
    whole = bytes(4) + frame(b'{"code":0}')
    async with saying(whole[:6], whole[6:9], whole[9:]) as port, Framed(HOST, port) as link:
        assert await link.ask(b"{}") == {"code": 0}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"", SilentPeerError),
        (b"\x40\x00\x00\x00{", MalformedReplyError),
        (b'{"STATUS":[]}', MalformedReplyError),
        (frame(b"[1]"), MalformedReplyError),
        (frame(b"\xff\xfe"), MalformedReplyError),
    ],
    ids=["nothing", "cut", "not-framed", "a-list", "no-text"],
)
async def test_bytes_that_are_no_frame_are_named_with_their_peer(said: bytes, fault: type[Exception]) -> None:
    async with saying(said) as port, Framed(HOST, port) as link:
        with pytest.raises(fault, match=f"{HOST}:{port}"):
            await link.ask(b"{}")
        with pytest.raises((SilentPeerError, MalformedReplyError)):
            await link.ask(b"{}")


async def test_a_silent_peer_costs_its_deadline_and_no_more() -> None:
    deadlines = Deadlines(connect_s=2.0, answer_s=0.05)
    async with saying(closes=False) as port, Framed(HOST, port, deadlines) as link:
        with pytest.raises(SilentPeerError, match=r"0\.05 s"):
            await link.ask(b"{}")


def test_a_write_is_signed_over_command_password_salt_and_time() -> None:
    word = "super"
    raw = wire.signed("set.miner.service", "stop", account=word, password=word, salt="QbVy1Ou3", now_s=1_700_000_000)
    # printf %s set.miner.servicesuperQbVy1Ou31700000000 | openssl dgst -sha256 -binary | base64 | cut -c1-8
    assert orjson.loads(raw) == {
        "cmd": "set.miner.service",
        "param": "stop",
        "account": "super",
        "ts": 1_700_000_000,
        "token": "1jbuEluZ",
    }
