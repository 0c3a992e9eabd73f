from __future__ import annotations

import asyncio
import copy
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from drivers.epic import wire
from drivers.epic.belief import Belief
from drivers.epic.driver import EpicDriver
from farmctl.core.model import MinerState, PointKind, PowerSource
from farmctl.errors import MalformedReplyError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Endpoint, ReadsLadder

CASES = Path(__file__).parents[3] / "shared" / "cases"
HOST = "127.0.0.1"

SUMMARY: dict[str, Any] = {
    "Fans Rpm": {"Fans Speed 1": 5900, "Fans Speed 10": 4000, "Fans Speed 2": 0, "Fans Speed 3": None},
    "HBs": [{"Hashrate": [49e6, 100.0, 0.8], "Temperature": 67.0}, {"Hashrate": [51e6, 1.0, 1.0], "Temperature": 64.0}],
    "PerpetualTune": {"Algorithm": {"VoltageOptimizer": {"Target": 143, "Unit": "TH/s"}}, "Running": True},
    "Power Supply Stats": {"Input Power": 2166.5},
    "Session": {"Uptime": 23170},
    "Status": {"Last Command": None, "Last Error": None, "Operating State": "Mining"},
    "Software": "PowerPlay-BMS v1.30.0",
}


@asynccontextmanager
async def serving(pages: Mapping[str, Any], asked: Counter[str] | None = None) -> AsyncIterator[Endpoint]:
    """A web server with these pages, keep-alive."""
    counts: Counter[str] = Counter() if asked is None else asked

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts["connections"] += 1
        while line := await reader.readline():
            method, path, _ = line.decode().split(" ")
            while (await reader.readline()).strip():
                pass
            counts[f"{method} {path}"] += 1
            page = pages.get(f"{method} {path}")
            body = page if isinstance(page, bytes) else orjson.dumps(page)
            status = "404 Not Found" if page is None else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    try:
        yield Endpoint(host=HOST, ports={"api": server.sockets[0].getsockname()[1]})
    finally:
        server.close()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def device(endpoint: Endpoint) -> AsyncIterator[Device]:
    made = EpicDriver().device(endpoint, Credentials())
    try:
        yield made
    finally:
        await made.close()
        await asyncio.sleep(0.01)


def case(name: str = "epic_v1") -> dict[str, Any]:
    path = CASES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"recording {path.name} is not beside the checkout")
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def summary(**sections: dict[str, Any] | list[Any]) -> dict[str, Any]:
    made = copy.deepcopy(SUMMARY)
    for name, change in sections.items():
        key = {"status": "Status", "boards": "HBs", "supply": "Power Supply Stats", "tune": "PerpetualTune"}[name]
        made[key] = made[key] | change if isinstance(change, dict) else change
    return made


def idle(last: str | None = None, error: object = None, **sections: dict[str, Any] | list[Any]) -> dict[str, Any]:
    return summary(status={"Operating State": "Idling", "Last Command": last, "Last Error": error}, **sections)


async def test_a_recorded_poll_says_what_two_clients_say() -> None:
    found = case()
    theirs, rust = found["pyasic"]["data"], found["pyasic_rs"]["data"]
    async with serving(found["raw"]["http"]) as endpoint, device(endpoint) as miner:
        reading = await miner.poll()
    assert reading.state is MinerState.HASHING
    assert reading.power_source is PowerSource.DEVICE
    # "Input Power": 2166.6174, which pyasic rounds to 2167.
    assert reading.power_w == rust["wattage"] == 2166.6174
    assert reading.power_w == pytest.approx(theirs["wattage"], abs=0.5)
    # Sum of the boards, 49440724 + 49925124 MH/s; "Average MHs": 90071990 is the mean of the session.
    assert reading.hash_rate_hs == pytest.approx(theirs["hashrate"]["rate"] * 1e12)
    assert reading.hash_rate_hs == pytest.approx(rust["hashrate"]["value"] * 1e12)
    assert reading.uptime_s == theirs["uptime"] == 23_170
    # "Fans Speed 1": 5971, "2": 0, "3": 5942, "4": 5745, the rest null; pyasic lists the nulls too, in the order 1, 10.
    assert reading.fans_rpm == pytest.approx(tuple(fan["rpm"] for fan in rust["fans"]))
    assert reading.fans_rpm == (5971.0, 0.0, 5942.0, 5745.0)
    # Both give a mean over boards; the port asks for the hottest: "Temperature": 67.0 of board 1 (chips say 0.0).
    assert reading.temperature_c == 67.0
    assert reading.board_temperatures_c == (67.0, 64.312)
    assert reading.setting == "full"
    # The target is a hash rate, 143 TH/s; "PresetInfo": {"Target Power": 3000} is a preset that is not in force.
    assert math.isnan(reading.power_limit_w)
    assert theirs["wattage_limit"] is None
    assert reading.errors == ()


async def test_the_recorded_miner_is_identified_by_its_mac() -> None:
    found = case()
    theirs, rust = found["pyasic"]["data"], found["pyasic_rs"]["data"]
    async with serving(found["raw"]["http"]) as endpoint, device(endpoint) as miner:
        identity = await EpicDriver().identify(endpoint, Credentials())
        facts = await miner.facts()
    assert identity is not None
    assert identity.miner_id == identity.mac == theirs["mac"].lower() == rust["mac"].lower()
    assert identity.serial == rust["serial_number"]
    # "Software": "PowerPlay-BMS v1.5.13"; pyasic gives the number alone.
    assert identity.firmware == rust["firmware_version"]
    assert identity.model == "AntMiner S19 XP"
    assert facts.identity == identity
    assert facts.boards == theirs["expected_hashboards"] == 3
    # "Default Hashrate": 143; pyasic divides what the boards do by the percentage they report of it, 95.9.
    assert facts.nominal_hash_rate_hs == rust["expected_hashrate"]["value"] * 1e12 == 143e12
    # The preset below 143 TH/s: 3,350 W for 142 TH/s.
    assert facts.nominal_power_w == 3350.0
    # "StratumConfigs" says what is configured; rust's URL has lost "stratum+tcp://", its user gained "-0x81x19".
    assert [pool.url for pool in facts.pools] == ["stratum+tcp://mine.ocean.xyz:3334"]
    assert [pool.user for pool in facts.pools] == ["randomuser.randomworker"]
    assert [pool.alive for pool in facts.pools] == [True]


async def test_the_recorded_presets_make_a_ladder_up_to_the_operators_target() -> None:
    async with serving(case()["raw"]["http"]) as endpoint, device(endpoint) as miner:
        assert isinstance(miner, ReadsLadder)
        ladder = await miner.ladder()
    assert ladder is not None
    assert [(point.setting, point.power_w) for point in ladder.points[1:]] == [
        ("profile:80TH", 1700.0),
        ("profile:100TH", 2200.0),
        ("profile:120TH", 2700.0),
        ("full", 3350.0),
    ]
    assert (ladder.points[0].setting, ladder.points[-1].kind) == ("sleep", PointKind.FULL)


async def test_polls_share_one_connection_and_cost_one_page() -> None:
    asked: Counter[str] = Counter()
    async with serving(case()["raw"]["http"], asked) as endpoint, device(endpoint) as miner:
        for _ in range(5):
            await miner.poll()
    assert asked == {"connections": 1, "GET /summary": 5}


@pytest.mark.parametrize(
    ("page", "state", "setting"),
    [
        (summary(), MinerState.HASHING, "full"),
        (idle(supply={"Input Power": 45}, boards=[]), MinerState.CURTAILED, "sleep"),
        (idle(supply={"Input Power": 3000}, boards=[]), MinerState.UNKNOWN, "sleep"),
        (idle(), MinerState.UNKNOWN, "sleep"),
        (summary(status={"Operating State": "Stopping"}, boards=[]), MinerState.UNKNOWN, "sleep"),
        (summary(status={"Operating State": "Initializing"}, boards=[]), MinerState.BOOTING, "full"),
        (summary(status={"Operating State": "Mining"}, boards=[]), MinerState.BOOTING, "full"),
        (summary(status={"Operating State": None}), MinerState.UNKNOWN, None),
        (idle("autostart", supply={"Input Power": 45}, boards=[]), MinerState.BOOTING, "full"),
        (idle("autostart", {"ShutdownTempReached": [1, 85.0]}, boards=[]), MinerState.FAULT, "full"),
    ],
    ids=[
        "mining",
        "idle",
        "idle-and-draws",
        "idle-and-hashes",
        "stopping",
        "starting",
        "no-board",
        "no-state",
        "no-pool",
        "too-hot",
    ],
)
async def test_state_is_what_was_measured(page: dict[str, Any], state: MinerState, setting: str | None) -> None:
    async with serving({"GET /summary": page}) as endpoint, device(endpoint) as miner:
        reading = await miner.poll()
    assert (reading.state, reading.setting) == (state, setting)


async def test_errors_are_named_as_the_firmware_names_them() -> None:
    page = summary(status={"Last Error": {"MinimumFansError": 2}})
    async with serving({"GET /summary": page}) as endpoint, device(endpoint) as miner:
        assert (await miner.poll()).errors == ("MinimumFansError",)


def test_started_without_a_hash_is_a_fault_after_a_quarter_of_an_hour() -> None:
    found = wire.parse_summary(summary(status={"Operating State": "Initializing"}, boards=[]))
    assert found is not None
    belief = Belief()
    assert [belief.learn(found, now_s) for now_s in (10.0, 900.0, 920.0)] == [
        MinerState.BOOTING,
        MinerState.BOOTING,
        MinerState.FAULT,
    ]


async def test_watts_are_the_limit_where_it_tunes_to_watts() -> None:
    tune = {"Algorithm": {"PowerTune": {"Target": 2600, "Unit": "W", "Optimized": True}}}
    async with serving({"GET /summary": summary(tune=tune)}) as endpoint, device(endpoint) as miner:
        assert (await miner.poll()).power_limit_w == 2600.0


async def test_the_algorithm_in_force_is_the_one_that_is_named() -> None:
    tune = {
        "Algorithm": {"ChipTune": {"Target": 100}, "PowerTune": {"Target": 2400}},
        "Current Algorithm": "PowerTune",
    }
    async with serving({"GET /summary": summary(tune=tune)}) as endpoint, device(endpoint) as miner:
        assert (await miner.poll()).power_limit_w == 2400.0


@pytest.mark.parametrize("name", ["Power Supply Stats", "HBs", "Fans Rpm", "Session", "PerpetualTune"])
@pytest.mark.parametrize("junk", [None, 7, "x", [], [1]])
async def test_a_section_that_does_not_parse_is_a_missing_section(name: str, junk: object) -> None:
    page = copy.deepcopy(SUMMARY) | {name: junk, "Brand New": {"a": 1}}
    async with serving({"GET /summary": page}) as endpoint, device(endpoint) as miner:
        reading = await miner.poll()
    assert reading.setting == "full"
    assert math.isnan(reading.power_w) is (name == "Power Supply Stats")
    assert reading.fans_rpm == (() if name == "Fans Rpm" else (5900.0, 0.0, 4000.0))


@pytest.mark.parametrize("page", [b"", b"<html>502", b"[]", b"{}", b'{"Status":"Mining"}'])
async def test_a_summary_that_is_none_is_a_malformed_reply(page: bytes) -> None:
    async with serving({"GET /summary": page}) as endpoint, device(endpoint) as miner:
        with pytest.raises(MalformedReplyError, match=HOST):
            await miner.poll()


@pytest.mark.parametrize("page", [None, b"<html>AxeOS", b"[]", b'{"Model":7}', b'{"Model":"BM1368"}'])
async def test_other_web_servers_are_not_powerplay(page: bytes | None) -> None:
    async with serving({"GET /capabilities": page}) as endpoint:
        assert await EpicDriver().identify(endpoint, Credentials()) is None


async def test_cgminer_on_the_same_port_is_not_powerplay() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(b"STATUS=E,When=1,Code=14,Msg=Invalid command,Description=cgminer 4.9.2|\0")
        writer.close()

    server = await asyncio.start_server(refuse, HOST, 0)
    endpoint = Endpoint(host=HOST, ports={"api": server.sockets[0].getsockname()[1]})
    assert await EpicDriver().identify(endpoint, Credentials()) is None
    server.close()
    await asyncio.sleep(0.01)


async def test_a_shut_port_is_silence_with_its_refusal_as_cause() -> None:
    async with serving({}) as endpoint:
        pass
    with pytest.raises(SilentPeerError) as caught:
        await EpicDriver().identify(endpoint, Credentials())
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
