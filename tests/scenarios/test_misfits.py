"""Stories about miners that lie, sulk, sleep late, come late or come back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from farmctl.core.grid import EventState
from farmctl.core.memory import Standing
from farmctl.core.reasons import Reason
from tests.scenarios.day import Day, farm, ladder


def test_miners_that_say_they_sleep_and_draw_full_are_made_up_for_by_the_others() -> None:
    site = farm(100)
    day = Day(site).run(10)
    site.deaf[:10] = True
    site.pretends_sleep[:10] = True
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(90)
    assert day.mean_w(10) <= 0.5 * day.rated_w * 1.005
    assert site.true_w[:10].min() > 2_500  # they do still draw


def test_deaf_miners_are_retried_then_given_up_and_counted_at_what_they_draw() -> None:
    site = farm(50)
    day = Day(site).run(10)
    site.deaf[:5] = True
    day.event("zero", limit_w=0.0)
    day.run(200)
    assert (day.memory.rows.standing[:5] == Standing.GAVE_UP).all()
    assert Reason.GAVE_UP in day.reasons()
    tries_s = [(at_ms - day.sent[0][0]) // 1_000 for at_ms, row, step in day.sent if row == 0 and step == 0]
    again_s = [after - before for before, after in pairwise(tries_s)][day.rules.max_attempts :]
    assert again_s, "one that answers and draws is not left alone"
    assert min(again_s) >= 30
    assert day.state_of("zero") is EventState.DEVIATING  # done means measured
    assert day.decision.allocation.planned_w > 4 * 3_400


def test_a_miner_that_was_given_up_is_commanded_again_and_taken_back_when_it_follows() -> None:
    site = farm(50)
    day = Day(site).run(10)
    site.deaf[:5] = True
    day.event("zero", limit_w=0.0, for_s=3_000)
    day.run(200)
    site.deaf[:5] = False
    day.run(330)
    assert day.power_w <= 50 * 40.0
    assert (day.memory.rows.standing == Standing.SETTLED).all()


def test_a_miner_that_never_resumes_does_not_hold_the_site_below_its_set_point() -> None:
    site = farm(50)
    site.asleep()
    site.deaf[:5] = True
    day = Day(site).run(5)
    day.event("run", setpoint_w=0.8 * day.rated_w, for_s=3_000)
    day.run(400)
    assert abs(day.mean_w(20) / day.rated_w - 0.8) < 0.01


def test_a_late_joiner_is_commanded_like_the_rest() -> None:
    site = farm(40)
    site.silent[:8] = True
    day = Day(site, poll_s=1).run(10)
    day.event("zero", limit_w=0.0, for_s=3_000)
    day.run(60)
    assert site.at[:8].min() > 0
    site.silent[:8] = False
    day.run(40)
    assert day.power_w <= 40 * 40.0


def test_a_rebooted_miner_is_commanded_again() -> None:
    site = farm(40)
    day = Day(site).run(10)
    day.event("zero", limit_w=0.0, for_s=3_000)
    day.run(40)
    site.boot(slice(0, 8))
    day.run(90)
    assert day.power_w <= 40 * 40.0


def test_silent_miners_count_at_what_they_last_drew() -> None:
    site = farm(100)
    day = Day(site, metered=False).run(10)
    site.silent[:20] = True
    day.run(40)
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(40)
    assert day.mean_w(10) <= 0.5 * day.rated_w
    assert Reason.UNREACHABLE in day.reasons()


def test_nobody_is_commanded_who_may_only_be_watched() -> None:
    site = farm(30)
    day = Day(site)
    day.table.commandable[:10] = False
    day.run(10)
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(40)
    assert {row for _, row, _ in day.sent} <= set(range(10, 30))
    assert day.mean_w(10) <= 0.5 * day.rated_w


def test_five_percent_of_the_fleet_drops_out_and_the_band_is_held() -> None:
    site = farm(200)
    day = Day(site).run(10)
    day.event("run", setpoint_w=0.7 * day.rated_w, for_s=3_000)
    day.run(60)
    site.cut[::20] = True
    day.run(30)
    assert abs(day.mean_w(10) / day.rated_w - 0.7) < 0.01


def test_half_the_fleet_boots_slowly_and_the_set_point_is_met_as_soon_as_it_can_be() -> None:
    slow = ladder("slow", throttle=False, down_s=60.0, up_s=240.0, j_per_th=15.0)
    site = farm(100, ladders=(ladder("fast"), slow))
    site.asleep()
    day = Day(site).run(5)
    day.event("half", setpoint_w=0.4 * day.rated_w, for_s=3_000)
    day.run(60)
    assert abs(day.mean_w(5) / day.rated_w - 0.4) < 0.02  # the fast half is there within a minute
    over = max(w for _, w in day.meter) / day.rated_w
    assert over < 0.42


def test_a_miner_that_falls_asleep_by_itself_is_replaced_not_fought() -> None:
    site = farm(60)
    day = Day(site).run(10)
    day.event("run", setpoint_w=0.6 * day.rated_w, for_s=3_000)
    day.run(60)
    site.at[:3] = 0
    day.run(60)
    assert abs(day.mean_w(10) / day.rated_w - 0.6) < 0.01


def test_a_fleet_of_mixed_bias_still_gives_the_number() -> None:
    site = farm(200)
    site.bias[:] = np.linspace(0.85, 1.15, 200)
    day = Day(site).run(30)
    for share in (0.7, 0.5, 0.8):
        day.event(f"b{share}", setpoint_w=share * day.rated_w, for_s=120)
        day.run(120)
        assert abs(day.mean_w(30) / day.rated_w - share) < 0.01
