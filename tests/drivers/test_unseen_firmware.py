"""Firmware met in public reports and vendors' interface files, written by hand from what those say.

Avalon: PS of the Nano 3 and 3s as owners posted them. VNish: OpenAPI file of 1.2.6. AxeOS: openapi.yaml of 2.14.
BOSminer: replies of 20.x and 24.x. LuxOS: api manual and S9 replies.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers.antminer import pages
from drivers.antminer.driver import AntminerDriver
from drivers.auradine import wire as auradine
from drivers.avalon import wire as avalon
from drivers.avalon.driver import AvalonDriver
from drivers.bitaxe import wire as bitaxe
from drivers.bitaxe.driver import BitaxeDevice, BitaxeDriver
from drivers.braiins import wire as braiins
from drivers.braiins.driver import BraiinsDriver
from drivers.luxos import wire as luxos
from drivers.vnish import wire as vnish
from drivers.whatsminer_v3.driver import WhatsminerV3Driver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import FarmError, MalformedReplyError
from farmctl.ports.devices import Credentials, Endpoint
from farmctl.wiring.drivers import LAST, load_drivers
from tests.drivers.fixtures.recorded import serving
from tests.drivers.fixtures.rest.served import Served
from tests.drivers.fixtures.rest.served import serving as serving_web

HOST = "127.0.0.1"
MAC = "02:55:97:22:30:73"
SHARES = {"Accepted": 7, "Rejected": "2", "Stale": 1}
COUNTED = (7.0, 2.0, 1.0)

NANO_3 = "Ver[Nano3-1] SYSTEMSTATU[Work: In Work, Hash Board: 1 ] GHSspd[3500.5] TMax[83] PS[0 0 0 4 2756 126 330] "
NANO_3 += "SoftOFF[0] WORKLEVEL[1] MPO[90] HDNA[0123456789abcdef]"
NANO_3S = "Ver[Nano3s-1] SYSTEMSTATU[Work: In Work, Hash Board: 1 ] GHSspd[6100] TMax[88] "
NANO_3S += "PS[0 0 27541 4 0 3756 133] SoftOFF[0] WORKMODE[2] WORKLEVEL[0]"


def avalon_says(body: str, **version: str) -> dict[str, Any]:
    rows = {"STATS": [{"STATS": 0, "MM ID0": body}]}
    return {"tcp4028": {"version": {"VERSION": [version]}, "stats": rows, "estats": rows}}


def version(**fields: str) -> bytes:
    head = {"STATUS": "S", "When": 1, "Code": 22, "Msg": "versions", "Description": "x"}
    return json.dumps({"STATUS": [head], "VERSION": [fields], "id": 1}).encode() + b"\0"


@asynccontextmanager
async def saying(reply: bytes) -> AsyncIterator[int]:
    """A port that answers everything with the same bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(reply)
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        yield port


@pytest.mark.parametrize(("body", "power_w", "mode"), [(NANO_3, 126.0, 1), (NANO_3S, 133.0, 2)])
async def test_a_nano_3_hashes_with_its_own_places_for_watts(body: str, power_w: float, mode: int) -> None:
    replies = avalon_says(body, PROD="Avalonnano", MODEL="nano3", LVERSION="24061701")
    driver = AvalonDriver()
    async with serving(replies, HOST) as endpoint:
        reading = await driver.device(endpoint, Credentials()).poll()
    assert (reading.state, reading.power_w) == (MinerState.HASHING, power_w)
    stats = avalon.parse_stats(replies["tcp4028"]["stats"])
    assert stats is not None
    assert (stats.output_w, stats.mode) == (power_w, mode)


async def test_an_avalon_without_a_mac_is_known_by_its_chip_and_never_by_zeros() -> None:
    driver = AvalonDriver()
    blank = {"PROD": "Avalonnano", "MODEL": "nano3", "DNA": "0" * 16}
    async with serving(avalon_says(NANO_3, **blank), HOST) as endpoint:
        who = await driver.identify(endpoint, Credentials())
    assert who is not None
    assert (who.miner_id, who.serial, who.model) == ("0123456789abcdef", "0123456789abcdef", "Avalonnano nano3")
    async with serving(avalon_says(NANO_3S, **blank), HOST) as endpoint:
        with pytest.raises(MalformedReplyError, match="neither MAC nor DNA"):
            await driver.identify(endpoint, Credentials())


def test_an_avalon_that_forgets_the_blank_between_two_fields_loses_neither() -> None:
    stats = avalon.parse_stats({"STATS": [{"MM ID0": "Ver[1047] Elapsed[103840]BOOTBY[1] TMax[81] Fan1[300"}]})
    assert stats is not None
    assert (stats.uptime_s, stats.chip_temperature_c, stats.fans_rpm) == (103_840.0, 81.0, ())


@pytest.mark.parametrize("key", ["watt", "power"])
def test_watts_on_an_antminers_page_have_two_names(key: str) -> None:
    live = pages.read_stats({"STATS": [{"rate_5s": 1.0, "rate_unit": "GH/s", key: 5525}]}, "here")
    assert live is not None
    assert live.power_w == 5525.0


@pytest.mark.parametrize(
    ("said", "power_w"),
    [
        ({"power_consumption": 3250, "power_usage": 29.5, "power_efficiency": 29.5}, 3250.0),
        ({"power_usage": 29.5, "power_efficiency": 29.5}, math.nan),  # never 29.5 W, which would count as asleep
        ({"power_usage": 3250}, 3250.0),
    ],
)
def test_joules_per_terahash_of_a_vnish_are_no_watts(said: dict[str, float], power_w: float) -> None:
    summary = vnish.parse_summary({"miner": {"miner_status": {"miner_state": "auto_tuning"}, **said}})
    assert summary is not None
    assert summary.power_w == pytest.approx(power_w, nan_ok=True)
    assert summary.state == "auto-tuning"


def test_a_hydro_vnish_without_a_sum_is_the_sum_of_its_boards_and_has_no_fans() -> None:
    """An S21+ Hydro of 1.2.8, as a client of it has it."""
    boards = [{"id": place, "power_consumption": 2033} for place in (1, 2, 3)]
    cooling = {"fan_num": 1, "fans": [{"rpm": 0, "status": "ok"}], "settings": {"mode": {"name": "immersion"}}}
    miner = {"instant_hashrate": 420.23, "power_efficiency": 14.52, "chains": boards, "cooling": cooling}
    summary = vnish.parse_summary({"miner": miner})
    assert summary is not None
    assert (summary.power_w, summary.fans_rpm) == (6099.0, ())
    assert summary.hash_rate_hs == pytest.approx(420.23e12)


def test_pools_of_a_vnish_are_the_owners_with_their_shares() -> None:
    shares = {"accepted": 7, "rejected": 2, "stale": 1}
    said = [
        {"url": f"p{place}:1", "user": "u", "pool_type": kind, "status": status, **shares}
        for place, (kind, status) in enumerate(
            [("UserPool", "working"), ("UserPool", "unknown"), ("UserPool", "rejecting"), ("DevFee", "active"),
             ("Refund", "active")]
        )
    ]  # fmt: skip
    board = {"id": 2, "status": {"state": "failure", "failure_message": "no chips"}}
    summary = vnish.parse_summary({"miner": {"pools": said, "chains": [board]}})
    assert summary is not None
    assert [(pool.url, pool.alive) for pool in summary.pools] == [("p0:1", True), ("p1:1", None), ("p2:1", False)]
    assert [(pool.accepted, pool.rejected, pool.stale) for pool in summary.pools] == [COUNTED] * 3
    assert summary.errors == ("chain 2: no chips",)


def test_pools_tell_their_shares_in_every_family_that_counts_them() -> None:
    row = {"URL": "stratum+tcp://p:1", "User": "u", "Status": "Alive", **SHARES}
    counts = {"accepted_shares": "7", "rejected_shares": 2, "stale_shares": 1}
    group = {"pools": [{"url": "stratum+tcp://p:1", "user": "u", "alive": True, "stats": counts}]}
    for pools in (
        avalon.parse_pools({"POOLS": [row]}),
        auradine.parse_pools({"POOLS": [row]}),
        braiins.parse_pools([group]),
    ):
        assert [(pool.accepted, pool.rejected, pool.stale) for pool in pools] == [COUNTED]
        assert pools[0].alive is True


@pytest.mark.parametrize(
    ("said", "power_w"),
    [
        ({"PowerIn": "3210.50W", "PowerOut": "3000.00W"}, 3210.5),
        ({"PowerIn": "0.00W", "PowerOut": "3000.00W"}, math.nan),  # never 0 W beside boards that are fed
        ({"PowerIn": "41.00W"}, 41.0),
    ],
)
def test_an_auradine_whose_plug_says_less_than_its_boards_get_is_unknown(said: dict[str, str], power_w: float) -> None:
    assert auradine.parse_power_w({"PSU": [said]}) == pytest.approx(power_w, nan_ok=True)


async def test_a_bosminer_from_before_graphql_is_left_to_others() -> None:
    answers = {"version": {"VERSION": [{"BOSminer": "bosminer-am1-s9 0.2.0-36c56a9363", "API": "3.7"}]}}
    async with serving({"tcp4028": answers, "http": {"GET /": "<html>LuCI</html>"}}, HOST) as endpoint:
        assert await BraiinsDriver().identify(endpoint, Credentials()) is None


def test_a_luxos_s9_has_its_boards_on_chains_six_to_eight() -> None:
    boards = {f"chain_acn{place}": 63 for place in (6, 7, 8)} | {f"temp_pcb{place}": "51-60-0-0" for place in (6, 7, 8)}
    stats = luxos.parse_stats({"STATS": [{"Elapsed": 60, "GHS 5s": 13500.5, "miner_count": 3, **boards}]})
    assert stats is not None
    assert stats.hash_rate_hs == pytest.approx(13.5005e12)
    assert stats.boards_c == (60.0,) * 3
    who = luxos.parse_version({"VERSION": [{"LUXMiner": "2023.3.6", "Type": "Antminer S9"}]})
    assert who == luxos.Version(firmware="2023.3.6", model="Antminer S9")


async def test_a_bitaxe_paused_by_its_owner_is_curtailed_and_a_command_wakes_it() -> None:
    info = {"ASICModel": "BM1370", "coreVoltage": 1150, "macAddr": MAC, "frequency": 525, "power": 1.9, "hashRate": 0}
    info |= {"miningPaused": True, "uptimeSeconds": 4000, "expectedHashrate": 1071, "smallCoreCount": 1, "temp": -1}
    info |= {"fanrpm": 4100, "fan2rpm": 3900}
    clocks = {"defaultFrequency": 525, "frequencyOptions": [400, 490, 525]}
    served = Served({"GET /api/system/info": info, "GET /api/system/asic": clocks})
    served.answers |= {"PATCH /api/system": None, "POST /api/system/resume": {"status": "ok"}}
    async with serving_web(served) as port:
        device = BitaxeDevice(Endpoint(host=HOST, ports={"http": port}), BitaxeDriver()._web)
        paused, facts = await device.poll(), await device.facts()
        await device.apply(
            OperatingPoint(kind=PointKind.THROTTLE, power_w=0.0, hash_rate_hs=0.0, setting="profile:490MHz")
        )
        info |= {"miningPaused": False, "hashRate": 1000.0, "fan2rpm": 0}
        again = await device.poll()
        await device.close()
    assert (paused.state, again.state) == (MinerState.CURTAILED, MinerState.HASHING)
    assert math.isnan(paused.temperature_c)
    assert (paused.fans_rpm, again.fans_rpm) == ((4100.0, 3900.0), (4100.0,))
    assert facts.nominal_hash_rate_hs == pytest.approx(1.071e12)
    writes = [call for call in served.calls() if not call.startswith("GET")]
    assert writes == ["PATCH /api/system", "POST /api/system/resume"]


def test_a_nerdqaxe_spells_its_second_fan_otherwise() -> None:
    info = bitaxe.parse_info({"ASICModel": "BM1370", "coreVoltage": 1150, "fanrpm": 1796, "fanrpm2": 1557})
    assert info is not None
    assert info.fans_rpm == (1796.0, 1557.0)


async def test_a_whatsminer_of_api_3_says_with_any_code_that_its_process_is_down() -> None:
    replies = {
        "get.device.info": {"code": 0, "msg": {"miner": {"type": "M60S"}, "network": {"mac": MAC}, "salt": "7"}},
        "get.miner.status": {"code": -4, "msg": "btminer process is down err"},
    }
    async with serving({"tcp4433": replies, "no_join": True}, HOST) as endpoint:
        reading = await WhatsminerV3Driver().device(endpoint, Credentials()).poll()
    assert reading.state is not MinerState.HASHING
    assert math.isnan(reading.power_w)


async def test_an_antminer_with_another_firmwares_web_server_does_not_end_the_search() -> None:
    refusal = b"HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 0\r\n"
    refusal += b'WWW-Authenticate: Digest realm="ants", nonce="a", qop="auth"\r\n\r\n'
    said = version(BMMiner="4.11.1", Type="Antminer S19")
    async with saying(said) as api, saying(refusal) as web:
        with pytest.raises(MalformedReplyError, match="realm"):
            await AntminerDriver().identify(Endpoint(host=HOST, ports={"api": api, "http": web}), Credentials())


@pytest.mark.parametrize(
    "reply",
    [
        version(CGMiner="4.11.1", Type="Goldshell-KD6"),
        version(BDMiner="4.11.1"),
        version(Type="Antminer S19j Pro", BixFirmware="0.9.9.3"),
        version(Type="Antminer S21 PitBit", BMMiner="1"),
        version(Type="Antminer S19 Pro", BMMiner="MARAFW_1.0.0"),
        version(IceRiver="1"),
        b'{"STATUS":null,"VERSION":null,"Msg":null}\0',
        b'{"STATUS":[[]],"VERSION":[[1]],"Msg":{"api_ver":[],"fw_ver":{}}}\0',
        b'{"STATUS":"S","Code":131,"Msg":{"api_ver":2,"fw_ver":3}}',
        b"STATUS=S,When=1,Code=22|VERSION,CGMiner=3.7,API=1.32|\0",
        b'{"STATUS":[{"STATUS":"S","Msg":"CGMiner ver',
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        bytes(range(1, 256)),
        b"[]",
        b"",
    ],
)
async def test_a_stranger_is_nobody_of_ours_to_any_driver(reply: bytes) -> None:
    async with saying(reply) as api:
        endpoint = Endpoint(host=HOST, ports={"api": api, "http": api, "api3": api, "grpc": 1})
        for name, driver in load_drivers().items():
            if name == LAST:
                continue
            try:
                assert await driver.identify(endpoint, Credentials()) is None, name
            except FarmError:
                continue
