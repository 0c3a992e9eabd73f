"""An operator holds single miners at a power: they alone move, for as long as stated, and no limit gives way."""

from __future__ import annotations

import numpy as np

from farmctl.core.reasons import CODE, Reason
from tests.scenarios.day import Day, farm

HELD = (3, 4, 5)


def _names(day: Day) -> tuple[str, ...]:
    return tuple(str(day.table.miner_id[row]) for row in HELD)


def test_single_miners_are_held_at_their_power_and_return_when_the_time_is_over() -> None:
    day = Day(farm(60)).run(30)
    power_w = day.power_w
    full_w = float(day.farm.full_w[0])
    day.override(0.75 * full_w, for_s=120, miners=_names(day))
    day.run(30)
    drawn_w = day.farm.true_w.copy()
    assert (drawn_w[list(HELD)] <= 0.75 * full_w * 1.01).all()
    assert (drawn_w[list(HELD)] > 0.3 * full_w).all()
    assert day.power_w >= 0.97 * power_w, "the others make up for it, as far as the limit permits"
    assert set(day.decision.reasons[list(HELD)].tolist()) == {CODE[Reason.OVERRIDE]}
    day.run(240)
    assert day.farm.true_w[list(HELD)].max() > 0.9 * full_w


def test_a_miner_that_is_held_at_nothing_sleeps_and_is_not_woken_while_there_is_room() -> None:
    day = Day(farm(60)).run(30)
    day.override(0.0, for_s=900, miners=_names(day))
    day.run(60)
    assert (day.farm.at[list(HELD)] == 0).all()
    day.event("low", setpoint_w=0.5 * day.rated_w, for_s=60)
    day.run(300)
    assert (day.farm.at[list(HELD)] == 0).all()
    assert day.share > 0.9 * (57 / 60)


def test_a_held_miner_is_shed_like_the_others_and_rises_no_higher_than_its_cap() -> None:
    day = Day(farm(60)).run(30)
    full_w = float(day.farm.full_w[0])
    day.override(0.75 * full_w, for_s=3_000, miners=_names(day))
    day.event("off", limit_w=0.0, for_s=120)
    day.run(60)
    assert (day.farm.at == 0).all()
    most_w = np.zeros(60)

    def watch() -> None:
        most_w[:] = np.maximum(most_w, day.farm.true_w)

    day.run(900, watch)
    assert day.farm.at[list(HELD)].min() > 0
    assert (most_w[list(HELD)] <= 0.75 * full_w * 1.01).all()
