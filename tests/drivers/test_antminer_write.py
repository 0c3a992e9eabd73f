from __future__ import annotations

import pytest

from drivers.antminer.driver import AntminerDriver
from farmctl.core.model import MinerState, OperatingPoint, PointKind
from farmctl.errors import FarmError, MalformedReplyError, RefusedError
from farmctl.ports.devices import AppliesPoint, Endpoint, Locates, Prepares, Reboots
from tests.drivers.fixtures.antminer.meeting import (
    CONF,
    FACTORY,
    RANGE,
    STATS,
    fingerprint,
    meeting,
    recorded,
    with_percent,
)
from tests.drivers.fixtures.antminer.stock import StockAntminer

WRITE = "/cgi-bin/set_miner_conf.cgi"


@pytest.fixture
def stock() -> StockAntminer:
    return StockAntminer(recorded()["raw"])


def point(setting: str) -> OperatingPoint:
    kind = {"sleep": PointKind.SLEEP, "full": PointKind.FULL}.get(setting, PointKind.THROTTLE)
    return OperatingPoint(kind=kind, power_w=0.0, hash_rate_hs=0.0, setting=setting)


def test_the_device_has_the_capabilities_it_claims() -> None:
    device = AntminerDriver().device(Endpoint(host="127.0.0.1", ports={}), FACTORY)
    assert all(isinstance(device, capability) for capability in (AppliesPoint, Locates, Reboots, Prepares))


@pytest.mark.parametrize(("setting", "mode"), [("sleep", 1), ("full", 0), ("mode:low", 3)])
async def test_a_mode_is_written_alone(stock: StockAntminer, setting: str, mode: int) -> None:
    before = fingerprint(stock)
    async with meeting(stock) as device:
        await device.apply(point(setting))
        reading = await device.poll()
    assert stock.posted == [(WRITE, {"miner-mode": mode})]
    assert fingerprint(stock) == before
    assert reading.setting == setting


async def test_percent_is_written_alone_on_a_miner_that_is_awake(stock: StockAntminer) -> None:
    with_percent(stock)
    before = fingerprint(stock)
    async with meeting(stock) as device:
        await device.apply(point("percent:80"))
        reading = await device.poll()
        await device.apply(point("full"))
    assert stock.posted == [
        (WRITE, {"bitmain-hashrate-percent": "80"}),
        (WRITE, {"miner-mode": 0, "bitmain-hashrate-percent": "100"}),
    ]
    assert (reading.state, reading.setting) == (MinerState.THROTTLED, "percent:80")
    assert fingerprint(stock) == before


async def test_percent_wakes_a_miner_that_sleeps(stock: StockAntminer) -> None:
    with_percent(stock).fall_asleep()
    async with meeting(stock) as device:
        await device.apply(point("percent:80"))
    assert stock.posted == [(WRITE, {"miner-mode": 0, "bitmain-hashrate-percent": "80"})]


@pytest.mark.parametrize("setting", ["percent:64", "percent:101", "percent:x", "watts:3000", "mode:turbo", ""])
async def test_a_setting_that_stock_does_not_have_is_refused_before_anything_is_written(
    stock: StockAntminer, setting: str
) -> None:
    with_percent(stock)
    async with meeting(stock) as device:
        with pytest.raises(RefusedError):
            await device.apply(point(setting))
    assert stock.posted == []


async def test_percent_is_refused_where_the_page_or_the_key_is_missing(stock: StockAntminer) -> None:
    async with meeting(stock) as device:
        with pytest.raises(RefusedError, match="no percent control"):
            await device.apply(point("percent:80"))
    stock.conf["bitmain-hashrate-percent"] = "100"
    async with meeting(stock) as device:
        with pytest.raises(RefusedError, match="no percent control"):
            await device.apply(point("percent:80"))
    assert stock.posted == []


async def test_the_devices_no_is_a_refusal(stock: StockAntminer) -> None:
    stock.bodies[WRITE] = b'{"stats":"error","code":"M001","msg":"Illegal request!"}'
    async with meeting(stock) as device:
        with pytest.raises(RefusedError, match="Illegal request"):
            await device.apply(point("sleep"))


async def test_a_write_may_take_longer_than_a_read(stock: StockAntminer) -> None:
    stock.write_s = 3.3
    stock.preamble = "Received JSON data.\nfree power from web is null\n"
    async with meeting(stock) as device:
        await device.apply(point("sleep"))
    assert stock.conf["bitmain-work-mode"] == "1"


async def test_a_yes_that_changed_nothing_is_seen_in_the_next_poll(stock: StockAntminer) -> None:
    stock.modes_accepted = {0, 1}
    async with meeting(stock) as device:
        await device.poll()
        await device.apply(point("mode:low"))
        assert (await device.poll()).setting == "full"


@pytest.mark.parametrize("fault", [404, 500, 503])
async def test_nothing_is_written_to_a_miner_whose_configuration_was_never_read(
    stock: StockAntminer, fault: int
) -> None:
    stock.statuses[CONF] = fault
    before = fingerprint(stock)
    async with meeting(stock) as device:
        with pytest.raises(FarmError):
            await device.apply(point("sleep"))
    assert stock.posted == []
    assert fingerprint(stock) == before


async def test_once_known_a_miner_sleeps_though_every_read_fails(stock: StockAntminer) -> None:
    before = fingerprint(stock)
    async with meeting(stock) as device:
        await device.prepare()
        stock.statuses = {CONF: 500, STATS: 500, RANGE: 500}
        stock.api_open = False
        await device.apply(point("sleep"))
    assert stock.posted == [(WRITE, {"miner-mode": 1})]
    assert fingerprint(stock) == before


async def test_form_encoded_firmware_is_never_posted_to(stock: StockAntminer) -> None:
    del stock.conf["bitmain-work-mode"]  # an S9's configuration: no work mode, and a script that reads forms
    async with meeting(stock) as device:
        with pytest.raises(MalformedReplyError, match="not touching this firmware"):
            await device.apply(point("sleep"))
    assert stock.posted == []


async def test_an_expired_nonce_costs_a_command_one_more_request_and_is_carried_out_once(stock: StockAntminer) -> None:
    async with meeting(stock) as device:
        await device.prepare()
        stock.forget_nonces()
        await device.apply(point("sleep"))
    assert stock.posted == [(WRITE, {"miner-mode": 1})]


async def test_the_light_is_switched_and_the_board_restarted(stock: StockAntminer) -> None:
    async with meeting(stock) as device:
        await device.locate(on=True)
        await device.locate(on=False)
        await device.reboot()
    assert [sent for _, sent in stock.posted] == [{"blink": True}, {"blink": False}]
    assert stock.asked[-1] == "GET /cgi-bin/reboot.cgi"
