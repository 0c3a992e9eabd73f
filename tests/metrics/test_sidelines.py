from __future__ import annotations

import dataclasses
import itertools
import math
import random
import threading

import numpy as np
import pytest

from farmctl.core.model import MinerId, MinerState, PowerSource
from farmctl.metrics.energy import GAP_S, EnergyCount
from farmctl.metrics.sidelines import FAULT_WORDS, MOST_FAULTS, MOST_POOLS, OTHER, Sidelines
from farmctl.metrics.snapshot import FaultCount
from farmctl.ports.devices import Facts, Identity, Pool, Reading

READING = Reading(
    state=MinerState.HASHING,
    power_w=3_400.0,
    power_source=PowerSource.DEVICE,
    hash_rate_hs=1e14,
    temperature_c=70.0,
    uptime_s=60.0,
    setting=None,
)


def facts(*pools: Pool) -> Facts:
    who = Identity(miner_id=MinerId("m"), driver="d", model="M50", firmware="f")
    return Facts(identity=who, pools=pools, boards=3, nominal_hash_rate_hs=math.nan, nominal_power_w=math.nan)


def pool(url: str = "stratum+tcp://eu1.pool.example:3333", *, alive: bool = True, accepted: float = math.nan) -> Pool:
    return Pool(url=url, user="secret.worker", alive=alive, accepted=accepted, rejected=0.0)


def test_a_pool_is_named_by_its_host_alone() -> None:
    sidelines = Sidelines(["M50"])
    urls = ("stratum+tcp://eu1.pool.example:3333", "user@eu2.pool.example:700/#x", "[2001:db8::1]:3333", "")
    sidelines.told(0, facts(*map(pool, urls)))
    assert {p.name for p in sidelines.pools()} == {"eu1.pool.example", "eu2.pool.example", "[2001:db8::1]", OTHER}


def test_shares_are_what_came_since_the_first_reading_also_over_a_restart() -> None:
    sidelines = Sidelines(["M50", "M50"])
    for row, accepted in ((0, 1_000.0), (1, 50.0), (0, 1_010.0), (1, 7.0)):  # the second miner started again
        sidelines.told(row, facts(pool(accepted=accepted)))
    (only,) = sidelines.pools()
    assert (only.accepted, only.rejected, only.stale) == (17.0, 0.0, 0.0)


def test_a_pool_is_up_while_one_miner_says_so_and_forgotten_when_nobody_names_it() -> None:
    sidelines = Sidelines(["M50", "M50"])
    for row in (0, 1):
        sidelines.told(row, facts(pool(alive=row == 0)))
    assert [p.up for p in sidelines.pools()] == [True]
    sidelines.told(0, facts(pool(alive=False)))
    assert [p.up for p in sidelines.pools()] == [False]
    for row in (0, 1):
        sidelines.told(row, facts())
    assert sidelines.pools() == ()


def test_a_crowd_of_pools_and_of_codes_stays_bounded() -> None:
    sidelines = Sidelines(["M50"] * 500)
    for row in range(500):
        sidelines.told(row, facts(pool(f"tcp://p{row}.example:1")))
        sidelines.heard(row, dataclasses.replace(READING, errors=(f"E{row}", "Fan 0 lost at 12:00")))
    assert len(sidelines.pools()) <= MOST_POOLS + 1
    found = sidelines.faults(np.ones(500, dtype=np.bool_))
    assert len(found) <= MOST_FAULTS + 1
    assert sum(f.count for f in found) == 1_000
    assert {f.count for f in found if f.code == "fan"} == {500}


def test_a_fault_is_shown_while_the_miner_shows_it_and_answers() -> None:
    sidelines = Sidelines(["M50", "S21"])
    fresh = np.array([True, True])
    sidelines.heard(0, dataclasses.replace(READING, errors=("111",)))
    sidelines.heard(1, READING)
    assert sidelines.faults(fresh) == (FaultCount(code="111", model="M50", count=1),)
    assert sidelines.faults(~fresh) == ()
    sidelines.heard(0, READING)
    assert sidelines.faults(fresh) == ()


def test_energy_is_the_integral_of_good_samples_and_a_gap_is_not_made_up() -> None:
    energy = EnergyCount()
    for at_ms, power_w in ((0, 1_000.0), (1_000, 3_000.0), (1_000, 9_000.0), (2_000, 3_000.0)):
        energy.sample(at_ms, power_w)
    assert energy.joules == pytest.approx(2_000.0 + 3_000.0)
    late_ms = 2_000 + int(GAP_S * 1_000) + 1
    energy.sample(late_ms, 3_000.0)
    assert energy.joules == pytest.approx(5_000.0)
    energy.sample(late_ms + 1_000, -3_000.0)
    assert energy.joules == pytest.approx(5_000.0)


def test_a_meter_with_a_register_of_its_own_is_believed_and_never_counts_down() -> None:
    energy = EnergyCount()
    for at_ms, register_j in ((0, 9e9), (1_000, 9e9 + 5.0), (90_000, 9e9 + 500.0), (91_000, 3.0), (92_000, 10.0)):
        energy.sample(at_ms, 1_000.0, register_j)
    assert energy.joules == pytest.approx(500.0 + 7.0)


def test_faults_are_read_beside_a_loop_that_polls_on() -> None:
    sidelines, fresh = Sidelines(["M50"] * 2_000), np.ones(2_000, dtype=np.bool_)
    faulty = dataclasses.replace(READING, errors=("111",))
    stop = threading.Event()

    def poll() -> None:
        for row in itertools.cycle(range(2_000)):
            sidelines.heard(row, faulty if random.random() < 0.5 else READING)  # noqa: S311 - a die
            if stop.is_set():
                return

    polling = threading.Thread(target=poll)
    polling.start()
    try:
        assert all(sum(f.count for f in sidelines.faults(fresh)) <= 2_000 for _ in range(200))
    finally:
        stop.set()
        polling.join()


def test_fans_faults_and_pools_are_columns_with_a_vocabulary_that_only_grows() -> None:
    sidelines = Sidelines(["M50"] * 3)
    sidelines.heard(0, dataclasses.replace(READING, fans_rpm=(6_010.0, 5_990.0)))
    sidelines.heard(1, dataclasses.replace(READING, errors=("110",)))
    sidelines.told(0, facts(pool(alive=False), pool("stratum+tcp://us2.pool.example:3333")))
    sidelines.told(1, facts(pool(alive=False)))
    words, codes = sidelines.pool()
    assert [words[code] for code in codes] == ["us2.pool.example", "eu1.pool.example", ""]
    assert sidelines.fan_rpm()[0] == 6_000.0
    assert math.isnan(sidelines.fan_rpm()[1])
    assert [FAULT_WORDS[code] for code in sidelines.fault()] == ["", "fan", ""]
    sidelines.heard(1, READING)
    sidelines.told(0, facts(pool("stratum+tcp://third.example:3333")))
    assert FAULT_WORDS[sidelines.fault()[1]] == ""
    assert sidelines.pool()[0][: len(words)] == words
