from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from typing_extensions import override

from drivers.luxos.driver import LuxosDriver
from farmctl.core.model import MinerState, PointKind, PowerSource
from farmctl.errors import MalformedReplyError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Endpoint, ReadsLadder

CASES = Path(__file__).parents[3] / "shared" / "cases"
FIXTURE = Path(__file__).parent / "fixtures" / "luxos" / "asleep"
RECORDING = "luxos_s19kpro_2025.4.8"
HOST = "127.0.0.1"


def refusal(code: int, message: str) -> bytes:
    return orjson.dumps({"STATUS": [{"STATUS": "E", "Code": code, "Msg": message, "Description": "LUXminer"}], "id": 1})


class Recorded(asyncio.Protocol):
    """Port 4028 that answers with recorded bytes, joined or not, and closes."""

    def __init__(self, replies: Mapping[str, bytes], asked: Counter[str], *, joins: bool) -> None:
        self.replies = replies
        self.asked = asked
        self.joins = joins
        self.transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        command = orjson.loads(data)["command"]
        self.asked[command] += 1
        assert self.transport is not None
        self.transport.write(self.answer(command) + b"\0")
        self.transport.close()

    def answer(self, command: str) -> bytes:
        if "+" in command and self.joins:
            parts = (b'"%s":[%s]' % (part.encode(), self.answer(part)) for part in command.split("+"))
            return b"{" + b",".join(parts) + b',"id":1}'
        return self.replies.get(command, refusal(14, "Invalid command"))


@asynccontextmanager
async def serving(
    replies: Mapping[str, bytes], asked: Counter[str] | None = None, *, joins: bool = True
) -> AsyncIterator[Endpoint]:
    counts: Counter[str] = Counter() if asked is None else asked
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Recorded(replies, counts, joins=joins), HOST, 0)
    try:
        yield Endpoint(host=HOST, ports={"api": server.sockets[0].getsockname()[1]})
    finally:
        server.close()
        await server.wait_closed()


def case(name: str = RECORDING) -> dict[str, Any]:
    path = CASES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"recording {path.name} is not beside the checkout")
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def recorded(found: Mapping[str, Any]) -> dict[str, bytes]:
    return {command: orjson.dumps(reply) for command, reply in found["raw"]["tcp4028"].items()}


def asleep() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(FIXTURE.glob("*.json"))}


def device(endpoint: Endpoint) -> Device:
    return LuxosDriver().device(endpoint, Credentials())


@pytest.mark.parametrize("joins", [True, False], ids=["joined", "one by one"])
async def test_a_recorded_poll_says_what_two_clients_say(*, joins: bool) -> None:
    found = case()
    theirs, rust = found["pyasic"]["data"], found["pyasic_rs"]["data"]
    async with serving(recorded(found), joins=joins) as endpoint:
        reading = await device(endpoint).poll()
    # ProfileStep is -12: 290 MHz of 590.
    assert reading.state is MinerState.THROTTLED
    assert reading.setting == "profile:290MHz"
    assert reading.power_source is PowerSource.DEVICE
    assert reading.power_w == theirs["wattage"] == rust["wattage"]
    # The device's own "GHS 5s", as pyasic_rs; pyasic adds lifetime means of the boards, 4.7 % less and 57 min old.
    assert reading.hash_rate_hs == pytest.approx(rust["hashrate"]["value"] * 1e12)
    assert reading.hash_rate_hs == pytest.approx(theirs["hashrate"]["rate"] * 1e12, rel=0.06)
    assert reading.uptime_s == theirs["uptime"]
    assert reading.fans_rpm == tuple(fan["speed"] for fan in theirs["fans"])
    # Both clients take a corner of the board for a chip; LuxOS labels all four "Board", and tells of no chip.
    # We give the hottest corner, which both report as the outlet chip.
    assert reading.temperature_c == 47.0
    assert reading.board_temperatures_c == tuple(board["chip_temp"] for board in theirs["hashboards"])
    assert reading.board_temperatures_c == tuple(board["outlet_chip_temperature"] for board in rust["hashboards"])
    assert math.isnan(reading.power_limit_w)


async def test_a_firmware_that_joins_costs_one_request_a_poll() -> None:
    asked: Counter[str] = Counter()
    async with serving(asleep(), asked) as endpoint:
        miner = device(endpoint)
        for _ in range(3):
            await miner.poll()
    assert asked == {"stats+power+config": 3}


async def test_a_firmware_that_does_not_join_is_asked_so_once() -> None:
    asked: Counter[str] = Counter()
    async with serving(asleep(), asked, joins=False) as endpoint:
        miner = device(endpoint)
        for _ in range(3):
            await miner.poll()
    assert asked == {"stats+power+config": 1, "stats": 3, "power": 3, "config": 3}


async def test_a_recorded_miner_is_identified_by_its_mac() -> None:
    found = case()
    async with serving(recorded(found)) as endpoint:
        identity = await LuxosDriver().identify(endpoint, Credentials())
        facts = await device(endpoint).facts()
    rust = found["pyasic_rs"]["data"]
    assert identity is not None
    assert identity.miner_id == identity.mac == rust["mac"].lower()
    assert identity.serial == rust["serial_number"]
    assert identity.firmware == rust["firmware_version"]
    assert identity.model == "Antminer S19k Pro"
    assert facts.boards == 3
    assert facts.nominal_hash_rate_hs == pytest.approx(121.8e12)
    assert facts.nominal_power_w == 2794.0
    assert [pool.alive for pool in facts.pools] == [True, False, True, False]


@pytest.mark.parametrize(
    "name",
    [
        "antminer_s19pro_49.0.1.3",
        "braiins_24.09",
        "avalon_a1246_21072802",
        "auradine_v1",
        "vnish_s21pro_1.2.7",
        "whatsminer_m21s_fw20210322",
    ],
)
async def test_other_families_are_not_luxos(name: str) -> None:
    async with serving(recorded(case(name)), joins=False) as endpoint:
        assert await LuxosDriver().identify(endpoint, Credentials()) is None


async def test_nobody_at_home_is_silence_not_another_family() -> None:
    async with serving({}) as endpoint:
        pass
    with pytest.raises(SilentPeerError):
        await LuxosDriver().identify(endpoint, Credentials())


async def test_the_recorded_ladder_rises_from_sleep_to_the_default_profile() -> None:
    async with serving(recorded(case())) as endpoint:
        miner = device(endpoint)
        assert isinstance(miner, ReadsLadder)
        ladder = await miner.ladder()
    assert ladder is not None
    watts = [point.power_w for point in ladder.points]
    assert ladder.points[0].setting == "sleep"
    assert ladder.points[1].setting == "profile:190MHz"
    assert ladder.points[-1].setting == "profile:default"
    assert (watts[0], watts[1], watts[-1]) == (25.0, 784.0, 2794.0)
    assert all(low < high for low, high in pairwise(watts))
    kinds = [point.kind for point in ladder.points]
    assert kinds == [PointKind.SLEEP, *[PointKind.THROTTLE] * 16, PointKind.FULL]


async def test_a_ladder_goes_above_the_default_only_where_an_operator_went_there() -> None:
    replies = recorded(case())
    replies["config"] = replies["config"].replace(b'"ProfileStep":"-12"', b'"ProfileStep":"2"')
    async with serving(replies) as endpoint:
        miner = device(endpoint)
        assert isinstance(miner, ReadsLadder)
        ladder = await miner.ladder()
    assert ladder is not None
    assert ladder.points[-1].setting == "profile:640MHz"


async def test_profiles_with_equal_watts_or_less_hash_rate_leave_the_ladder() -> None:
    profiles = [
        {"Profile Name": "a", "Step": "-3", "Watts": 1000, "Hashrate": 40.0},
        {"Profile Name": "b", "Step": "-2", "Watts": 1000, "Hashrate": 41.0},
        {"Profile Name": "worse", "Step": "-1", "Watts": 1100, "Hashrate": 40.5},
        {"Profile Name": "no watts", "Step": "0", "Hashrate": 50.0},
        {"Profile Name": "c", "Step": "0", "Watts": "1200", "Hashrate": 50.0},
    ]
    replies = {**asleep(), "profiles": orjson.dumps({"PROFILES": profiles, "id": 1})}
    async with serving(replies) as endpoint:
        miner = device(endpoint)
        assert isinstance(miner, ReadsLadder)
        ladder = await miner.ladder()
    assert ladder is not None
    assert [point.setting for point in ladder.points] == ["sleep", "profile:b", "profile:c"]


async def test_no_profiles_is_no_ladder() -> None:
    async with serving(asleep()) as endpoint:
        miner = device(endpoint)
        assert isinstance(miner, ReadsLadder)
        assert await miner.ladder() is None


async def test_curtailed_without_watts_is_sleep() -> None:
    async with serving(asleep()) as endpoint:
        reading = await device(endpoint).poll()
    assert (reading.state, reading.setting) == (MinerState.CURTAILED, "sleep")
    assert reading.power_w == 24.0


async def test_curtailed_with_watts_is_not_yet_asleep() -> None:
    replies = asleep()
    replies["power"] = replies["power"].replace(b"24", b"2400")
    async with serving(replies) as endpoint:
        assert (await device(endpoint).poll()).state is MinerState.UNKNOWN


async def test_a_config_that_failed_is_unknown_never_asleep() -> None:
    replies = asleep()
    replies["config"] = refusal(14, "busy")
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert (reading.state, reading.setting) == (MinerState.UNKNOWN, None)


async def test_awake_without_hash_rate_is_booting_and_later_a_fault() -> None:
    replies = asleep()
    replies["config"] = replies["config"].replace(b'"Sleep"', b'"None"')
    async with serving(replies) as endpoint:
        assert (await device(endpoint).poll()).state is MinerState.BOOTING
    replies["stats"] = replies["stats"].replace(b'"Elapsed":40', b'"Elapsed":4000')
    async with serving(replies) as endpoint:
        assert (await device(endpoint).poll()).state is MinerState.FAULT


async def test_a_power_that_failed_is_one_missing_field() -> None:
    replies = recorded(case())
    replies["power"] = refusal(14, "busy")
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert math.isnan(reading.power_w)
    assert reading.state is MinerState.THROTTLED


async def test_neither_stats_nor_config_is_a_malformed_reply() -> None:
    async with serving({}) as endpoint:
        with pytest.raises(MalformedReplyError, match=HOST):
            await device(endpoint).poll()
