from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isnan
from typing import Any

import pytest

from drivers._wire.rest import UnauthorizedError
from drivers.auradine import wire
from drivers.auradine.driver import REREAD_S, AuradineDevice, AuradineDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint
from tests.drivers.fixtures.rest.served import Served, recording, serving

RECORDING = "auradine_v1"
YES = {"STATUS": [{"STATUS": "S", "Code": 540, "Msg": "mode"}], "id": 1}
PAGES = ["GET /summary", "GET /mode", "GET /psu", "GET /temperature"]


def no(message: str) -> dict[str, Any]:
    return {"STATUS": [{"STATUS": "E", "Code": 45, "Msg": message}], "id": 1}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def case() -> dict[str, Any]:
    return recording(RECORDING)


@pytest.fixture
def served(case: dict[str, Any]) -> Served:
    return Served(dict(case["raw"]["http8080"]) | {"POST /mode": YES}, key_header="Token")


@asynccontextmanager
async def meeting(served: Served, clock: Clock | None = None) -> AsyncIterator[AuradineDevice]:
    async with serving(served) as port:
        endpoint = Endpoint(host="127.0.0.1", ports={"http": port})
        device = AuradineDevice(endpoint, Credentials(), AuradineDriver()._web, clock or Clock())
        try:
            yield device
        finally:
            await device.close()


def point(setting: str) -> OperatingPoint:
    return OperatingPoint(kind=PointKind.THROTTLE, power_w=0.0, hash_rate_hs=0.0, setting=setting)


# ------------------------------------------------------------------ reading


async def test_every_field_of_the_recorded_at1500_agrees_with_pyasic_and_pyasic_rs(
    case: dict[str, Any], served: Served
) -> None:
    async with meeting(served) as device:
        reading, facts = await device.poll(), await device.facts()
    pyasic, rust = case["pyasic"]["data"], case["pyasic_rs"]["data"]
    assert reading.hash_rate_hs == pytest.approx(rust["hashrate"]["value"] * 1e12)
    assert reading.power_w == rust["wattage"] == 58.94
    assert reading.power_source is PowerSource.DEVICE
    assert reading.uptime_s == pyasic["uptime"] == 56696
    assert reading.fans_rpm == pytest.approx([fan["rpm"] for fan in rust["fans"]])
    assert list(reading.fans_rpm) == [fan["speed"] for fan in pyasic["fans"]]
    assert reading.temperature_c == max(chip["temperature"] for board in rust["hashboards"] for chip in board["chips"])
    assert facts.boards == rust["expected_hashboards"] == pyasic["expected_hashboards"] == 3
    assert facts.nominal_hash_rate_hs == rust["expected_hashrate"]["value"] * 1e12
    assert reading.power_limit_w == rust["tuning_target"]["value"] == pyasic["wattage_limit"] == 2000
    assert facts.identity.mac == rust["mac"].lower() == pyasic["mac"].lower()
    assert facts.identity.serial == rust["serial_number"]
    assert facts.identity.firmware == rust["firmware_version"] == pyasic["fw_ver"]
    pools = rust["pools"][0]["pools"]
    assert [(pool.url, pool.user, pool.alive) for pool in facts.pools] == [
        (pool["url"], pool["user"], pool["alive"]) for pool in pools
    ]


async def test_where_we_differ_from_the_libraries_the_raw_reply_is_the_judge(
    case: dict[str, Any], served: Served
) -> None:
    async with meeting(served) as device:
        reading, facts = await device.poll(), await device.facts()
    pyasic, rust = case["pyasic"]["data"], case["pyasic_rs"]["data"]
    raw = case["raw"]["http8080"]
    # pyasic adds up the boards ("MHS 5s":6800000.0 and so on, rounded by devs); the miner's own sum says otherwise.
    assert pyasic["hashrate"]["rate"] == 20.7
    assert reading.hash_rate_hs == raw["GET /summary"]["SUMMARY"][0]["MHS 5s"] * 1e6
    # It cuts "PowerIn":"58.94W" to a whole watt.
    assert pyasic["wattage"] == 58
    # Both give one sensor of devs ("Temperature":28.25) for a board; temperature has five, the hottest 41.5.
    assert [board["board_temperature"] for board in rust["hashboards"]] == pytest.approx([28.25, 29.06, 30.12])
    assert reading.board_temperatures_c == (41.5, 43.0, 47.5)
    assert [board["outlet_chip_temperature"] for board in rust["hashboards"]] == [41.5, 43.0, 47.5]
    # The model is what ipreport says; the libraries' AT2880 is the devdetails that were filled in by hand.
    assert facts.identity.model == raw["GET /ipreport"]["IPReport"][0]["model"] == "AT1500"
    assert (pyasic["model"], case["synthetic"][0]) == ("AT2880", "tcp4028.devdetails")
    # "Mode":"custom","Power":2000,"Ths":160: pyasic reads a hash rate target, rust a power one. Watts are what we set.
    assert (reading.setting, reading.state) == ("watts:2000", MinerState.THROTTLED)
    assert (pyasic["config"]["mining_mode"]["mode"], rust["tuning_target"]["type"]) == ("hashrate_tuning", "power")


async def test_a_poll_is_four_pages_on_one_token_and_fans_once_a_minute(served: Served) -> None:
    clock = Clock()
    async with meeting(served, clock) as device:
        await device.poll()
        served.asked.clear()
        await device.poll()
        assert served.calls() == PAGES
        clock.now_s += REREAD_S
        await device.poll()
    assert served.calls()[-1] == "GET /fan"


async def test_sleep_needs_more_than_its_own_word(served: Served) -> None:
    served.answers["GET /mode"] = {"Mode": [{"Mode": "normal", "Sleep": "on"}]}
    summary, psu = served.answers["GET /summary"]["SUMMARY"][0], served.answers["GET /psu"]["PSU"][0]
    async with meeting(served) as device:
        assert (await device.poll()).state is MinerState.UNKNOWN, "20 TH/s at 59 W"
        psu["PowerIn"] = "2900.00W"
        assert (await device.poll()).state is MinerState.HASHING
        summary["MHS 5s"] = 0
        assert (await device.poll()).state is MinerState.UNKNOWN, "2,900 W are not asleep"
        psu["PowerIn"] = "58.94W"
        reading = await device.poll()
        assert (reading.state, reading.setting) == (MinerState.CURTAILED, "sleep")
        served.answers |= {"GET /summary": no("x"), "GET /psu": no("x")}
        assert (await device.poll()).state is MinerState.UNKNOWN, "both measures failed"


async def test_a_page_that_fails_costs_its_own_fields(served: Served) -> None:
    served.statuses["GET /psu"] = 500
    served.raw["GET /temperature"] = b"{"
    del served.answers["GET /fan"]
    served.answers["GET /summary"]["SUMMARY"][0]["Wattage"] = 1999.5
    async with meeting(served) as device:
        reading = await device.poll()
    assert reading.power_w == 1999.5, "newer firmware has it in summary"
    assert isnan(reading.temperature_c)
    assert reading.fans_rpm == ()
    assert reading.hash_rate_hs > 0


async def test_garbage_is_one_failed_poll(served: Served) -> None:
    served.raw |= {"GET /summary": b"<html>", "GET /mode": b"[]"}
    async with meeting(served) as device:
        with pytest.raises(MalformedReplyError):
            await device.poll()


async def test_a_miner_that_takes_the_connection_and_says_nothing_is_silent(served: Served) -> None:
    served.silent = {"*"}
    async with meeting(served) as device:
        with pytest.raises(SilentPeerError):
            await device.poll()


@pytest.mark.parametrize(
    ("said", "watts"),
    [("58.94W", 58.94), ("4052.00 RPM", 4052.0), (7, 7.0), ("W", None), (None, None), ("1.2.3", None)],
)
def test_numbers_come_with_their_units(said: object, watts: float | None) -> None:
    found = wire.measure(said)
    assert isnan(found) if watts is None else found == watts


# ------------------------------------------------------------------ identity


async def test_auradine_is_told_by_its_report(served: Served) -> None:
    async with serving(served) as port:
        endpoint = Endpoint(host="127.0.0.1", ports={"http": port, "api": 1})
        found = await AuradineDriver().identify(endpoint, Credentials())
        assert found is not None
        assert (found.miner_id, found.driver, found.model) == ("1c:00:00:0e:3b:2b", "auradine", "AT1500")
        others: tuple[Any, ...] = (no("Invalid command"), {"IPReport": []}, [])
        for other in others:
            served.answers["GET /ipreport"] = other
            assert await AuradineDriver().identify(endpoint, Credentials()) is None
        served.statuses["POST /token"] = 404
        assert await AuradineDriver().identify(endpoint, Credentials()) is None


# ------------------------------------------------------------------ writing


async def test_each_setting_writes_the_keys_of_mode_and_no_other(served: Served) -> None:
    async with meeting(served) as device:
        for setting in ("sleep", "full", "mode:low", "mode:turbo", "watts:1800"):
            await device.apply(point(setting))
    written = [each.body for each in served.asked if each.call == "POST /mode"]
    assert {key for body in written for key in body} == {"command", "sleep", "mode", "tune", "power"}
    off = {"command": "mode", "sleep": "off"}
    assert written == [
        {"command": "mode", "sleep": "on"},
        {"command": "mode", "mode": "normal"}, off,
        {"command": "mode", "mode": "eco"}, off,
        {"command": "mode", "mode": "turbo"}, off,
        {"command": "mode", "mode": "custom", "tune": "power", "power": 1800}, off,
    ]  # fmt: skip


async def test_what_it_does_not_have_and_what_it_says_no_to_is_refused(served: Served) -> None:
    async with meeting(served) as device:
        for setting in ("percent:70", "mode:silent", "watts:0", "watts:-5", "profile:x"):
            with pytest.raises(RefusedError):
                await device.apply(point(setting))
        assert "POST /mode" not in served.calls()
        served.answers["POST /mode"] = no("busy")
        with pytest.raises(RefusedError, match="busy"):
            await device.apply(point("sleep"))


@pytest.mark.parametrize("as_status", [True, False])
async def test_an_expired_token_costs_one_more_log_in_and_the_command_arrives_once(
    served: Served, *, as_status: bool
) -> None:
    tokens, done = iter(["old", "new"]), []
    served.answers["POST /token"] = lambda _body: {"STATUS": [{"STATUS": "S"}], "Token": [{"Token": next(tokens)}]}

    def mode(body: object) -> dict[str, Any]:
        if as_status and "new" not in served.asked[-1].headers.values():
            return no("Token expired")
        done.append(body)
        return YES

    served.answers["POST /mode"] = mode
    async with meeting(served) as device:
        await device.prepare()
        if not as_status:
            served.admits = lambda call, given: call == "POST /token" or given == "new"
        await device.apply(point("sleep"))
    assert done == [{"command": "mode", "sleep": "on"}]
    assert served.calls().count("POST /token") == 2


async def test_a_wrong_password_asks_for_a_person(served: Served) -> None:
    served.answers["POST /token"] = no("Wrong user or password")
    async with meeting(served) as device:
        with pytest.raises(UnauthorizedError, match="admin"):
            await device.apply(point("sleep"))
        with pytest.raises(FarmError):
            await device.poll()
