"""Stories about the single machine: too hot, faulty."""

from __future__ import annotations

import numpy as np

from farmctl.core.reasons import CODE, Reason
from tests.scenarios.day import Day, farm, ladder


def test_a_miner_that_is_too_hot_is_lowered_and_rises_only_when_it_has_cooled() -> None:
    day = Day(farm(20), hot_chip_c=90.0, min_on_s=3_600.0).run(10)
    day.table.temperature_c[:] = 70.0
    day.table.temperature_c[3] = 91.0
    day.run(5)
    assert day.farm.at[3] == 1
    assert day.decision.reasons[3] == CODE[Reason.TOO_HOT]
    day.table.temperature_c[3] = 85.0  # cooler, but not cool
    day.run(60)
    assert day.farm.at[3] == 1
    day.table.temperature_c[3] = 75.0
    day.run(30)
    assert day.farm.at[3] > 8


def test_a_miner_far_above_the_limit_sleeps_and_the_others_take_its_share() -> None:
    ladders = (ladder("throttles"), ladder("on-off", throttle=False))
    day = Day(farm(40, ladders=ladders), hot_chip_c=90.0).run(10)
    day.event("run", setpoint_w=0.7 * day.rated_w)
    day.run(40)
    day.table.temperature_c[:] = 60.0
    awake = np.flatnonzero(day.farm.at > 0)
    stopped = [int(row) for row in awake if day.farm.ladder_of[row] == 1][:2]
    day.table.temperature_c[stopped] = 91.0
    day.table.temperature_c[awake[0]] = 99.0
    day.run(60)
    assert (day.farm.at[[*stopped, int(awake[0])]] == 0).all()
    assert abs(day.share - 0.7) < 0.02


def test_a_miner_that_reports_a_fault_is_not_raised() -> None:
    day = Day(farm(20)).run(10)
    day.event("low", setpoint_w=0.5 * day.rated_w, for_s=60)
    day.run(55)
    row = int(np.flatnonzero(day.farm.at < day.farm.book.steps[0] - 1)[0])
    step = int(day.farm.at[row])
    day.farm.faulty[row] = True
    day.run(60)
    assert day.share > 0.9
    assert day.farm.at[row] <= step
    assert Reason.FAULTY in day.reasons()


def test_a_temperature_that_is_not_known_lowers_nobody() -> None:
    day = Day(farm(20), hot_chip_c=60.0).run(30)
    assert Reason.TOO_HOT not in day.reasons()
    assert day.share > 0.98
