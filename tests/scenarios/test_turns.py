"""Stories about the policies: whose turn it is, and what a live price changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farmctl.core.grid import EventClass, EventPut, Interval
from tests.scenarios.day import Day, farm, ladder


def test_whose_turn_it_was_is_spared_the_next_time_also_after_a_restart() -> None:
    day = Day(farm(40, ladders=(ladder("on-off", throttle=False),)), policy="fair_rotation")
    day.event("first", setpoint_w=0.5 * day.rated_w, for_s=930)
    day.run(925)
    first = day.farm.at == 0
    day.run(60)
    day.restart()
    day.run(30)
    day.event("second", setpoint_w=0.5 * day.rated_w, for_s=600)
    day.run(60)
    second = day.farm.at == 0
    assert first.sum() >= 19
    assert second.sum() >= 19
    assert (first & second).sum() <= 2


@pytest.mark.parametrize(("price", "saved"), [(0.02, False), (0.20, True)])
def test_a_live_price_decides_which_watt_is_worth_it(price: float, *, saved: bool) -> None:
    ladders = (ladder("good", j_per_th=15.0), ladder("old", j_per_th=38.0))
    day = Day(farm(40, ladders=ladders), policy="profit_first", hash_price_per_th_day=0.08)
    event = day.event("run", setpoint_w=0.6 * day.rated_w, for_s=600, event_class=EventClass.TARGET)
    priced = tuple(replace(interval, price=price) for interval in event.intervals)
    assert isinstance(priced[0], Interval)
    day.inbox[-1] = EventPut(event=replace(event, intervals=priced))
    day.run(120)
    assert day.decision.budget.target_w == pytest.approx(0.6 * day.rated_w)
    assert abs(day.share - 0.6) < 0.02  # a set-point is followed at any price
    old = day.farm.ladder_of == 1
    assert (day.farm.at[old] == 0).mean() > (0.5 if saved else 0.2)
