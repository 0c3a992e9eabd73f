"""When miners of fast firmware are looked at after a command, whatever their watts do on the way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest

from farmctl.engine.journey import EARLY, LEAST_GAP_S, MARGIN, MOST_TRAVEL_S, Journey, journey

FULL_W, ASLEEP_W, STATED_S, TOLD_S = 3_000.0, 25.0, 5.0, 1_000.0
Fall = Callable[[float], float]
"""Watts so many seconds after the command."""


def ramp(seconds: float) -> Fall:
    return lambda age_s: max(FULL_W - (FULL_W - ASLEEP_W) * age_s / seconds, ASLEEP_W)


def decay(tau_s: float) -> Fall:
    return lambda age_s: ASLEEP_W + (FULL_W - ASLEEP_W) * math.exp(-age_s / tau_s)


def step(after_s: float) -> Fall:
    return lambda age_s: FULL_W if age_s < after_s else ASLEEP_W


def looks(fall: Fall, stated_s: float = STATED_S, to_w: float = ASLEEP_W) -> list[float]:
    """Ages at which it is looked at, until it is there or its time is over."""
    way = journey(TOLD_S, stated_s, FULL_W, to_w)
    assert way is not None
    ages = [way.first_look_s]
    while (wait_s := way.next_look_s(TOLD_S + ages[-1], fall(ages[-1]))) is not None:
        ages.append(ages[-1] + wait_s)
        assert len(ages) < 10
    return ages


def test_a_miner_that_ramps_is_seen_asleep_by_its_second_look_and_before_its_stated_time() -> None:
    for seconds in (3.5, 4.0, 4.5):
        ages = looks(ramp(seconds))
        assert len(ages) == 2
        assert ages[1] == pytest.approx(seconds + MARGIN * STATED_S)


def test_a_miner_that_drops_at_once_is_seen_asleep_by_its_first_look() -> None:
    assert looks(step(0.5)) == [EARLY * STATED_S]


def test_a_miner_that_has_not_moved_yet_is_next_looked_at_when_its_stated_time_is_over() -> None:
    assert looks(step(4.0)) == pytest.approx([EARLY * STATED_S, STATED_S])
    assert looks(lambda _age_s: math.nan) == pytest.approx([EARLY * STATED_S, STATED_S])


@pytest.mark.parametrize("fall", [ramp(2.0), ramp(6.0), decay(0.5), decay(1.5), decay(20.0), step(9.0), lambda _: 4e3])
@pytest.mark.parametrize("stated_s", [1.6, 3.0, MOST_TRAVEL_S])
def test_no_miner_is_looked_at_twice_within_a_second_nor_left_alone_beyond_its_stated_time(
    fall: Fall, stated_s: float
) -> None:
    ages = looks(fall, stated_s)
    assert all(b - a >= LEAST_GAP_S - 1e-9 for a, b in itertools.pairwise(ages))
    assert ages[0] >= LEAST_GAP_S
    assert ages[-1] <= stated_s + LEAST_GAP_S
    assert len(ages) <= 4


def test_a_way_that_is_lost_in_the_drift_is_looked_at_as_its_firmware_states() -> None:
    assert looks(lambda _age_s: FULL_W * 0.98, to_w=FULL_W * 0.97) == pytest.approx([EARLY * STATED_S, STATED_S])


def test_slow_kinds_and_kinds_of_unknown_points_have_no_such_way() -> None:
    assert journey(TOLD_S, 60.0, FULL_W, ASLEEP_W) is None
    assert journey(TOLD_S, 0.0, FULL_W, math.nan) is None
    assert isinstance(journey(TOLD_S, STATED_S, math.nan, math.nan), Journey)
