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

from drivers.whatsminer.driver import WhatsminerDriver
from farmctl.core.model import MinerState, PowerSource
from farmctl.errors import MalformedReplyError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Endpoint

CASES = Path(__file__).parents[3] / "shared" / "cases"
FIXTURES = Path(__file__).parent / "fixtures" / "whatsminer"
HOST = "127.0.0.1"
NO_SUCH = b'{"STATUS":"E","When":1,"Code":14,"Msg":"invalid cmd","Description":""}'


class Recorded(asyncio.Protocol):
    """Port 4028 that answers each command with recorded bytes and closes."""

    def __init__(self, replies: Mapping[str, bytes], asked: Counter[str]) -> None:
        self.replies = replies
        self.asked = asked
        self.transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        command = orjson.loads(data)["command"]
        self.asked[command] += 1
        reply = self.replies.get(command, NO_SUCH)
        assert self.transport is not None
        if reply:
            self.transport.write(reply + b"\0")
            self.transport.close()


@asynccontextmanager
async def serving(replies: Mapping[str, bytes], asked: Counter[str] | None = None) -> AsyncIterator[Endpoint]:
    counts: Counter[str] = Counter() if asked is None else asked
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Recorded(replies, counts), HOST, 0)
    try:
        yield Endpoint(host=HOST, ports={"api": server.sockets[0].getsockname()[1]})
    finally:
        server.close()
        await server.wait_closed()


def case(name: str) -> dict[str, Any]:
    path = CASES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"recording {path.name} is not beside the checkout")
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def recorded(found: Mapping[str, Any]) -> dict[str, bytes]:
    return {command: orjson.dumps(reply) for command, reply in found["raw"]["tcp4028"].items()}


def fixture(firmware: str) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted((FIXTURES / firmware).glob("*.json"))}


def device(endpoint: Endpoint) -> Device:
    return WhatsminerDriver().device(endpoint, Credentials())


@pytest.mark.parametrize("name", ["bench_m30spp", "whatsminer_m21s_fw20210322", "whatsminer_m21s_fw20210322_errors"])
async def test_a_recorded_poll_says_what_two_clients_say(name: str) -> None:
    found = case(name)
    theirs, rust = found["pyasic"]["data"], found["pyasic_rs"]["data"]
    async with serving(recorded(found)) as endpoint:
        reading = await device(endpoint).poll()
    assert reading.state is MinerState.HASHING
    assert reading.power_source is PowerSource.DEVICE
    assert reading.power_w == theirs["wattage"] == rust["wattage"]
    # The device's own total, as pyasic_rs takes it; pyasic adds the boards' one-minute means (0.02 % less here).
    assert reading.hash_rate_hs == pytest.approx(rust["hashrate"]["value"] * 1e12)
    assert reading.hash_rate_hs == pytest.approx(theirs["hashrate"]["rate"] * 1e12, rel=0.01)
    assert reading.uptime_s == theirs["uptime"]
    assert reading.power_limit_w == theirs["wattage_limit"] == rust["tuning_target"]["value"]
    assert reading.fans_rpm == tuple(fan["speed"] for fan in theirs["fans"])
    # They give means over boards, from a second request; the port asks for the hottest chip: "Chip Temp Max".
    assert reading.temperature_c == 92.5
    assert reading.board_temperatures_c == (71.5,)
    assert reading.setting == "full"


async def test_error_codes_are_read_from_the_summary() -> None:
    async with serving(recorded(case("whatsminer_m21s_fw20210322_errors"))) as endpoint:
        assert (await device(endpoint).poll()).errors == ("110", "600")


@pytest.mark.parametrize("name", ["bench_m30spp", "whatsminer_m21s_fw20210322"])
async def test_a_recorded_miner_is_identified_by_its_mac(name: str) -> None:
    found = case(name)
    async with serving(recorded(found)) as endpoint:
        identity = await WhatsminerDriver().identify(endpoint, Credentials())
        facts = await device(endpoint).facts()
    assert identity is not None
    assert identity.miner_id == found["pyasic"]["data"]["mac"].lower()
    assert identity.firmware == found["pyasic"]["data"]["fw_ver"]
    assert identity.model == found["raw"]["tcp4028"]["devdetails"]["DEVDETAILS"][0]["Model"]
    assert facts.identity == identity
    assert facts.boards == 3
    assert facts.nominal_hash_rate_hs == pytest.approx(68.796e12)
    assert facts.nominal_power_w == 3500.0
    assert [pool.url for pool in facts.pools] == [pool["url"] for pool in found["pyasic"]["data"]["pools"]]
    assert all(pool.alive for pool in facts.pools)


async def test_one_that_sleeps_with_its_mining_process_down_stays_who_it_is_and_keeps_what_it_told() -> None:
    replies = dict(recorded(case("bench_m30spp")))
    down = dict.fromkeys(
        ("summary", "pools", "devs", "edevs", "devdetails"), b"Socket connect failed: Connection refused"
    )
    async with serving(replies) as endpoint:
        awake = device(endpoint)
        before = await awake.facts()
        replies.update(down)
        asleep, stranger = await awake.facts(), await device(endpoint).facts()
    assert (asleep.identity.miner_id, asleep.pools) == (before.identity.miner_id, before.pools)
    assert asleep.nominal_hash_rate_hs == before.nominal_hash_rate_hs
    assert (stranger.identity.miner_id, stranger.pools) == (before.identity.miner_id, ())


@pytest.mark.parametrize(
    "name",
    ["luxos_s19kpro_2025.4.8", "antminer_s19pro_49.0.1.3", "braiins_24.09", "avalon_a1246_21072802", "auradine_v1"],
)
async def test_other_families_are_not_whatsminers(name: str) -> None:
    async with serving(recorded(case(name))) as endpoint:
        assert await WhatsminerDriver().identify(endpoint, Credentials()) is None


async def test_api_3_is_left_to_others_because_its_writes_differ() -> None:
    async with serving(recorded(case("whatsminer_m60s_v3_fw20251209"))) as endpoint:
        assert await WhatsminerDriver().identify(endpoint, Credentials()) is None


async def test_nobody_at_home_is_silence_not_another_family() -> None:
    async with serving({}) as endpoint:
        pass
    with pytest.raises(SilentPeerError):
        await WhatsminerDriver().identify(endpoint, Credentials())


async def test_a_mining_miner_costs_one_request_a_poll() -> None:
    asked: Counter[str] = Counter()
    async with serving(fixture("20230803.11.REL"), asked) as endpoint:
        miner = device(endpoint)
        readings = [await miner.poll() for _ in range(10)]
    assert asked == {"summary": 10, "status": 1}
    assert {reading.setting for reading in readings} == {"percent:80"}
    assert {reading.state for reading in readings} == {MinerState.THROTTLED}


async def test_no_hash_rate_and_mineroff_is_sleep() -> None:
    async with serving(fixture("20230803.11.REL-asleep")) as endpoint:
        reading = await device(endpoint).poll()
    assert reading.state is MinerState.CURTAILED
    assert reading.setting == "sleep"
    assert reading.power_w == 28.0
    assert reading.temperature_c == 25.0  # chips that are off say 0, which is no temperature


async def test_no_hash_rate_and_not_off_is_booting_and_later_a_fault() -> None:
    replies = fixture("20230803.11.REL-asleep")
    replies["status"] = replies["status"].replace(b'"mineroff":"true"', b'"mineroff":"false"')
    async with serving(replies) as endpoint:
        assert (await device(endpoint).poll()).state is MinerState.BOOTING
    replies["summary"] = replies["summary"].replace(b'"Elapsed":0', b'"Elapsed":1800')
    async with serving(replies) as endpoint:
        assert (await device(endpoint).poll()).state is MinerState.FAULT


async def test_no_hash_rate_and_no_status_is_unknown_never_asleep() -> None:
    replies = fixture("20230803.11.REL-asleep")
    del replies["status"]
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert reading.state is MinerState.UNKNOWN
    assert reading.setting is None


async def test_a_miner_that_says_off_and_draws_is_not_asleep() -> None:
    replies = fixture("20230803.11.REL-asleep")
    replies["summary"] = replies["summary"].replace(b'"Power":28', b'"Power":3300')
    async with serving(replies) as endpoint:
        assert (await device(endpoint).poll()).state is MinerState.UNKNOWN


async def test_old_firmware_whose_mining_process_is_down_is_asleep_with_unknown_watts() -> None:
    async with serving(fixture("20210322.22.REL-asleep")) as endpoint:
        reading = await device(endpoint).poll()
    assert reading.state is MinerState.CURTAILED
    assert reading.setting == "sleep"
    assert math.isnan(reading.power_w)
    assert math.isnan(reading.hash_rate_hs)


async def test_one_field_that_does_not_parse_is_one_missing_field() -> None:
    replies = fixture("20230803.11.REL")
    replies["summary"] = replies["summary"].replace(b'"Power":2650', b'"Power":"n/a"').replace(b"82.5", b"nan")
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert math.isnan(reading.power_w)
    assert reading.temperature_c == 70.5  # the board, where no chip tells
    assert reading.hash_rate_hs == pytest.approx(93.1e12)


async def test_a_truncated_summary_keeps_its_whole_fields() -> None:
    replies = fixture("20230803.11.REL")
    cut = replies["summary"].index(b'"Power Limit"') + 16
    replies["summary"] = replies["summary"][:cut]
    async with serving(replies) as endpoint:
        reading = await device(endpoint).poll()
    assert reading.power_w == 2650.0
    assert math.isnan(reading.power_limit_w)


@pytest.mark.parametrize("summary", [NO_SUCH, b'{"SUMMARY":[]}', b"<html>502"])
async def test_a_summary_without_a_row_is_a_malformed_reply(summary: bytes) -> None:
    async with serving({"summary": summary}) as endpoint:
        with pytest.raises(MalformedReplyError, match=HOST):
            await device(endpoint).poll()
