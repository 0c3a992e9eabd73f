from __future__ import annotations

import json
from math import isnan
from typing import Any

import pytest

from drivers.antminer.device import BOOT_S, REREAD_S, RETRY_S
from drivers.antminer.driver import AntminerDriver
from farmctl.core.model import MinerState, PowerSource
from farmctl.errors import CredentialError, FarmError, MalformedReplyError, SilentPeerError
from farmctl.ports.devices import Endpoint
from tests.drivers.fixtures.antminer.meeting import CONF, FACTORY, STATS, Clock, meeting, recorded
from tests.drivers.fixtures.antminer.stock import StockAntminer, recording, serving


@pytest.fixture
def case() -> dict[str, Any]:
    return recorded()


@pytest.fixture
def stock(case: dict[str, Any]) -> StockAntminer:
    return StockAntminer(case["raw"])


# ------------------------------------------------------------------ reading


async def test_every_field_of_the_recorded_s19_pro_agrees_with_pyasic_and_pyasic_rs(
    case: dict[str, Any], stock: StockAntminer
) -> None:
    async with meeting(stock) as device:
        reading = await device.poll()
        facts = await device.facts()
    pyasic, rust = case["pyasic"]["data"], case["pyasic_rs"]["data"]
    assert reading.state is MinerState.HASHING
    assert reading.hash_rate_hs == pytest.approx(rust["hashrate"]["value"] * 1e12)
    assert reading.hash_rate_hs == pytest.approx(pyasic["hashrate"]["rate"] * 1e12, rel=1e-6)  # it rounds to 0.1 GH
    assert reading.uptime_s == pyasic["uptime"]
    assert list(reading.fans_rpm) == [fan["speed"] for fan in pyasic["fans"]] == [fan["rpm"] for fan in rust["fans"]]
    assert facts.nominal_hash_rate_hs == rust["expected_hashrate"]["value"] * 1e12
    assert facts.boards == rust["expected_hashboards"] == pyasic["expected_hashboards"]
    assert [pool.url for pool in facts.pools] == [pool["url"] for pool in pyasic["pools"]]
    assert [pool.user for pool in facts.pools] == [pool["user"] for pool in rust["pools"][0]["pools"]]
    assert [pool.alive for pool in facts.pools] == [pool["alive"] for pool in pyasic["pools"]]
    assert facts.identity.serial == pyasic["serial_number"] == rust["serial_number"]
    assert facts.identity.firmware == rust["firmware_version"]
    # Stock firmware measures no power: neither library has a figure, and neither have we.
    assert pyasic["wattage"] is None
    assert rust["wattage"] is None
    assert isnan(reading.power_w)
    assert reading.power_source is PowerSource.NAMEPLATE


async def test_where_we_differ_from_pyasic_the_raw_reply_is_the_judge(
    case: dict[str, Any], stock: StockAntminer
) -> None:
    async with meeting(stock) as device:
        reading = await device.poll()
        facts = await device.facts()
    raw = case["raw"]["tcp4028"]["stats"]["STATS"][1]
    boards = [[int(sensor) for sensor in raw[f"temp_pcb{n}"].split("-")] for n in (1, 2, 3)]
    # Both libraries give the mean of a board's sensors; a thermal guard needs the hottest.
    means = [board["temp"] for board in case["pyasic"]["data"]["hashboards"]]
    assert means == [sum(board) / 4 for board in boards]
    assert list(reading.board_temperatures_c) == [max(board) for board in boards]
    assert reading.temperature_c == 78.0, "temp_chip1 78-50-69-70; the libraries' averages say 58"
    # pyasic's fw_ver is the compile time of the mining process; the firmware's name is on the control board's page.
    assert facts.identity.firmware == "FR-1.12(251009-S21)" != case["pyasic"]["data"]["fw_ver"]
    # The recording was made anonymous with a MAC that is no hex number, so the serial is the identity.
    assert facts.identity.miner_id == "THQING0BDJAB024NF"
    assert facts.identity.mac == ""


async def test_a_hashing_miner_costs_one_connection_a_poll_once_its_setting_is_known(stock: StockAntminer) -> None:
    async with meeting(stock, Clock()) as device:
        await device.poll()
        stock.asked.clear()
        for _ in range(5):
            reading = await device.poll()
    assert stock.asked == ["stats"] * 5
    assert reading.setting == "full"


async def test_a_dead_web_server_costs_a_hashing_miner_nothing_but_its_setting(stock: StockAntminer) -> None:
    clock = Clock()
    stock.statuses[CONF] = 500
    async with meeting(stock, clock) as device:
        first = await device.poll()
        await device.poll()
        assert stock.asked.count(f"GET {CONF}") == 1, "not asked again within a minute"
        clock.now_s += RETRY_S
        stock.statuses.clear()
        later = await device.poll()
    assert (first.state, first.setting) == (MinerState.HASHING, None)
    assert later.setting == "full"


async def test_a_setting_changed_behind_our_back_is_seen_within_the_hour(stock: StockAntminer) -> None:
    clock = Clock()
    async with meeting(stock, clock) as device:
        await device.poll()
        stock.conf["bitmain-work-mode"] = "3"
        clock.now_s += REREAD_S
        reading = await device.poll()
    assert (reading.state, reading.setting) == (MinerState.THROTTLED, "mode:low")


async def test_stats_objects_without_a_comma_between_them_are_read(case: dict[str, Any], stock: StockAntminer) -> None:
    whole = json.dumps(case["raw"]["tcp4028"]["stats"])
    stock.api_bytes["stats"] = whole.replace("}, {", "}{").encode() + b"\0"
    assert b"}{" in stock.api_bytes["stats"]
    async with meeting(stock) as device:
        assert (await device.poll()).hash_rate_hs == pytest.approx(110_566.89e9)


async def test_garbage_on_4028_is_one_failed_poll(stock: StockAntminer) -> None:
    stock.api_bytes["stats"] = b"\x16\x03\x01 not json\0"
    async with meeting(stock) as device:
        with pytest.raises(MalformedReplyError):
            await device.poll()


# ------------------------------------------------------------------ asleep, booting, dead


async def test_sleep_is_a_work_mode_that_was_read_and_an_empty_stats_page(stock: StockAntminer) -> None:
    stock.fall_asleep()
    async with meeting(stock) as device:
        reading = await device.poll()
    assert (reading.state, reading.setting, reading.hash_rate_hs) == (MinerState.CURTAILED, "sleep", 0.0)
    assert isnan(reading.power_w)


async def test_firmware_that_keeps_4028_open_asleep_is_seen_asleep(stock: StockAntminer) -> None:
    stock.fall_asleep()
    stock.api_open = True
    stock.api["stats"]["STATS"][1]["GHS 5s"] = 0.0
    async with meeting(stock) as device:
        assert (await device.poll()).state is MinerState.CURTAILED


async def test_shut_4028_and_a_failed_page_is_unknown_never_asleep(stock: StockAntminer) -> None:
    stock.fall_asleep()
    stock.statuses[STATS] = 500
    async with meeting(stock) as device:
        reading = await device.poll()
    assert reading.state is MinerState.UNKNOWN
    assert isnan(reading.hash_rate_hs)


async def test_shut_4028_and_a_failed_configuration_is_a_failed_poll(stock: StockAntminer) -> None:
    stock.fall_asleep()
    for fault in (500, 404, 403):
        stock.statuses[CONF] = fault
        async with meeting(stock) as device:
            with pytest.raises(FarmError):
                await device.poll()


async def test_a_miner_set_to_sleep_that_still_hashes_is_hashing(stock: StockAntminer) -> None:
    stock.conf["bitmain-work-mode"] = "1"
    stock.api_open = False
    async with meeting(stock) as device:
        reading = await device.poll()
    assert (reading.state, reading.setting) == (MinerState.HASHING, "sleep")
    assert reading.hash_rate_hs == pytest.approx(110_566.89e9)


async def test_a_miner_whose_4028_is_switched_off_is_read_from_its_page(stock: StockAntminer) -> None:
    stock.api_open = False
    async with meeting(stock) as device:
        reading = await device.poll()
    assert reading.state is MinerState.HASHING
    assert reading.fans_rpm == (6000.0, 5880.0, 5040.0, 5040.0)
    assert reading.board_temperatures_c == (73.0, 66.0, 64.0)
    assert reading.temperature_c == 78.0


async def test_awake_without_hash_rate_is_booting_then_a_fault(stock: StockAntminer) -> None:
    stock.fall_asleep()
    stock.conf["bitmain-work-mode"] = "0"
    clock = Clock()
    async with meeting(stock, clock) as device:
        assert (await device.poll()).state is MinerState.BOOTING
        clock.now_s += BOOT_S
        assert (await device.poll()).state is MinerState.FAULT


async def test_a_miner_that_is_gone_is_silent(stock: StockAntminer) -> None:
    async with serving(stock) as ports:
        pass
    device = AntminerDriver().device(Endpoint(host="127.0.0.1", ports=ports), FACTORY)
    with pytest.raises(SilentPeerError):
        await device.poll()
    await device.close()


async def test_a_miner_that_takes_the_connection_and_says_nothing_is_silent_and_never_asleep(
    stock: StockAntminer,
) -> None:
    stock.fall_asleep()
    stock.api_silent_s = 4.0
    async with meeting(stock) as device:
        with pytest.raises(SilentPeerError, match="did not answer within 3 s"):
            await device.poll()
    assert stock.asked == [], "its pages would cost the slot another deadline"


# ------------------------------------------------------------------ identity


async def test_stock_is_identified_awake_and_asleep(stock: StockAntminer) -> None:
    driver = AntminerDriver()
    async with serving(stock) as ports:
        awake = await driver.identify(Endpoint(host="127.0.0.1", ports=ports), FACTORY)
        stock.fall_asleep()
        asleep = await driver.identify(Endpoint(host="127.0.0.1", ports=ports), FACTORY)
    assert awake is not None
    assert awake.model == "Antminer S19 Pro"
    assert awake == asleep


@pytest.mark.parametrize("name", ["luxos_s19kpro_2025.4.8", "vnish_s21pro_1.2.7", "bench_m30spp", "braiins_24.09"])
async def test_other_firmwares_with_a_4028_are_not_ours(name: str) -> None:
    other = recording(name)
    if other is None:
        pytest.skip(f"recording {name} is missing")
    async with serving(StockAntminer(other["raw"] | {"http": {}})) as ports:
        assert await AntminerDriver().identify(Endpoint(host="127.0.0.1", ports=ports), FACTORY) is None


async def test_a_refused_password_names_the_door_and_another_realm_is_another_make(stock: StockAntminer) -> None:
    stock.fall_asleep()
    stock.password = "changed"  # noqa: S105  a test's password
    async with serving(stock) as ports:
        endpoint = Endpoint(host="127.0.0.1", ports=ports)
        with pytest.raises(CredentialError, match="antMiner Configuration"):
            await AntminerDriver().identify(endpoint, FACTORY)
        stock.realm = "blackMiner Configuration"
        assert await AntminerDriver().identify(endpoint, FACTORY) is None


async def test_a_valid_mac_is_the_identity_in_lower_case(stock: StockAntminer) -> None:
    stock.pages["/cgi-bin/get_system_info.cgi"]["macaddr"] = "02:55:97:22:3A:72"
    async with meeting(stock) as device:
        assert (await device.identity()).miner_id == "02:55:97:22:3a:72"
