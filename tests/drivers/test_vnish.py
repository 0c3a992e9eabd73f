from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isnan
from typing import Any

import orjson
import pytest

from drivers._wire.rest import UnauthorizedError
from drivers.vnish import wire
from drivers.vnish.driver import BOOT_S, REREAD_S, VnishDevice, VnishDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint
from tests.drivers.fixtures.rest.served import Served, recording, serving

RECORDING = "vnish_s21pro_1.2.7"
SUMMARY = "GET /api/v1/summary"
OK = {"restart_required": False, "reboot_required": False}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def case() -> dict[str, Any]:
    return recording(RECORDING)


@pytest.fixture
def served(case: dict[str, Any]) -> Served:
    return Served(dict(case["raw"]["http"]))


@asynccontextmanager
async def meeting(served: Served, clock: Clock | None = None) -> AsyncIterator[VnishDevice]:
    async with serving(served) as port:
        driver = VnishDriver()
        endpoint = Endpoint(host="127.0.0.1", ports={"http": port})
        device = VnishDevice(endpoint, Credentials(), driver._web, clock or Clock())
        try:
            yield device
        finally:
            await device.close()


def point(setting: str) -> OperatingPoint:
    return OperatingPoint(kind=PointKind.THROTTLE, power_w=0.0, hash_rate_hs=0.0, setting=setting)


# ------------------------------------------------------------------ reading


async def test_every_field_of_the_recorded_s21_pro_agrees_with_pyasic_and_pyasic_rs(
    case: dict[str, Any], served: Served
) -> None:
    async with meeting(served) as device:
        reading, facts = await device.poll(), await device.facts()
    pyasic, rust = case["pyasic"]["data"], case["pyasic_rs"]["data"]
    assert reading.state is MinerState.HASHING
    assert reading.hash_rate_hs == pytest.approx(rust["hashrate"]["value"] * 1e12)
    assert reading.hash_rate_hs == pytest.approx(pyasic["hashrate"]["rate"] * 1e12, rel=1e-6)  # it rounds to MH/s
    assert reading.power_w == pyasic["wattage"] == rust["wattage"] == 2583.0
    assert reading.power_source is PowerSource.DEVICE
    assert reading.fans_rpm == pytest.approx([fan["rpm"] for fan in rust["fans"]])
    assert list(reading.board_temperatures_c) == [board["board_temperature"] for board in rust["hashboards"]]
    assert reading.temperature_c == max(board["outlet_chip_temperature"] for board in rust["hashboards"])
    assert facts.boards == rust["expected_hashboards"] == pyasic["expected_hashboards"]
    assert facts.nominal_hash_rate_hs == pytest.approx(rust["expected_hashrate"]["value"] * 1e12)
    assert facts.identity.miner_id == rust["mac"].lower() == pyasic["mac"].lower()
    assert facts.identity.firmware == rust["firmware_version"] == pyasic["fw_ver"]
    users = [pool["user"] for pool in rust["pools"][0]["pools"]]
    assert [pool.user for pool in facts.pools] == users[:2]
    assert [pool.alive for pool in facts.pools] == [pool["alive"] for pool in rust["pools"][0]["pools"]][:2]


async def test_where_we_differ_from_the_libraries_the_raw_reply_is_the_judge(
    case: dict[str, Any], served: Served
) -> None:
    async with meeting(served) as device:
        reading, facts = await device.poll(), await device.facts()
    pyasic, rust = case["pyasic"]["data"], case["pyasic_rs"]["data"]
    raw = case["raw"]["http"][SUMMARY]["miner"]
    # pyasic swaps them: raw "pcb_temp":{"min":40,"max":50},"chip_temp":{"min":55,"max":65} of chain 1.
    assert (raw["chains"][0]["pcb_temp"]["max"], raw["chains"][0]["chip_temp"]["max"]) == (50, 65)
    assert (pyasic["hashboards"][0]["temp"], pyasic["hashboards"][0]["chip_temp"]) == (65, 50)
    assert (reading.board_temperatures_c[0], reading.temperature_c) == (50.0, 65.0)
    # pyasic reads the fans on 4028 a second apart from the summary: 5850 there, "rpm":5880 here.
    assert [fan["rpm"] for fan in raw["cooling"]["fans"]] == list(reading.fans_rpm)
    assert [fan["speed"] for fan in pyasic["fans"]] == [5850, 5850, 5940, 5940]
    # Both call the preset 3160 in force, which settings says; its preset switcher has gone down to 2800.
    assert pyasic["wattage_limit"] == 3160
    assert rust["tuning_target"]["value"] == "3160"
    assert reading.setting == "profile:2800"
    assert facts.nominal_power_w == 2800.0
    # Uptime is the state's own count ("miner_state_time":4422); pyasic's Elapsed of 4028 says 4423, rust's 1:55 is
    # the control board's.
    assert (reading.uptime_s, pyasic["uptime"], rust["uptime"]) == (4422.0, 4423, "1:55:00")
    # The third pool is the vendor's fee ("pool_type":"DevFee"), nothing an operator chose; pyasic loses the addresses.
    assert [pool.url for pool in facts.pools] == ["stratum.braiins.com:3333"] * 2
    assert [pool["url"] for pool in pyasic["pools"]] == [None] * 3
    # pyasic's expected rate is the preset's ("hr_nominal":196517.17), the machine was sold as "hr_stock":237088.0.
    assert pyasic["expected_hashrate"]["rate"] == pytest.approx(196.51717)
    # "serial":"N/A" is no serial.
    assert (facts.identity.serial, rust["serial_number"]) == ("", "N/A")


async def test_a_poll_is_one_request_once_the_preset_is_known(served: Served) -> None:
    clock = Clock()
    async with meeting(served, clock) as device:
        await device.poll()
        served.asked.clear()
        for _ in range(3):
            await device.poll()
        assert served.calls() == [SUMMARY] * 3
        clock.now_s += REREAD_S
        await device.poll()
    assert served.calls()[-1] == "GET /api/v1/perf-summary"


async def test_a_stopped_miner_is_asleep_only_without_hashes_and_watts(served: Served) -> None:
    miner = served.answers[SUMMARY]["miner"]
    miner["miner_status"]["miner_state"] = "stopped"
    async with meeting(served) as device:
        assert (await device.poll()).state is MinerState.HASHING, "it hashes, whatever it says"
        miner["hr_realtime"] = 0.0
        assert (await device.poll()).state is MinerState.UNKNOWN, "2583 W are not asleep"
        miner["power_consumption"] = 31
        reading = await device.poll()
    assert (reading.state, reading.setting, reading.power_w) == (MinerState.CURTAILED, "sleep", 31.0)


async def test_awake_without_hash_rate_is_booting_then_a_fault(served: Served) -> None:
    clock = Clock()
    served.answers[SUMMARY]["miner"] |= {"hr_realtime": 0.0, "power_consumption": 40}
    async with meeting(served, clock) as device:
        assert (await device.poll()).state is MinerState.BOOTING, "whatever it says of its age"
        clock.now_s += BOOT_S
        assert (await device.poll()).state is MinerState.FAULT


async def test_fields_that_are_missing_are_missing_and_the_poll_lives(served: Served) -> None:
    served.answers[SUMMARY] = {"miner": {"miner_status": {"miner_state": "mining"}, "hr_realtime": "nan", "chains": 7}}
    async with meeting(served) as device:
        reading = await device.poll()
    assert isnan(reading.hash_rate_hs)
    assert isnan(reading.power_w)
    assert (reading.fans_rpm, reading.board_temperatures_c) == ((), ())
    assert reading.state is not MinerState.CURTAILED


async def test_a_summary_behind_the_lock_is_unlocked(served: Served) -> None:
    served.admits = lambda call, given: call.startswith("POST /api/v1/unlock") or given == "Bearer mock-vnish-token"
    async with meeting(served) as device:
        assert (await device.poll()).power_w == 2583.0
    assert served.calls()[:3] == [SUMMARY, "POST /api/v1/unlock", SUMMARY]


async def test_garbage_is_one_failed_poll(served: Served) -> None:
    for body in (b"<html>502</html>", b'{"miner":', b"[]", b'{"miner":[]}'):
        served.raw[SUMMARY] = body
        async with meeting(served) as device:
            with pytest.raises(MalformedReplyError, match="summary"):
                await device.poll()


async def test_a_miner_that_takes_the_connection_and_says_nothing_is_silent(served: Served) -> None:
    served.silent = {"*"}
    async with meeting(served) as device:
        with pytest.raises(SilentPeerError, match="no answer within"):
            await device.poll()


# ------------------------------------------------------------------ identity and ladder


async def test_vnish_is_told_from_others_that_serve_the_same_paths(served: Served) -> None:
    async with serving(served) as port:
        found = await VnishDriver().identify(Endpoint(host="127.0.0.1", ports={"http": port}), Credentials())
        assert found is not None
        assert (found.model, found.mac) == ("Antminer S21 Pro", "02:95:23:b3:e0:79")
        others: tuple[Any, ...] = ({"fw_name": "Marathon"}, [], None, {"ASICModel": "BM1368"})
        for other in others:
            served.answers["GET /api/v1/info"] = other
            endpoint = Endpoint(host="127.0.0.1", ports={"http": port})
            assert await VnishDriver().identify(endpoint, Credentials()) is None


async def test_an_untuned_preset_is_no_step_but_for_the_one_in_force(served: Served) -> None:
    async with meeting(served) as device:
        ladder = await device.ladder()
    assert ladder is not None
    assert [each.setting for each in ladder.points] == ["sleep", "profile:2800"], "the recording tuned none"
    assert ladder.points[-1].hash_rate_hs == 188e12


async def test_tuned_presets_are_steps_up_to_what_the_machine_was_sold_as(served: Served) -> None:
    for preset in served.answers["GET /api/v1/autotune/presets"]:
        preset["status"] = "tuned"
    async with meeting(served) as device:
        ladder = await device.ladder()
    assert ladder is not None
    assert [each.power_w for each in ladder.points][1:] == [
        2550, 2640, 2710, 2800, 2890, 2980, 3070, 3160, 3250, 3340, 3430, 3520,
    ]  # fmt: skip
    assert ladder.points[-1].kind is PointKind.FULL, '"3520 watt ~ 236 TH" of "hr_stock":237088.0'


async def test_firmware_that_throttles_has_its_shares_for_steps(served: Served) -> None:
    served.answers[SUMMARY]["miner"]["miner_status"]["throttled"] = 60
    async with meeting(served) as device:
        ladder, reading = await device.ladder(), await device.poll()
    assert ladder is not None
    assert [each.setting for each in ladder.points] == [
        "sleep", *(f"percent:{share}" for share in range(20, 100, 10)), "full",
    ]  # fmt: skip
    assert ladder.points[-1].power_w == 2800.0
    assert (reading.state, reading.setting) == (MinerState.THROTTLED, "percent:60")


# ------------------------------------------------------------------ writing


async def test_each_setting_writes_its_own_key_and_no_other(served: Served) -> None:
    served.answers |= {"POST /api/v1/mining/throttle": OK}
    for preset in served.answers["GET /api/v1/autotune/presets"]:
        preset["status"] = "tuned"
    async with meeting(served) as device:
        for setting in ("sleep", "full", "percent:70", "profile:2640", "watts:2700"):
            await device.apply(point(setting))
    written = [
        (each.call, each.body) for each in served.asked if each.call.startswith("POST") and "unlock" not in each.call
    ]
    assert written == [
        ("POST /api/v1/mining/stop", {}),
        ("POST /api/v1/mining/resume", {}),
        ("POST /api/v1/mining/throttle", {"percent": 100}),
        ("POST /api/v1/mining/throttle", {"percent": 70}),
        ("POST /api/v1/settings", {"miner": {"overclock": {"preset": "2640"}}}),
        ("POST /api/v1/settings", {"miner": {"overclock": {"preset": "2640"}}}),
    ]


async def test_a_preset_is_restarted_into_only_where_the_firmware_asks(served: Served) -> None:
    served.answers |= {
        "POST /api/v1/settings": {"restart_required": True},
        "POST /api/v1/mining/restart": {"success": True},
    }
    async with meeting(served) as device:
        await device.poll()
        await device.apply(point("profile:2640"))
    assert served.calls()[-2:] == ["POST /api/v1/settings", "POST /api/v1/mining/restart"]


async def test_settings_that_this_firmware_does_not_have_are_refused(served: Served) -> None:
    async with meeting(served) as device:
        for setting in ("percent:70", "percent:10", "percent:101", "mode:low", "watts:100", "profile:", ""):
            with pytest.raises(RefusedError):
                await device.apply(point(setting))
    assert "POST /api/v1/settings" not in served.calls()


async def test_an_expired_token_costs_one_more_unlock_and_the_command_arrives_once(served: Served) -> None:
    tokens = iter(["old", "new"])
    served.answers["POST /api/v1/unlock"] = lambda _body: {"token": next(tokens)}
    async with meeting(served) as device:
        await device.prepare()
        served.admits = lambda call, given: "unlock" in call or given == "Bearer new"
        await device.apply(point("sleep"))
    assert served.calls() == [
        "POST /api/v1/unlock",
        "POST /api/v1/mining/stop",
        "POST /api/v1/unlock",
        "POST /api/v1/mining/stop",
    ]


async def test_a_wrong_password_asks_for_a_person(served: Served) -> None:
    served.statuses["POST /api/v1/unlock"] = 403
    async with meeting(served) as device:
        with pytest.raises(UnauthorizedError, match="unlock"):
            await device.apply(point("sleep"))


def test_presets_come_as_a_list_or_in_an_object(case: dict[str, Any]) -> None:
    listed = case["raw"]["http"]["GET /api/v1/autotune/presets"]
    assert wire.parse_presets(listed) == wire.parse_presets({"presets": listed})
    assert len(wire.parse_presets(listed)) == len(listed) - 1, "disabled names no watts"
    assert wire.parse_presets(orjson.loads(b'[null, 3, {"name": "x", "pretty": "watt ~ TH"}]')) == ()
