"""Firmware that is in no recording: older, newer, and with pieces missing; a poll loses a field, never itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from drivers.antminer import pages
from drivers.antminer import wire as antminer
from drivers.avalon import wire as avalon
from drivers.bitaxe import wire as bitaxe
from drivers.whatsminer.driver import WhatsminerDriver
from drivers.whatsminer_v3.driver import WhatsminerV3Driver
from farmctl.core.model import MinerState
from farmctl.ports.devices import Credentials
from tests.drivers.fixtures.recorded import serving

HOST = "127.0.0.1"
MAC = "C8:11:05:00:00:01"


def head(letter: str, code: int, description: str) -> dict[str, Any]:
    return {"STATUS": letter, "When": 1, "Code": code, "Msg": "invalid cmd", "Description": description}


async def test_a_whatsminer_of_2019_is_known_by_how_it_refuses_get_version() -> None:
    summary = {"SUMMARY": [{"MAC": MAC, "MHS 5s": 5.5e7, "Power": "3360", "Firmware Version": "'20190801.00.REL'"}]}
    refusal = head("E", 14, "whatsminer v1.1")
    replies = {"get_version": refusal, "status": refusal, "summary": summary, "devs": {"DEVS": [{}, {}, {}]}}
    driver = WhatsminerDriver()
    async with serving({"tcp4028": replies}, HOST) as endpoint:
        who = await driver.identify(endpoint, Credentials())
        device = driver.device(endpoint, Credentials())
        reading, facts = await device.poll(), await device.facts()
    assert who is not None
    assert (who.miner_id, who.firmware) == (MAC.lower(), "20190801.00.REL")
    assert (reading.state, reading.power_w, reading.hash_rate_hs) == (MinerState.HASHING, 3360.0, 5.5e13)
    assert facts.boards == 3


async def test_a_whatsminer_of_api_3_that_joins_no_reads_is_asked_one_by_one() -> None:
    summary = {"hash-realtime": 170.0, "power-realtime": "3000", "board-temperature": [60, None, "61.5"]}
    pools = [{"url": "stratum+tcp://p:1", "account": "u", "status": "alive"}]
    info = {"miner": {"type": "M60S", "working": "true"}, "network": {"mac": MAC}, "system": None, "salt": 7}
    replies = {
        "get.device.info": {"code": 0, "msg": info},
        "get.miner.status:summary": {"code": 0, "msg": {"summary": summary}},
        "get.miner.status:pools": {"code": 0, "msg": {"pools": pools}},
    }
    driver = WhatsminerV3Driver()
    async with serving({"tcp4433": replies, "no_join": True}, HOST) as endpoint:
        device = driver.device(endpoint, Credentials())
        first, second, facts = await device.poll(), await device.poll(), await device.facts()
    assert (first.state, first.power_w, first.hash_rate_hs) == (MinerState.HASHING, 3000.0, 1.7e14)
    assert first.board_temperatures_c[0] == 60.0
    assert math.isnan(first.board_temperatures_c[1])
    assert second.state is MinerState.HASHING
    assert (facts.boards, [pool.user for pool in facts.pools]) == (3, ["u"])


@pytest.mark.parametrize("wrap", [lambda row: [row], lambda row: row, lambda row: {"0": row}])
def test_rows_without_their_list_and_numbered_rows_are_rows(wrap: Any) -> None:
    row = {
        "GHS 5s": "13500.12",
        "Elapsed": 60,
        "chain_acn6": 63,
        "temp2_6": 80,
        "temp6": 65,
        "fan3": 4200,
        "fan_num": 1,
    }
    live = antminer.read_stats({"STATS": wrap(row)})
    assert live is not None
    assert (live.hash_rate_hs, live.temperature_c, live.fans_rpm) == (13500.12e9, 80.0, (4200.0,))
    assert live.boards == 1


def test_a_hydro_antminer_has_no_fans_and_says_watts_nobody_asked_for() -> None:
    chain = {"temp_chip": [44, 44, 56, 56], "temp_pcb": [44, 44, 52, 52]}
    stats = {
        "STATS": [{"rate_5s": 572845.56, "rate_unit": "GH/s", "fan": [], "fan_num": 0, "chain": [chain], "watt": 5525}]
    }
    live = pages.read_stats_page(repr(stats).replace("'", '"').encode(), "here")
    assert live is not None
    assert live.hash_rate_hs == pytest.approx(572.84556e12)
    assert (live.fans_rpm, live.boards, live.temperature_c) == ((), 1, 56.0)


def test_figures_that_cannot_be_true_are_unknown() -> None:
    row = {
        "GHS 5s": -1,
        "Elapsed": 1e12,
        "chain_acn1": 1,
        "temp_chip1": "255-255-255-255",
        "fan1": 1e7,
        "rate_unit": "GH",
    }
    live = antminer.read_stats({"STATS": [row]})
    assert live is not None
    assert math.isnan(live.hash_rate_hs)
    assert math.isnan(live.uptime_s)
    assert math.isnan(live.temperature_c)
    assert live.fans_rpm == ()


def test_an_old_avalon_without_a_rate_of_the_moment_tells_its_mean_and_a_sleeper_does_not() -> None:
    old = avalon.parse_stats({"STATS": [{"MM ID1": "Ver[1041-19] DNA[01] GHSavg[31000.5] TMax[90] Fan1[3000]"}]})
    assert old is not None
    assert old.hash_rate_hs == pytest.approx(31.0005e12)
    torn = avalon.parse_stats({"STATS": [{"MM ID0": "Ver[1246] SoftOFF[4] GHSavg[79000] TMax[3"}]})
    assert torn is not None
    assert math.isnan(torn.hash_rate_hs)
    assert math.isnan(torn.chip_temperature_c)


def test_a_clock_of_nothing_makes_no_ladder_of_infinite_watts() -> None:
    said = {"ASICModel": "BM1368", "coreVoltage": 1166, "smallCoreCount": 1276, "power": 2.65, "frequency": 1e-300}
    clocks = bitaxe.parse_clocks({"defaultFrequency": 490, "frequencyOptions": [400, 425, 490]})
    assert clocks is not None
    for frequency in (1e-300, 0, -5, "x", None):
        info = bitaxe.parse_info({**said, "frequency": frequency})
        assert info is not None
        assert bitaxe.make_ladder(info, clocks) is None
