from __future__ import annotations

from math import isnan

import orjson
import pytest

from drivers.antminer import pages, wire
from drivers.antminer.pages import PercentRange
from farmctl.errors import MalformedReplyError, RefusedError
from tests.drivers.fixtures.antminer.stock import recording

FIRMWARES = {
    "antminer_s19pro_49.0.1.3": True,
    "luxos_s19kpro_2025.4.8": False,
    "vnish_s21pro_1.2.7": False,
    "braiins_24.09": False,
    "auradine_v1": False,
    "avalon_a1246_21072802": False,
    "whatsminer_m60s_v3_fw20251209": False,
}


@pytest.mark.parametrize(("name", "stock"), FIRMWARES.items())
def test_only_bitmains_own_firmware_is_taken_for_stock(name: str, stock: bool) -> None:  # noqa: FBT001  pytest passes by name
    case = recording(name)
    if case is None:
        pytest.skip(f"recording {name} is missing")
    answers = case["raw"]["tcp4028"]
    reply = answers.get("version", {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "invalid command"}]})
    assert (wire.read_version(reply) is not None) is stock


@pytest.mark.parametrize(
    "row",
    [
        {"Type": "Antminer S19 (Vnish 1.2.0)", "Miner": "0.0.0", "CompileTime": "x"},
        {"Type": "Antminer S9 (hiveon)", "BMMiner": "2.0.0"},
        {"Type": "Antminer S19", "LUXminer": "2023.1"},
        {"Type": "Antminer S19", "BOSminer": "0.1"},
        {"API": "1.0", "btminer": "2.0.5"},
        {},
    ],
)
def test_firmwares_that_borrow_the_name_are_refused(row: dict[str, str]) -> None:
    assert wire.read_version({"VERSION": [row]}) is None


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("73-45-64-65", (73.0, 45.0, 64.0, 65.0)),
        ("-5--3-0-2", (-5.0, -3.0, 2.0)),
        ("0-0-0-0", ()),
        ("m-m-m-m", ()),
        ([63, 0, "55"], (63.0, 55.0)),
        (71, (71.0,)),
        (None, ()),
    ],
)
def test_sensors_are_read_with_their_signs_and_zero_is_absent(said: object, read: tuple[float, ...]) -> None:
    assert wire.sensors(said) == read


def stats(**fields: object) -> wire.Live:
    live = wire.read_stats({"STATS": [{"Type": "Antminer S9"}, {"Elapsed": 60, "GHS 5s": "13500.5"} | fields]})
    assert live is not None
    return live


def test_text_and_missing_fields_of_old_firmware_are_read_or_unknown() -> None:
    live = stats(chain_acn6=63, temp6=58, temp2_6=71, fan3=5880, fan6=5760, fan_num=2)
    assert live.hash_rate_hs == 13_500.5e9
    assert live.temperature_c == 71.0
    assert live.board_temperatures_c == (58.0,)
    assert live.fans_rpm == (5880.0, 5760.0)
    assert isnan(live.nominal_hs)


def test_one_bad_field_is_one_missing_field() -> None:
    live = stats(**{"GHS 5s": "inf", "chain_acn1": 63, "temp_chip1": "71-72-73-74", "fan_num": 2, "fan1": 5000})
    assert isnan(live.hash_rate_hs)
    assert live.temperature_c == 74.0
    assert live.fans_rpm == (5000.0, 0.0), "a fan that stands is shown standing"


@pytest.mark.parametrize(("unit", "factor"), [("GH", 1e9), ("MH", 1e6), ("TH/s", 1e12)])
def test_the_rate_unit_of_the_reply_is_obeyed(unit: str, factor: float) -> None:
    assert stats(rate_unit=unit).hash_rate_hs == 13_500.5 * factor


def test_a_unit_nobody_knows_makes_the_rate_unknown() -> None:
    assert isnan(stats(rate_unit="Sol").hash_rate_hs)


def test_a_reply_without_mining_figures_is_no_reading() -> None:
    assert wire.read_stats({"STATS": [{"Type": "Antminer S19", "Miner": "1"}]}) is None
    assert wire.read_stats({"STATUS": [{"STATUS": "E"}]}) is None


@pytest.mark.parametrize(
    ("conf", "setting"),
    [
        ({"bitmain-work-mode": "0"}, "full"),
        ({"bitmain-work-mode": 1}, "sleep"),
        ({"miner-mode": 3}, "mode:low"),
        ({"bitmain-work-mode": "0", "bitmain-hashrate-percent": "80"}, "percent:80"),
        ({"bitmain-work-mode": "0", "bitmain-hashrate-percent": "100"}, "full"),
        ({"bitmain-work-mode": "1", "bitmain-hashrate-percent": "80"}, "sleep"),
        ({"bitmain-work-mode": "5"}, "mode:5"),
    ],
)
def test_the_setting_is_named_from_the_configuration(conf: dict[str, object], setting: str) -> None:
    assert pages.read_conf(orjson.dumps(conf), "m").setting == setting


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"pools":[]}', b"[]", b'{"success": false}', b'{"bitmain-work-mode": ""}']
)
def test_a_configuration_without_a_work_mode_is_never_a_mode(body: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        pages.read_conf(body, "m")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\n{"hashrate_percent_min": "65", "hashrate_percent_max": "100"}\n', PercentRange(low=65, high=100)),
        (
            b'\n{"hashrate_percent_support": true, "hashrate_percent_min": 50, "hashrate_percent_max": 100}',
            PercentRange(low=50, high=100),
        ),
        (b'{"hashrate_percent_support": false, "hashrate_percent_min": 65, "hashrate_percent_max": 100}', None),
        (b'{"hashrate_percent_min": null, "hashrate_percent_max": null}', None),
    ],
)
def test_the_percent_range_is_the_devices_own(body: bytes, expected: PercentRange | None) -> None:
    assert pages.read_percent_range(body, "m") == expected


def test_a_yes_below_the_scripts_chatter_is_a_yes_and_everything_else_is_not() -> None:
    yes = b'{"stats":"success","code":"M000","msg":"OK!"}'
    pages.check_accepted(yes, "m")
    pages.check_accepted(b"Received JSON data.\nfree power from web is null\n" + yes + b"\n", "m")
    with pytest.raises(RefusedError, match=r"M001.*Illegal request"):
        pages.check_accepted(b'{"stats":"error","code":"M001","msg":"Illegal request!"}', "m")
    with pytest.raises(MalformedReplyError):
        pages.check_accepted(b"", "m")
