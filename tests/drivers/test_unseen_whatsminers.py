"""Whatsminers of firmware that is in no recording, written from published descriptions of farms and the manuals."""

from __future__ import annotations

import math
from typing import Any

import pytest

from drivers.whatsminer import wire
from drivers.whatsminer.driver import WhatsminerDriver
from farmctl.core.model import MinerState
from farmctl.errors import MalformedReplyError
from farmctl.ports.devices import Credentials
from tests.drivers.fixtures.recorded import serving

HOST = "127.0.0.1"
MAC = "CC:02:0E:00:00:01"
LATER = {
    "Elapsed": 172450,
    "MHS av": 122942400,
    "MHS 1m": 123107336,
    "HS RT": 123107336,
    "Temperature": 80.0,
    "Chip Temp Max": "101.25",
    "Fan Speed In": 4530,
    "Fan Speed Out": 4540,
    "Power": 3510,
    "Power Limit": 3500,
    "Factory GHS": 117582,
    "MAC": MAC,
}


def flat(msg: object, code: int = 131, letter: str = "S") -> dict[str, Any]:
    return {"STATUS": letter, "When": 1, "Code": code, "Msg": msg, "Description": "btminer"}


def miner(**said: Any) -> dict[str, Any]:
    """Firmware of 2025: the row in `Msg`, no code counter in it, no devdetails, a version whose head has no code."""
    version = {
        "STATUS": [{"STATUS": "S"}],
        "Msg": {"api_ver": "2.0.7", "fw_ver": "20250915.16", "minertype": "M50S+V50"},
    }
    replies = {
        "get_version": version,
        "get_miner_info": flat({"mac": MAC, "minersn": "HTM38X1"}),
        "summary": flat(LATER),
        "status": flat({"mineroff": "false", "power_limit_set": "3500", "hash_percent": "0"}),
        "devdetails": flat("invalid cmd", 14, "E"),
        "get_error_code": flat({"error_code": []}),
    }
    return {"tcp4028": replies | said}


async def test_a_row_in_msg_tells_what_a_row_in_a_list_does() -> None:
    driver = WhatsminerDriver()
    async with serving(miner(get_miner_info=flat("invalid cmd", 14, "E")), HOST) as endpoint:
        who = await driver.identify(endpoint, Credentials())
        device = driver.device(endpoint, Credentials())
        reading, facts = await device.poll(), await device.facts()
    assert who is not None
    assert (who.miner_id, who.model, who.firmware) == (MAC.lower(), "M50S+V50", "20250915.16")
    assert (reading.state, reading.power_w, reading.hash_rate_hs) == (MinerState.HASHING, 3510.0, 123107336e6)
    assert (reading.temperature_c, reading.fans_rpm, reading.setting) == (101.25, (4530.0, 4540.0), "full")
    assert facts.nominal_hash_rate_hs == pytest.approx(117.582e12)


async def test_codes_that_the_summary_leaves_out_are_asked_for_now_and_then() -> None:
    said = miner(get_error_code=flat({"error_code": [{"202": "2026-08-12 23:58:21"}, {"2010": "2026-08-13 00:00:00"}]}))
    async with serving(said, HOST) as endpoint:
        device = WhatsminerDriver().device(endpoint, Credentials())
        first = await device.poll()
        said["tcp4028"]["get_error_code"] = flat({"error_code": []})
        assert (await device.poll()).errors == ("202", "2010"), "not asked again with every poll"
        later = [await device.poll() for _ in range(60)][-1]
    assert (first.state, first.errors) == (MinerState.HASHING, ("202", "2010"))
    assert later.errors == ()


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        ([110, "600"], ("110", "600")),
        ([{"541": "slot 1", "reason": "hashboard"}, None, "none"], ("541",)),
        ({"329": "2022-01-17"}, ("329",)),
        ("btminer process is down err", ()),
        (None, ()),
    ],
)
def test_codes_come_as_numbers_as_text_and_with_their_dates(said: object, codes: tuple[str, ...]) -> None:
    assert wire.parse_error_codes(flat({"error_code": said})) == codes


async def test_watts_that_are_not_measured_are_looked_for_in_the_next_field() -> None:
    async with serving(miner(summary=flat(LATER | {"Power": -1, "Power_RT": 3427, "HS RT": "nan"})), HOST) as endpoint:
        reading = await WhatsminerDriver().device(endpoint, Credentials()).poll()
    assert (reading.power_w, reading.hash_rate_hs) == (3427.0, 123107336e6)
    unknown = wire.parse_summary(flat(LATER | {"Power": -1}))
    assert unknown is not None
    assert math.isnan(unknown.power_w)


async def test_a_mining_process_that_is_down_leaves_the_rest_to_status() -> None:
    down = flat("btminer process is down err", 132, "E")
    asleep = flat({"mineroff": "true", "mineroff_reason": "by whatsminer api", "hash_percent": "0"})
    for status, state in ((asleep, MinerState.CURTAILED), (down, MinerState.UNKNOWN)):
        async with serving(miner(summary=down, status=status), HOST) as endpoint:
            reading = await WhatsminerDriver().device(endpoint, Credentials()).poll()
        assert reading.state is state
        assert math.isnan(reading.power_w)
    async with serving(miner(summary=flat("invalid cmd", 14, "E")), HOST) as endpoint:
        with pytest.raises(MalformedReplyError):
            await WhatsminerDriver().device(endpoint, Credentials()).poll()


async def test_without_a_mac_the_serial_is_who_it_is() -> None:
    nameless = {name: value for name, value in LATER.items() if name != "MAC"}
    async with serving(miner(summary=flat(nameless), get_miner_info=flat({"minersn": "HTM38X1"})), HOST) as endpoint:
        who = await WhatsminerDriver().identify(endpoint, Credentials())
    assert who is not None
    assert (who.miner_id, who.mac) == ("HTM38X1", "")
