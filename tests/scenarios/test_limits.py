"""Stories about limits: a hard line that no plan, wish or fault may cross for long."""

from __future__ import annotations

import numpy as np

from farmctl.core.grid import EventState, OnExpiry, SiteMode
from farmctl.core.reasons import Reason
from tests.scenarios.day import Day, farm, ladder

STOCK = ladder("stock", throttle=False, down_s=60.0, up_s=240.0, j_per_th=29.5)


def test_a_limit_that_drops_during_the_ramp_up_stops_the_ramp_at_once() -> None:
    site = farm(100)
    site.asleep()
    day = Day(site, ramp_up_w_per_s=2_000.0).run(60)
    assert 0.2 < day.share < 0.6  # on its way up, 2 kW/s
    day.event("cap", limit_w=0.3 * day.rated_w)
    day.run(1)
    assert Reason.RESTORE not in {command.reason for command in day.decision.commands}
    day.run(30)
    assert day.peak_w(10) <= 0.3 * day.rated_w * 1.01
    assert day.mean_w(60) > 0


def test_a_limit_at_60_percent_gives_60_percent_not_zero() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.6 * day.rated_w)
    day.run(40)
    assert 0.58 * day.rated_w < day.mean_w(10) <= 0.6 * day.rated_w
    assert day.decision.mode is SiteMode.LIMITED


def test_a_limit_does_not_wait_for_miners_that_tell_no_uptime() -> None:
    day = Day(farm(100, ladders=(STOCK,)), min_on_s=600.0).run(10)
    day.event("cap", limit_w=0.3 * day.rated_w)
    day.run(90)  # they take a minute to stop
    assert day.power_w <= 0.3 * day.rated_w


def test_no_statement_is_no_limit_and_zero_is_zero() -> None:
    day = Day(farm(50)).run(10)
    day.event("nothing", for_s=30)  # it states neither a limit nor a set-point
    day.run(10)
    assert day.share > 0.98
    day.event("zero", limit_w=0.0)
    day.run(20)
    assert day.power_w <= 50 * 40.0


def test_a_bigger_limit_never_overrides_a_smaller_one() -> None:
    day = Day(farm(100)).run(10)
    day.event("tight", limit_w=0.4 * day.rated_w, priority=9)
    day.run(5)
    day.event("wide", limit_w=0.8 * day.rated_w, priority=0)
    day.run(40)
    assert day.mean_w(10) <= 0.4 * day.rated_w
    assert day.decision.budget.ceiling_w == 0.4 * day.rated_w


def test_a_feeder_rating_holds_its_miners_while_the_other_feeders_run() -> None:
    site = farm(90, feeders=3)
    site.tree.rating_w[2] = 15 * 3_400.0
    day = Day(site).run(40)
    under = site.node == 2
    assert site.true_w[under].sum() <= 15 * 3_400.0
    assert (site.true_w[~under] > 3_300).all()
    assert Reason.CIRCUIT_LIMIT in day.reasons()


def test_a_parent_smaller_than_its_children_together_is_kept() -> None:
    site = farm(80, feeders=4, feeder_rating_w=20 * 3_400.0, rating_w=50 * 3_400.0)
    day = Day(site).run(40)
    assert day.power_w <= 50 * 3_400.0
    assert day.power_w > 48 * 3_400.0


def test_a_limit_that_expires_leaves_the_standing_allocation() -> None:
    day = Day(farm(100), standing_w=0.7 * 100 * 3_400.0).run(30)
    day.event("cap", limit_w=0.3 * day.rated_w, for_s=60, on_expiry=OnExpiry.SUBSCRIPTION)
    day.run(40)
    assert day.mean_w(10) <= 0.3 * day.rated_w
    day.run(90)
    assert 0.68 * day.rated_w < day.mean_w(10) <= 0.7 * day.rated_w
    assert day.state_of("cap") in (None, EventState.COMPLETED)


def test_a_held_limit_stays_until_a_newer_message() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.3 * day.rated_w, for_s=60, on_expiry=OnExpiry.HOLD)
    day.run(180)
    assert day.mean_w(10) <= 0.3 * day.rated_w * 1.001
    day.event("next", limit_w=0.8 * day.rated_w, for_s=600)
    day.run(90)
    assert 0.78 * day.rated_w < day.mean_w(10) <= 0.8 * day.rated_w


def test_half_the_fleet_is_slow_to_sleep_so_the_fast_half_goes_first_and_nothing_is_woken_meanwhile() -> None:
    day = Day(farm(100, ladders=(ladder("fast"), STOCK))).run(10)
    day.event("cap", limit_w=0.6 * day.rated_w)
    began = day.now_ms + 1_000
    day.run(15)
    assert day.power_w <= 0.6 * day.rated_w * 1.01  # the fast half carried it
    day.run(200)
    assert 0.58 * day.rated_w < day.mean_w(10) <= 0.6 * day.rated_w
    lowered_first = [row for at, row, _ in day.sent if at == began][:10]
    assert all(row % 2 == 0 for row in lowered_first)


def test_a_limit_below_what_the_fast_can_give_sends_the_slow_down_too() -> None:
    day = Day(farm(100, ladders=(ladder("fast"), STOCK))).run(10)
    day.event("cap", limit_w=0.3 * day.rated_w, respond_within_s=120.0)
    day.run(120)
    assert day.power_w <= 0.3 * day.rated_w * 1.01
    assert day.state_of("cap") is EventState.REACHED


def test_an_override_above_a_live_limit_is_clamped_and_says_so() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.override(0.9 * day.rated_w)
    day.run(40)
    assert day.mean_w(10) <= 0.5 * day.rated_w
    assert day.decision.mode is SiteMode.LOCAL_OVERRIDE
    assert day.decision.budget.shortfall_w > 0
    assert Reason.ABOVE_LIMIT in {wish.reason for wish in day.decision.budget.lost}


def test_an_override_below_the_limit_decides_until_it_expires() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.8 * day.rated_w, for_s=600)
    day.override(0.4 * day.rated_w, for_s=60)
    day.run(40)
    assert abs(day.mean_w(10) / day.rated_w - 0.4) < 0.01
    day.run(80)
    assert 0.78 * day.rated_w < day.mean_w(10) <= 0.8 * day.rated_w


def test_a_limit_is_never_planned_above_by_unconfirmed_sheds() -> None:
    day = Day(farm(60, ladders=(ladder("fast"), STOCK))).run(10)
    over: list[float] = []

    def watch() -> None:
        if any(command.reason is Reason.RESTORE for command in day.decision.commands):
            over.append(day.decision.allocation.worst_w - day.decision.budget.ceiling_w)

    for number, share in enumerate(np.array([0.7, 0.3, 0.8, 0.5, 0.9])):
        day.event(f"cap{number}", limit_w=float(share) * day.rated_w, for_s=45)
        day.run(45, watch)
    assert max(over, default=0.0) <= 1.0
