from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isnan
from typing import Any

import pytest

from drivers.bitaxe.driver import BitaxeDevice, BitaxeDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint
from tests.drivers.fixtures.rest.served import Served, recording, serving

RECORDING = "bitaxe_supra_bm1368"
INFO, ASIC, PATCH = "GET /api/system/info", "GET /api/system/asic", "PATCH /api/system"
CLOCKS = {"defaultFrequency": 490, "frequencyOptions": [400, 425, 450, 475, 485, 490, 500, 525, 550, 575]}


@pytest.fixture
def case() -> dict[str, Any]:
    return recording(RECORDING)


@pytest.fixture
def served(case: dict[str, Any]) -> Served:
    return Served(dict(case["raw"]["http"]) | {PATCH: None})


@asynccontextmanager
async def meeting(served: Served) -> AsyncIterator[BitaxeDevice]:
    async with serving(served) as port:
        device = BitaxeDevice(Endpoint(host="127.0.0.1", ports={"http": port}), BitaxeDriver()._web)
        try:
            yield device
        finally:
            await device.close()


def point(setting: str) -> OperatingPoint:
    return OperatingPoint(kind=PointKind.THROTTLE, power_w=0.0, hash_rate_hs=0.0, setting=setting)


async def test_every_field_of_the_recorded_supra_agrees_with_pyasic_and_pyasic_rs(
    case: dict[str, Any], served: Served
) -> None:
    async with meeting(served) as device:
        reading, facts = await device.poll(), await device.facts()
    pyasic, rust = case["pyasic"]["data"], case["pyasic_rs"]["data"]
    assert reading.state is MinerState.HASHING
    assert reading.hash_rate_hs == rust["hashrate"]["value"] * 1e12 == pyasic["hashrate"]["rate"] * 1e12
    assert reading.power_w == rust["wattage"] == 2.65000009536743
    assert reading.uptime_s == pyasic["uptime"] == 4
    assert list(reading.fans_rpm) == [fan["rpm"] for fan in rust["fans"]] == [fan["speed"] for fan in pyasic["fans"]]
    assert list(reading.board_temperatures_c) == [board["board_temperature"] for board in rust["hashboards"]]
    assert reading.temperature_c == rust["hashboards"][0]["chips"][0]["temperature"]
    assert reading.temperature_c == pyasic["hashboards"][0]["chip_temp"]
    assert facts.boards == rust["expected_hashboards"] == pyasic["expected_hashboards"] == 1
    assert facts.nominal_hash_rate_hs == pytest.approx(rust["expected_hashrate"]["value"] * 1e12)
    assert facts.nominal_hash_rate_hs == pytest.approx(pyasic["expected_hashrate"]["rate"] * 1e12)
    assert facts.identity.mac == rust["mac"].lower() == pyasic["mac"].lower()
    assert facts.identity.firmware == rust["firmware_version"] == pyasic["fw_ver"]
    assert [pool.url for pool in facts.pools] == [pool["url"] for pool in rust["pools"][0]["pools"]]
    assert [pool.user for pool in facts.pools] == [pool["user"] for pool in rust["pools"][0]["pools"]]
    assert [pool.alive for pool in facts.pools] == [pool["alive"] for pool in rust["pools"][0]["pools"]]


async def test_where_we_differ_from_pyasic_the_raw_reply_is_the_judge(case: dict[str, Any], served: Served) -> None:
    async with meeting(served) as device:
        reading, facts = await device.poll(), await device.facts()
    pyasic = case["pyasic"]["data"]
    # pyasic rounds watts to whole ones: "power":2.65000009536743 of the raw reply, 13 % off at this size.
    assert (pyasic["wattage"], reading.power_w) == (3, case["raw"]["http"][INFO]["power"])
    # It lists no pool at all, though "stratumURL":"btc.example.pool" and a fallback stand there.
    assert (pyasic["pools"], len(facts.pools)) == ([], 2)
    # It takes the voltage regulator's 78 °C for the miner's temperature; the chip is at "temp":59.875.
    assert (pyasic["temperature_avg"], reading.temperature_c) == (78, 59.875)
    # The model is what the device says, "ASICModel":"BM1368"; "Supra" is the libraries' name for boards with it.
    assert (facts.identity.model, pyasic["model"]) == ("BM1368", "Supra")


async def test_a_poll_is_one_request_once_the_clocks_are_known(served: Served) -> None:
    async with meeting(served) as device:
        await device.poll()
        served.asked.clear()
        await device.poll()
    assert served.calls() == [INFO]


async def test_no_hash_rate_is_a_boot_then_a_fault_and_unknown_is_neither(served: Served) -> None:
    info = served.answers[INFO]
    info["hashRate"] = 0
    async with meeting(served) as device:
        assert (await device.poll()).state is MinerState.BOOTING
        info["uptimeSeconds"] = 3600
        assert (await device.poll()).state is MinerState.FAULT
        info |= {"hashRate": "inf", "power": None, "overheat_mode": 1}
        reading = await device.poll()
    assert reading.state is MinerState.UNKNOWN
    assert isnan(reading.power_w)
    assert reading.errors == ("overheat_mode",)


async def test_a_write_is_a_clock_the_maker_offers_and_nothing_else(served: Served) -> None:
    served.answers[ASIC] = CLOCKS
    async with meeting(served) as device:
        for setting in ("full", "percent:90", "percent:100", "profile:425MHz"):
            await device.apply(point(setting))
    assert [each.body for each in served.asked if each.call == PATCH] == [
        {"frequency": 490},
        {"frequency": 425},
        {"frequency": 490},
        {"frequency": 425},
    ]


async def test_what_could_harm_and_what_it_cannot_do_is_refused(served: Served) -> None:
    served.answers[ASIC] = CLOCKS
    async with meeting(served) as device:
        for setting in ("sleep", "watts:3", "mode:low", "profile:575MHz", "profile:433MHz", "percent:150", "percent:5"):
            with pytest.raises(RefusedError):
                await device.apply(point(setting))
    assert PATCH not in served.calls(), "575 MHz is above the maker's default and wants more voltage"


async def test_firmware_that_offers_no_clocks_is_left_alone(served: Served) -> None:
    async with meeting(served) as device:
        with pytest.raises(RefusedError, match="offers no frequencies"):
            await device.apply(point("full"))
        assert await device.ladder() is None
    assert PATCH not in served.calls()


async def test_the_ladder_is_the_maker_s_clocks_and_its_sleep_promises_no_more_than_the_lowest(served: Served) -> None:
    served.answers[ASIC] = CLOCKS
    async with meeting(served) as device:
        ladder, reading = await device.ladder(), await device.poll()
    assert ladder is not None
    assert [each.setting for each in ladder.points] == [
        "profile:400MHz",
        *(f"profile:{mhz}MHz" for mhz in (400, 425, 450, 475, 485)),
        "full",
    ]
    assert ladder.points[0].kind is PointKind.SLEEP
    assert ladder.points[0].power_w == ladder.points[1].power_w
    assert ladder.points[-1].power_w == pytest.approx(reading.power_w)
    assert reading.setting == "full"


async def test_garbage_is_one_failed_poll(served: Served) -> None:
    for body in (b"<html>", b"[]", b'{"ASICModel":', b"{}"):
        served.raw[INFO] = body
        async with meeting(served) as device:
            with pytest.raises(MalformedReplyError):
                await device.poll()


async def test_a_miner_that_takes_the_connection_and_says_nothing_is_silent(served: Served) -> None:
    served.silent = {"*"}
    async with meeting(served) as device:
        with pytest.raises(SilentPeerError):
            await device.poll()


async def test_axeos_is_told_from_other_web_servers(served: Served) -> None:
    async with serving(served) as port:
        endpoint = Endpoint(host="127.0.0.1", ports={"http": port})
        found = await BitaxeDriver().identify(endpoint, Credentials())
        assert found is not None
        assert (found.miner_id, found.driver) == ("aa:bb:cc:dd:ee:ff", "bitaxe")
        others: tuple[Any, ...] = ({"fw_name": "Vnish"}, [], None)
        for other in others:
            served.answers[INFO] = other
            assert await BitaxeDriver().identify(endpoint, Credentials()) is None
