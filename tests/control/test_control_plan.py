"""Plans and counterfactuals: what the API foretells is what the core then does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from farmctl.control.client import ControllerRefusedError
from farmctl.control.plan import held_at, imagine, told
from farmctl.control.threshold import shed_order, thresholds
from farmctl.core.memory import Memory
from tests.control.glasshouse import Asker, Glasshouse
from tests.scenarios.day import farm, ladder


def mixed(**rules: Any) -> Glasshouse:
    ladders = (ladder("good", j_per_th=17.0), ladder("old", j_per_th=29.0), ladder("plain", throttle=False))
    return Glasshouse(farm(60, ladders=ladders, feeders=3), **rules).run(5)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.0])
def test_a_plan_foretells_where_the_site_ends(share: float) -> None:
    house = mixed()
    target_w = share * house.day.rated_w
    imagined = imagine(house.shown, held_at(house.shown, target_w), house.site)
    house.day.override(target_w)
    house.day.run(25)
    assert house.day.power_w == pytest.approx(imagined.decision.allocation.planned_w, abs=0.01 * house.day.rated_w)
    # Later cycles trim single rows, and after half a minute refinement swaps points; until then the plan stands.
    assert abs(int((house.day.farm.at == 0).sum()) - int((imagined.after == 0).sum())) <= 2


def test_a_plan_sends_and_remembers_nothing() -> None:
    house = mixed()
    shown, commands = house.shown, house.day.commands
    before = np.copy(shown.memory.rows.wanted)
    imagine(shown, held_at(shown, 0.0), house.site)
    assert house.day.commands == commands
    assert np.array_equal(shown.memory.rows.wanted, before)
    assert isinstance(house.day.memory, Memory)
    assert house.day.run(5).commands == commands


async def test_the_plan_says_who_how_much_and_how_long(house: Glasshouse, ask: Asker) -> None:
    house.day.table.protected[:2] = True
    house.day.table.commandable[2:5] = False
    house.day.farm.silent[5] = True
    house.run(40)
    plan = (await ask.get("/v1/plan", to="0%"))["plan"]
    assert plan["sent"] is False
    assert plan["put_to_sleep"] == plan["lowered"] == 54
    assert len(plan["miners"]) == 54
    assert {move["to"] for move in plan["miners"]} == {"sleep"}
    assert plan["hash_rate_lost_ths"] > 0
    assert plan["seconds"] == 5.0
    assert not plan["reached"]
    left = {group["reason"]: group["miners"] for group in plan["left_out"]}
    assert left == {"UNREACHABLE": 1, "OBSERVE_ONLY": 3, "PROTECTED": 2}
    assert plan["off_target_kw"] == pytest.approx(plan["planned_kw"], abs=0.01)


async def test_sizes_are_shares_of_what_they_say(house: Glasshouse, ask: Asker) -> None:
    rated_kw, power_kw = house.day.rated_w / 1e3, house.day.power_w / 1e3
    to = (await ask.get("/v1/plan", to="50%", rows=3))["plan"]
    assert to["target_kw"] == pytest.approx(0.5 * rated_kw, abs=0.01)
    assert len(to["miners"]) == 3
    by = (await ask.get("/v1/plan", by="30%"))["plan"]
    assert by["target_kw"] == pytest.approx(0.7 * power_kw, abs=0.5)
    for question in ({"to": "20"}, {"by": "30"}, {"to": "1MW", "by": "1MW"}, {}):
        with pytest.raises(ControllerRefusedError, match="expected") as refused:
            await ask.get("/v1/plan", **question)
        assert refused.value.status == 400


def test_a_plan_names_locks_and_the_ramp() -> None:
    house = mixed(min_off_s=600.0, ramp_up_w_per_s=1_000.0)
    house.day.event("low", setpoint_w=0.2 * house.day.rated_w, for_s=20)
    house.run(23)
    plan = told(imagine(house.shown, held_at(house.shown, house.day.rated_w), house.site), house.site, 5)
    left = plan["left_out"]
    assert isinstance(left, list)
    assert [group["reason"] for group in left] == ["MIN_OFF"]
    assert left[0]["until"] is not None
    seconds, change = plan["seconds"], plan["change_kw"]
    assert isinstance(seconds, float)
    assert isinstance(change, float)
    assert seconds >= change


def test_a_plan_above_the_limit_is_clamped_and_says_so() -> None:
    house = mixed()
    house.day.event("limit", limit_w=0.5 * house.day.rated_w)
    house.run(30)
    plan = told(imagine(house.shown, held_at(house.shown, house.day.rated_w), house.site), house.site, 0)
    assert plan["limit_reason"] == "LIMITED"
    assert plan["shortfall_kw"] == pytest.approx(0.5 * house.day.rated_w / 1e3, rel=0.01)
    assert plan["miners"] == []


@pytest.mark.parametrize("row", [0, 1, 2, 17, 31, 44, 59])
def test_a_threshold_is_where_the_core_moves_the_miner(row: int) -> None:
    house = mixed()
    house.day.event("some", setpoint_w=0.6 * house.day.rated_w)
    house.run(60)
    shown, now = house.shown, int(house.shown.decision.allocation.step[row])
    marks = thresholds(shown, row, house.site)
    near_w = 1.01 * marks.resolution_w

    def at(target_w: float) -> int:
        return int(imagine(shown, held_at(shown, target_w), house.site).after[row])

    assert marks.resolution_w < 100.0
    assert (marks.asleep_at_w is None) == (now == 0)
    if marks.asleep_at_w is not None:
        assert at(marks.asleep_at_w) == 0 < at(marks.asleep_at_w + near_w)
    assert (marks.lowered_at_w is None) == (now == 0)
    if marks.lowered_at_w is not None:
        assert at(marks.lowered_at_w) < now <= at(marks.lowered_at_w + near_w)
    if marks.raised_at_w is not None:
        assert at(marks.raised_at_w) > now >= at(marks.raised_at_w - near_w)
    else:
        assert at(house.day.rated_w) <= now


def test_the_worst_machine_is_first_in_the_shed_order() -> None:
    house = mixed()
    places = [shed_order(house.shown.view, house.shown.decision.seen, row, "efficiency_first")[0] for row in range(60)]
    worst = {row for row in range(60) if row % 3 == 1}
    assert {row for row in range(60) if (places[row] or 99) <= 20} == worst
