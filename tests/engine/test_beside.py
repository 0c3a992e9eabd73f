"""What a worker hears beside the columns reaches whoever listens where the site is led."""

from __future__ import annotations

import math

import numpy as np
import pytest

from farmctl.core.model import MinerId, MinerState, PowerSource
from farmctl.engine.beside import Beside, take
from farmctl.engine.clock import SystemClock
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.engine.poller import Poller, PollRules
from farmctl.engine.tally import Tally
from farmctl.errors import MalformedReplyError
from farmctl.metrics.sidelines import FAULT_WORDS, Sidelines
from farmctl.ports.devices import Facts, Identity, Pool, Reading
from farmctl.ports.store import InventoryRow

ROWS = {"C001": np.array([0, 1], dtype=np.int64), "C002": np.array([2], dtype=np.int64)}
RULES = PollRules(
    interval_s=5.0, in_flight=10, fast_interval_s=1.0, backoff_max_s=60.0, facts_interval_s=3600.0, deadline_s=20.0
)


def part() -> tuple[FleetKeeper, Poller]:
    keeper = FleetKeeper()
    rows = [
        InventoryRow(miner_id=MinerId(f"aa:{n:02}"), host=f"10.0.0.{n}", ports={}, driver="luxos") for n in range(3)
    ]
    keeper.seat([Seat(row=row, ladder=None, node=0, group=0, commandable=True) for row in rows])
    return keeper, Poller(keeper, SystemClock(), RULES, Tally())


def reading(fan_rpm: float, *errors: str) -> Reading:
    return Reading(
        state=MinerState.HASHING, power_w=3_000.0, power_source=PowerSource.DEVICE, hash_rate_hs=1e14,
        temperature_c=60.0, uptime_s=100.0, setting="full", fans_rpm=(fan_rpm, 6_000.0), errors=errors, ambient_c=31.0,
    )  # fmt: skip


def facts(url: str) -> Facts:
    return Facts(
        identity=Identity(miner_id=MinerId("aa:01"), driver="luxos", model="S19", firmware="1", mac="aa:01", serial=""),
        pools=(Pool(url=url, user="w", alive=True),), boards=3, nominal_hash_rate_hs=math.nan, nominal_power_w=3_100.0,
    )  # fmt: skip


def test_fans_fault_codes_air_and_pools_are_told_to_the_listeners_of_the_process_that_leads() -> None:
    keeper, poller = part()
    beside = Beside(keeper, poller, ROWS)
    poller.on_reading(1, reading(4_020.0, "P:1"))
    poller.facts.keep(1, MinerId("aa:01"), facts("stratum+tcp://pool.example:3333"))
    poller.on_facts(1, facts(""))
    led, hub = part()
    lines = Sidelines(["S19"] * 3)
    hub.on_reading, hub.on_facts = lines.heard, lines.told
    pages = beside.changed(["C001", "C002"])
    assert sorted((shard, kind) for shard, kind, _ in pages) == [("C001", "facts"), ("C001", "said")]
    for shard, kind, packed in pages:
        take(hub, led, ROWS[shard], kind, packed)
    assert np.array_equal(lines.fan_rpm(), [np.nan, 4_000.0, np.nan], equal_nan=True)
    assert lines.ambient_c()[1] == 31.0
    assert FAULT_WORDS[lines.fault()[1]] != FAULT_WORDS[lines.fault()[0]] == ""
    assert [pool.name for pool in lines.pools()] == ["pool.example"]
    assert hub.facts.of[1].nominal_power_w == 3_100.0
    assert math.isnan(hub.facts.of[1].nominal_hash_rate_hs)


def test_nothing_is_given_out_twice_and_a_claimed_shard_tells_all_anew() -> None:
    keeper, poller = part()
    beside = Beside(keeper, poller, ROWS)
    poller.on_reading(1, reading(4_020.0))
    assert len(beside.changed(["C001"])) == 1
    poller.on_reading(1, reading(4_010.0))
    assert beside.changed(["C001"]) == [], "a fan that hunts is no news"
    beside.forget("C001")
    poller.on_reading(1, reading(4_010.0))
    assert len(beside.changed(["C001"])) == 1


def test_a_page_of_other_miners_or_none_at_all_is_refused() -> None:
    keeper, poller = part()
    beside = Beside(keeper, poller, ROWS)
    poller.on_reading(2, reading(4_000.0))
    ((_, kind, packed),) = beside.changed(["C002"])
    led, hub = part()
    with pytest.raises(MalformedReplyError, match="other miners"):
        take(hub, led, ROWS["C001"], kind, packed)
    with pytest.raises(MalformedReplyError, match="unreadable"):
        take(hub, led, ROWS["C002"], kind, b"no page")
