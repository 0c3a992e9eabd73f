"""Stories about a link that dies: loss of anything never raises load."""

from __future__ import annotations

import pytest

from farmctl.core.grid import SiteMode
from farmctl.core.reasons import Reason
from tests.scenarios.day import Day, farm


def test_a_grid_that_falls_silent_ends_at_the_firm_level_not_at_full_load() -> None:
    day = Day(farm(100)).run(10)
    day.event("run", setpoint_w=0.8 * day.rated_w, for_s=3_600)
    day.run(30)
    day.grid_falls_silent()
    day.run(50)
    assert abs(day.mean_w(10) / day.rated_w - 0.8) < 0.01  # still holding
    day.run(75)
    assert day.decision.mode is SiteMode.FAILSAFE
    assert day.mean_w(10) <= 0.25 * day.rated_w
    assert day.decision.budget.limit_reason is Reason.SIGNAL_STALE


def test_fail_safe_is_the_configured_level_not_the_last_limit() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.6 * day.rated_w, for_s=3_600)
    day.run(30)
    day.grid_falls_silent()
    day.run(130)
    assert day.decision.budget.ceiling_w == day.rules.failsafe_limit_w


def test_a_received_limit_below_the_firm_level_still_counts_in_fail_safe() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.1 * day.rated_w, for_s=3_600)
    day.run(30)
    day.grid_falls_silent()
    day.run(130)
    assert day.mean_w(10) <= 0.1 * day.rated_w


def test_limits_do_not_stay_forever_when_the_link_drops() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.1 * day.rated_w, for_s=90)
    day.run(30)
    day.grid_falls_silent()
    day.run(200)  # the event ended: the ladder's own level is left
    assert day.decision.budget.ceiling_w == day.rules.failsafe_limit_w
    assert day.mean_w(10) <= 0.25 * day.rated_w


def test_by_agreement_a_received_limit_above_the_firm_level_is_followed_to_its_end_and_never_upwards() -> None:
    day = Day(farm(100), follows_schedule=True).run(10)
    day.event("high", limit_w=0.6 * day.rated_w, for_s=200)
    day.run(30)
    day.grid_falls_silent()
    before = len(day.sent)
    day.run(150)
    assert day.decision.mode is SiteMode.FAILSAFE
    assert 0.5 < day.mean_w(10) / day.rated_w <= 0.6
    assert not [entry for entry in day.sent[before:] if entry[2] > 0 and entry[0] > day.now_ms - 60_000]
    day.run(90)
    assert day.decision.budget.ceiling_w == day.rules.failsafe_limit_w
    assert day.mean_w(10) <= 0.25 * day.rated_w


def test_nothing_rises_while_the_signal_is_lost() -> None:
    day = Day(farm(100)).run(10)
    day.event("low", setpoint_w=0.1 * day.rated_w, for_s=100)
    day.run(30)
    day.grid_falls_silent()
    before = len(day.sent)
    peak = day.power_w
    day.run(300)  # the set-point expires, the limit would allow 25 %
    assert day.peak_w(290) <= peak + 1.0
    assert not [entry for entry in day.sent[before:] if entry[2] > 0]


def test_fail_safe_is_left_only_when_the_recovery_test_passes() -> None:
    day = Day(farm(100)).run(10)
    day.grid_falls_silent()
    day.run(120)
    day.grid_returns(confirmed=False)
    day.run(60)
    assert day.modes[-1] is SiteMode.FAILSAFE
    assert day.mean_w(10) <= 0.25 * day.rated_w
    day.grid_returns(confirmed=True)
    day.run(90)
    assert day.modes[-2:] == [SiteMode.FAILSAFE, SiteMode.AUTONOMOUS]
    assert day.share > 0.97


def test_the_return_from_fail_safe_is_ramped() -> None:
    day = Day(farm(100), ramp_up_w_per_s=1_000.0).run(10)
    day.grid_falls_silent()
    day.run(130)
    low = day.power_w
    day.grid_returns()
    day.run(60)
    assert day.power_w <= low + 61_000.0 + 2 * 3_400.0


def test_a_flickering_link_does_not_throw_the_site_about() -> None:
    day = Day(farm(100), refine_fraction_per_min=0.0).run(10)
    day.event("run", setpoint_w=0.7 * day.rated_w, for_s=3_600)
    day.run(30)
    sent = day.commands
    for _ in range(6):
        day.link_alive = False
        day.run(25)
        day.link_alive = True
        day.run(5)
    assert day.commands - sent <= 3
    assert abs(day.mean_w(60) / day.rated_w - 0.7) < 0.01


def test_boot_waits_for_the_retained_snapshot_before_it_lowers_anything() -> None:
    day = Day(farm(100), rated_w=1e6, standing_w=1e6, failsafe_limit_w=85_000.0)
    day.link_confirmed = False
    day.memory = day.memory.rebooted(day.now_ms)
    day.run(12)
    assert day.commands == 0
    assert day.decision.mode is SiteMode.INIT_FAILSAFE
    day.run(60)
    assert day.mean_w(10) <= 0.25 * day.rated_w


def test_boot_raises_nothing_before_the_link_is_confirmed() -> None:
    site = farm(100)
    site.asleep()
    day = Day(site)
    day.link_confirmed = False
    day.memory = day.memory.rebooted(day.now_ms)
    day.run(300)
    assert day.commands == 0
    day.link_confirmed = True
    day.run(60)
    assert day.share > 0.9


def test_the_ramp_starts_where_the_site_is_when_boot_fail_safe_ends() -> None:
    site = farm(100)
    site.asleep()
    day = Day(site, ramp_up_w_per_s=1_000.0)
    day.link_confirmed = False
    day.memory = day.memory.rebooted(day.now_ms)
    day.run(300)
    day.link_confirmed = True
    day.run(60)
    assert day.power_w <= 4_000.0 + 60_000.0 + 5_000.0 + 2 * 3_400.0  # a minute of ramp, a packet, a miner


def test_a_site_without_a_grid_is_its_own_master() -> None:
    site = farm(20)
    site.asleep()
    day = Day(site, grid_expected=False, standing_w=None).run(60)
    assert day.decision.mode is SiteMode.AUTONOMOUS
    assert day.share > 0.97


def test_an_emergency_survives_the_loss_of_the_link() -> None:
    day = Day(farm(50)).run(10)
    day.emergency("trip")
    day.run(20)
    day.grid_falls_silent()
    day.run(200)
    assert day.decision.mode is SiteMode.EMERGENCY
    assert day.power_w <= 50 * 40.0


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_set_point_is_held_until_its_end_when_the_link_is_lost_if_it_is_below_the_firm_level(share: float) -> None:
    day = Day(farm(100)).run(10)
    day.event("run", setpoint_w=share * day.rated_w, for_s=3_600)
    day.run(30)
    day.grid_falls_silent()
    day.run(200)
    assert abs(day.mean_w(10) / day.rated_w - min(share, 0.25)) < 0.01
    if share < 0.25:
        assert day.decision.budget.reason is Reason.HOLDING_SCHEDULE


def test_an_override_at_boot_does_not_pass_the_fail_safe_limit() -> None:
    site = farm(100)
    site.asleep()
    day = Day(site)
    day.link_confirmed = False
    day.memory = day.memory.rebooted(day.now_ms)
    day.override(0.9 * day.rated_w, for_s=100)
    day.run(90)
    assert day.peak_w(90) <= 0.25 * day.rated_w
    assert day.mean_w(10) > 0.2 * day.rated_w  # an operator may raise, up to the firm level
    day.run(60)
    assert day.modes[-1] is SiteMode.FAILSAFE


def test_an_emergency_released_before_the_link_is_confirmed_leaves_the_site_in_fail_safe() -> None:
    day = Day(farm(60)).run(10)
    day.emergency("trip")
    day.run(20)
    day.restart(off_s=5)
    day.link_confirmed = False
    day.run(30)
    day.withdraw("trip", release=True)
    day.run(60)
    assert day.modes[-1] is SiteMode.FAILSAFE
    assert day.share < 0.05
