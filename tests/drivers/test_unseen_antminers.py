"""Stock Antminers older and newer than the recorded one, written from Bitmain's own scripts."""

from __future__ import annotations

import copy
import math

import pytest

from drivers.antminer import pages
from farmctl.core.model import MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.errors import MalformedReplyError, RefusedError
from farmctl.ports.devices import PoolLogin
from tests.drivers.fixtures.antminer.meeting import CONF, STATS, fingerprint, meeting, recorded
from tests.drivers.fixtures.antminer.stock import StockAntminer

SYSTEM = "/cgi-bin/get_system_info.cgi"
MAC = "02:55:97:22:30:72"
SLEEP = OperatingPoint(kind=PointKind.SLEEP, power_w=0.0, hash_rate_hs=0.0, setting="sleep")


@pytest.fixture
def stock() -> StockAntminer:
    return StockAntminer(recorded()["raw"])


async def test_firmware_whose_scripts_take_forms_is_watched_and_never_written_to(stock: StockAntminer) -> None:
    """S17+ 202006: a work mode in its configuration, and a script that would take JSON for a pool's address."""
    system = stock.pages[SYSTEM]
    for key in ("firmware_type", "serinum"):
        del system[key]
    system |= {"minertype": "Antminer S17+", "macaddr": MAC, "loadaverage": "1.02", "mem_total": "232908"}
    stock.conf["bitmain-work-mode"] = "1"  # there the middle one of three, and no sleep
    before = fingerprint(stock)
    async with meeting(stock) as device:
        reading = await device.poll()
        with pytest.raises(RefusedError, match="forms"):
            await device.apply(SLEEP)
        with pytest.raises(RefusedError, match="forms"):
            await device.set_pools([PoolLogin(url="stratum+tcp://p:1", user="u", password="")])
        facts = await device.facts()
    assert (reading.state, reading.setting) == (MinerState.HASHING, None)
    assert facts.identity.model == "Antminer S17+"
    assert stock.posted == []
    assert fingerprint(stock) == before


async def test_firmware_that_shows_neither_is_judged_by_a_page_that_only_json_firmware_has(
    stock: StockAntminer,
) -> None:
    for key in ("firmware_type", "serinum"):
        del stock.pages[SYSTEM][key]
    async with meeting(stock) as device:
        await device.apply(SLEEP)
    assert [keys for _, keys in stock.posted] == [{"miner-mode": 1}]
    del stock.pages[STATS]
    async with meeting(stock) as device:
        with pytest.raises((RefusedError, MalformedReplyError)):
            await device.apply(SLEEP)
    assert len(stock.posted) == 1


async def test_firmware_that_tells_its_watts_is_asked_for_them(stock: StockAntminer) -> None:
    """S23 Hyd. of June 2026: the page's figures come from port 4028, and have watts."""
    page = copy.deepcopy(stock.pages[STATS])
    page["STATS"][0] |= {"watt": 5525, "fan": [], "fan_num": 0}
    stock.new_api["stats"] = page
    async with meeting(stock) as device:
        readings = [await device.poll() for _ in range(3)]
        stock.asked.clear()
        await device.poll()
        assert stock.asked == ["stats"]
        page["STATS"][0]["watt"] = 0  # no sensor yet, or none any more
        blind = await device.poll()
        page["STATS"] = []
        stock.conf["bitmain-work-mode"] = "1"
        stock.pages[STATS]["STATS"] = []
        asleep = await device.poll()
    for reading in readings:
        assert (reading.state, reading.power_w, reading.power_source) == (
            MinerState.HASHING,
            5525.0,
            PowerSource.DEVICE,
        )
        assert reading.hash_rate_hs == pytest.approx(110.56689e12)
        assert reading.fans_rpm == ()
    assert blind.power_source is PowerSource.NAMEPLATE
    assert math.isnan(blind.power_w)
    assert asleep.state is MinerState.CURTAILED
    assert math.isnan(asleep.power_w)


async def test_a_mode_that_nobody_ever_set_is_the_normal_one(stock: StockAntminer) -> None:
    stock.pages[CONF] = {"pools": stock.conf["pools"], "bitmain-fan-ctrl": False, "bitmain-work-mode": None}
    async with meeting(stock) as device:
        assert (await device.poll()).setting == "full"
    with pytest.raises(MalformedReplyError):
        pages.read_conf(b'{"bitmain-work-mode": null}', "here")


def test_a_serial_that_is_not_known_is_nobodys_name() -> None:
    said = b'{"minertype": "Antminer S21", "macaddr": "00:00:00:00:00:00", "serinum": "Unknown"}'
    found = pages.read_system(said, "here")
    assert (found.mac, found.serial, found.takes_json) == ("", "", True)
