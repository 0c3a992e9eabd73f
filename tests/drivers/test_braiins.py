from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isnan
from typing import Any

import orjson
import pytest

from drivers._wire.rest import UnauthorizedError
from drivers.braiins import wire
from drivers.braiins.device import BOOT_S, COOL_S, REREAD_S, BraiinsDevice
from drivers.braiins.driver import BraiinsDriver
from drivers.braiins.wire import Profile, Status
from farmctl.core.model import MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint
from tests.drivers.fixtures.rest.served import Served, recording, serving

RECORDING = "braiins_25.11"
PAGES = {
    "actions_locate": "actions/locate",
    "configuration_miner": "configuration/miner",
    "cooling_state": "cooling/state",
    "miner_details": "miner/details",
    "miner_errors": "miner/errors",
    "miner_hw_hashboards": "miner/hw/hashboards",
    "miner_stats": "miner/stats",
    "network": "network",
    "performance_tuner_state": "performance/tuner-state",
    "pools": "pools",
    "version": "version",
}
"""Where the recorded answers come from: their names with slashes."""
LOGIN = "POST /api/v1/auth/login"
DETAILS, STATS = "GET /api/v1/miner/details", "GET /api/v1/miner/stats"
CONSTRAINTS = "GET /api/v1/configuration/constraints"
LIMITS = {
    "tuner_constraints": {"power_target": {"default": {"watt": 3010}, "min": {"watt": 1200}, "max": {"watt": 5000}}}
}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def case() -> dict[str, Any]:
    return recording(RECORDING)


@pytest.fixture
def served(case: dict[str, Any]) -> Served:
    answers = {f"GET /api/v1/{PAGES[name]}": reply for name, reply in case["raw"]["asic_rs"].items()}
    answers |= {LOGIN: {"token": "tok", "timeout_s": 3600}}
    answers |= {f"PUT /api/v1/actions/{name}": True for name in ("pause", "resume")}
    answers["PUT /api/v1/performance/power-target"] = lambda body: body
    return Served(answers)


@asynccontextmanager
async def meeting(served: Served, clock: Clock | None = None) -> AsyncIterator[BraiinsDevice]:
    async with serving(served) as port:
        # Nothing listens for gRPC: port 1 refuses.
        endpoint = Endpoint(host="127.0.0.1", ports={"http": port, "grpc": 1, "api": 1})
        device = BraiinsDevice(endpoint, Credentials(), BraiinsDriver()._web, clock or Clock())
        try:
            yield device
        finally:
            await device.close()


def point(setting: str) -> OperatingPoint:
    return OperatingPoint(kind=PointKind.THROTTLE, power_w=0.0, hash_rate_hs=0.0, setting=setting)


def writes(served: Served) -> list[tuple[str, Any]]:
    told = [(each.call.removeprefix("PUT /api/v1/"), each.body) for each in served.asked]
    return [each for each in told if not each[0].startswith(("GET", "POST"))]


# ------------------------------------------------------------------ reading


async def test_every_field_of_the_recorded_s19_xp_is_what_its_raw_reply_says(
    case: dict[str, Any], served: Served
) -> None:
    """Neither library could be recorded on this device: pyasic speaks gRPC only, so the raw replies are the judge."""
    async with meeting(served) as device:
        reading, facts = await device.poll(), await device.facts()
    raw = case["raw"]["asic_rs"]
    real = raw["miner_stats"]["miner_stats"]["real_hashrate"]
    assert reading.hash_rate_hs == real["last_5s"]["gigahash_per_second"] * 1e9  # asic-rs takes the same window
    assert reading.power_w == raw["miner_stats"]["power_stats"]["approximated_consumption"]["watt"] == 2472
    assert reading.power_source is PowerSource.DEVICE
    assert reading.temperature_c == raw["cooling_state"]["highest_temperature"]["temperature"]["degree_c"] == 71.5
    assert reading.board_temperatures_c == (56.5, 54.5, 56.0)
    assert reading.fans_rpm == (5879.0, 5819.0, 5909.0, 5909.0)
    assert reading.uptime_s == raw["miner_details"]["bosminer_uptime_s"] == 20359
    assert facts.boards == len(raw["miner_hw_hashboards"]["hashboards"]) == 3
    assert facts.nominal_hash_rate_hs == 141e12
    assert isnan(facts.nominal_power_w), "no constraints were recorded"
    identity = facts.identity
    assert (identity.mac, identity.serial) == ("90:34:86:54:14:c0", "YNAHEAUBCJCBA03GL")
    assert (identity.model, identity.firmware) == ("Antminer S19 XP", "2025-11-21-0-eb658dcd-25.11-plus")
    assert [(pool.url, pool.user, pool.alive) for pool in facts.pools] == [
        ("stratum+tcp://example.pool.com:3333", "asic_rs.test", True),
        ("stratum+tcp://example.pool2.com:3333", "asic_rs.test", True),
    ]
    # Dynamic power scaling has gone down: "current_target":{"watt":2431} of a configured "power_target":{"watt":3031}.
    assert (reading.setting, reading.power_limit_w) == ("watts:3031", 2431.0)
    assert reading.state is MinerState.THROTTLED


async def test_a_poll_is_two_pages_heat_now_and_then_and_the_rest_once_a_minute(served: Served) -> None:
    clock = Clock()
    async with meeting(served, clock) as device:
        await device.poll()
        served.asked.clear()
        await device.poll()
        assert served.calls() == [STATS, DETAILS]
        clock.now_s += COOL_S
        assert (await device.poll()).temperature_c == 71.5
        assert served.calls()[2:] == [STATS, DETAILS, "GET /api/v1/cooling/state"]
        clock.now_s += REREAD_S
        await device.poll()
    assert len(served.calls()) == 2 + 3 + 6


async def test_a_pause_needs_more_than_its_own_word(served: Served) -> None:
    served.answers[DETAILS]["status"] = Status.PAUSED
    rates = served.answers[STATS]["miner_stats"]["real_hashrate"]
    power = served.answers[STATS]["power_stats"]["approximated_consumption"]
    async with meeting(served) as device:
        assert (await device.poll()).state is MinerState.HASHING, "121 TH/s at 2,472 W"
        for window in rates:
            rates[window] = {"gigahash_per_second": 0.0}
        assert (await device.poll()).state is MinerState.UNKNOWN, "2,472 W are not asleep"
        power["watt"] = 62
        reading = await device.poll()
        assert (reading.state, reading.setting) == (MinerState.CURTAILED, "sleep")
        served.answers[STATS] = {"miner_stats": {"real_hashrate": {"last_5s": None}}}
        assert (await device.poll()).state is MinerState.UNKNOWN, "both measures are missing"


async def test_awake_without_hash_rate_is_booting_then_a_fault(served: Served) -> None:
    clock = Clock()
    served.answers[STATS]["miner_stats"]["real_hashrate"] = {"last_5s": {"gigahash_per_second": 0}}
    async with meeting(served, clock) as device:
        assert (await device.poll()).state is MinerState.BOOTING
        clock.now_s += BOOT_S
        assert (await device.poll()).state is MinerState.FAULT
        served.answers[DETAILS]["status"] = 77
        assert (await device.poll()).state is MinerState.UNKNOWN


async def test_a_page_that_fails_costs_its_own_fields(served: Served) -> None:
    for page in ("cooling/state", "performance/tuner-state", "configuration/miner", "miner/hw/hashboards"):
        served.statuses[f"GET /api/v1/{page}"] = 500
    async with meeting(served) as device:
        reading = await device.poll()
    assert (reading.setting, reading.fans_rpm, reading.board_temperatures_c) == (None, (), ())
    assert isnan(reading.temperature_c)
    assert reading.power_w == 2472.0


async def test_garbage_is_one_failed_poll(served: Served) -> None:
    for page, body in ((STATS, b"<html>"), (STATS, b"[]"), (DETAILS, b"{}"), (DETAILS, b'{"miner_identity":')):
        served.raw = {page: body}
        async with meeting(served) as device:
            with pytest.raises(MalformedReplyError):
                await device.poll()


async def test_a_miner_that_takes_the_connection_and_says_nothing_is_silent(served: Served) -> None:
    served.silent = {STATS}
    async with meeting(served) as device:
        with pytest.raises(SilentPeerError):
            await device.poll()


async def test_pools_are_found_where_the_firmware_wants_its_slash(served: Served) -> None:
    served.answers["GET /api/v1/pools/"] = served.answers["GET /api/v1/pools"]
    served.statuses["GET /api/v1/pools"] = 307
    async with meeting(served) as device:
        assert len((await device.facts()).pools) == 2


# ------------------------------------------------------------------ writing


async def test_each_setting_writes_its_own_page_and_no_other(served: Served) -> None:
    served.answers |= {
        CONSTRAINTS: LIMITS,
        "PATCH /api/v1/performance/power-target/relative": {"watt": 1},
        "PUT /api/v1/performance/quick-ramping": {"up_s": 5, "down_s": 2},
    }
    async with meeting(served) as device:
        for setting in ("sleep", "sleep", "watts:2000", "percent:70", "full"):
            await device.apply(point(setting))
    assert writes(served) == [
        ("performance/quick-ramping", {"down_s": 2, "up_s": 5}),
        ("actions/pause", None),
        ("actions/pause", None),
        ("performance/power-target", {"watt": 2000}),
        ("actions/resume", None),
        ("PATCH /api/v1/performance/power-target/relative", {"percentage": 70, "reference": 1}),
        ("actions/resume", None),
        ("performance/power-target", {"watt": 3031}),  # what the operator had, above the default 3010
        ("actions/resume", None),
    ]


async def test_firmware_without_quick_ramps_pauses_all_the_same(served: Served) -> None:
    async with meeting(served) as device:
        await device.apply(point("sleep"))
        await device.apply(point("sleep"))
    assert [call for call, _ in writes(served)] == ["performance/quick-ramping", "actions/pause", "actions/pause"]


async def test_a_quick_ramp_that_hangs_does_not_keep_a_pause_from_being_sent(served: Served) -> None:
    served.silent = {"PUT /api/v1/performance/quick-ramping"}
    async with meeting(served) as device:
        await device.apply(point("sleep"))
    assert writes(served)[-1][0] == "actions/pause"


async def test_full_without_constraints_and_target_wakes_and_touches_no_target(served: Served) -> None:
    served.statuses |= {f"GET /api/v1/{page}": 500 for page in ("performance/tuner-state", "configuration/miner")}
    async with meeting(served) as device:
        await device.apply(point("full"))
    assert writes(served) == [("actions/resume", None)]


async def test_what_it_does_not_have_is_refused(served: Served) -> None:
    served.answers[CONSTRAINTS] = LIMITS
    async with meeting(served) as device:
        for setting in ("mode:low", "profile:x", "watts:1000", "watts:6000", "watts:x", "percent:0", "percent:101"):
            with pytest.raises(RefusedError):
                await device.apply(point(setting))
    assert writes(served) == []


async def test_an_echo_of_another_target_is_a_refusal(served: Served) -> None:
    served.answers["PUT /api/v1/performance/power-target"] = {"watt": 3031}
    async with meeting(served) as device:
        with pytest.raises(RefusedError, match="3031"):
            await device.apply(point("watts:2000"))


async def test_an_expired_token_costs_one_more_log_in_and_the_command_arrives_once(served: Served) -> None:
    tokens = iter(["old", "new"])
    served.answers[LOGIN] = lambda _body: {"token": next(tokens)}
    async with meeting(served) as device:
        await device.poll()
        served.admits = lambda call, given: call == LOGIN or given == "new"
        await device.apply(point("watts:2000"))
    assert served.calls().count(LOGIN) == 2
    assert [call for call, _ in writes(served)].count("performance/power-target") == 1


async def test_a_wrong_password_asks_for_a_person(served: Served) -> None:
    served.statuses[LOGIN] = 401
    async with meeting(served) as device:
        with pytest.raises(UnauthorizedError, match="login"):
            await device.apply(point("sleep"))


# ------------------------------------------------------------------ ladder


def test_the_ladder_is_measured_targets_up_to_full() -> None:
    def profile(target_w: float, power_w: float, ths: float) -> Profile:
        return Profile(target_w=target_w, power_w=power_w, hash_rate_hs=ths * 1e12)

    measured = (profile(2000, 2010, 95), profile(2400, 2390, 94), profile(2700, 2705, 120), profile(4000, 4020, 150))
    ladder = wire.make_ladder(measured, 3010.0, "25.11")
    assert ladder is not None
    assert [each.setting for each in ladder.points] == ["sleep", "watts:2000", "watts:2700"]
    assert ladder.points[-1].kind is PointKind.FULL
    assert wire.make_ladder(measured[:1], 3010.0, "25.11") is None
    assert wire.make_ladder((), float("nan"), "25.11") is None


def test_profiles_without_figures_are_left_out() -> None:
    reply = {"power_target_profiles": [{"target": {"watt": 2000}}, 7, {}]}
    assert wire.parse_profiles(reply) == ()
    assert wire.parse_profiles(None) == ()


# ------------------------------------------------------------------ identity


@asynccontextmanager
async def answering_4028(reply: Any) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(orjson.dumps(reply) + b"\0")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_24_09_is_known_by_its_recorded_version_and_left_to_others_where_its_doors_are_shut() -> None:
    version = recording("braiins_24.09")["raw"]["tcp4028"]["version"]
    async with answering_4028(version) as api:
        endpoint = Endpoint(host="127.0.0.1", ports={"api": api, "http": 1, "grpc": 1})
        assert await BraiinsDriver()._is_braiins(endpoint)
        assert await BraiinsDriver().identify(endpoint, Credentials()) is None


async def test_25_11_is_found_by_its_page_where_4028_is_shut(served: Served) -> None:
    async with serving(served) as port:
        endpoint = Endpoint(host="127.0.0.1", ports={"api": 1, "http": port, "grpc": 1})
        found = await BraiinsDriver().identify(endpoint, Credentials())
        del served.answers["GET /api/v1/version"]
        assert await BraiinsDriver().identify(endpoint, Credentials()) is None
        served.raw["GET /"] = b"<html><title>Braiins OS</title></html>"
        assert await BraiinsDriver().identify(endpoint, Credentials()) == found
    assert found is not None
    assert (found.miner_id, found.model) == ("90:34:86:54:14:c0", "Antminer S19 XP")


@pytest.mark.parametrize("name", ["luxos_s19kpro_2025.4.8", "antminer_s19pro_49.0.1.3", "bench_m30spp", "auradine_v1"])
async def test_other_makes_with_a_4028_are_not_braiins(name: str) -> None:
    async with answering_4028(recording(name)["raw"]["tcp4028"].get("version", {})) as api:
        endpoint = Endpoint(host="127.0.0.1", ports={"api": api, "http": 1, "grpc": 1})
        assert await BraiinsDriver().identify(endpoint, Credentials()) is None
