"""Stories about the operator, the controller's own death, and the clock."""

from __future__ import annotations

from farmctl.core.grid import EventState, SiteMode
from farmctl.core.reasons import Reason
from tests.scenarios.day import Day, farm


def test_stop_all_takes_everything_down_and_keeps_it_down() -> None:
    day = Day(farm(60), min_on_s=3_600.0).run(10)
    day.event("run", setpoint_w=0.9 * day.rated_w)
    day.run(10)
    day.changes["stop_all"] = True
    day.run(20)
    assert day.power_w <= 60 * 40.0
    assert Reason.STOP_ALL in day.reasons()
    day.run(120)
    assert day.power_w <= 60 * 40.0


def test_maintenance_starts_nothing_but_still_sheds() -> None:
    day = Day(farm(60)).run(10)
    day.event("low", setpoint_w=0.3 * day.rated_w, for_s=60)
    day.run(40)
    day.changes["maintenance"] = True
    asleep = int((day.farm.at == 0).sum())
    day.run(120)
    assert int((day.farm.at == 0).sum()) >= asleep
    assert day.decision.mode is SiteMode.MAINTENANCE
    day.event("lower", limit_w=0.1 * day.rated_w)
    day.run(40)
    assert day.power_w <= 0.1 * day.rated_w


def test_the_end_of_maintenance_is_ramped_like_any_release() -> None:
    day = Day(farm(60), ramp_up_w_per_s=500.0).run(10)
    day.event("zero", limit_w=0.0, for_s=30)
    day.run(20)
    day.changes["maintenance"] = True
    day.run(300)
    day.changes["maintenance"] = False
    day.run(60)
    assert day.power_w <= 2_400.0 + 30_500.0 + 2_500.0 + 2 * 3_400.0


def test_protected_miners_keep_running_through_a_limit() -> None:
    day = Day(farm(60))
    day.table.protected[:6] = True
    day.run(10)
    day.event("cap", limit_w=0.3 * day.rated_w)
    day.run(40)
    assert (day.farm.true_w[:6] > 3_300).all()
    assert day.mean_w(10) <= 0.3 * day.rated_w


def test_observe_mode_decides_and_sends_nothing() -> None:
    day = Day(farm(60))
    day.changes["armed"] = False
    day.run(10)
    day.event("zero", limit_w=0.0)
    day.run(30)
    assert day.commands == 0
    assert day.decision.budget.target_w == 0.0
    assert (day.decision.allocation.step == 0).all()


def test_a_full_disk_stops_raising_and_lets_lowering_go_on() -> None:
    day = Day(farm(60)).run(10)
    day.event("low", setpoint_w=0.5 * day.rated_w, for_s=20)
    day.run(15)
    day.changes["may_raise"] = False
    day.run(60)
    assert day.share < 0.52
    day.event("lower", limit_w=0.2 * day.rated_w)
    day.run(30)
    assert day.share <= 0.2


def test_a_restart_in_mid_event_goes_on_without_a_new_meaning() -> None:
    day = Day(farm(60), refine_fraction_per_min=0.0).run(10)
    day.event("run", setpoint_w=0.6 * day.rated_w, for_s=600)
    day.run(60)
    sent = day.commands
    day.restart(off_s=20)
    day.run(60)
    assert day.state_of("run") is EventState.REACHED
    assert abs(day.mean_w(60) / day.rated_w - 0.6) < 0.01
    assert day.commands - sent <= 3


def test_a_restart_while_miners_boot_does_not_command_them_twice() -> None:
    site = farm(60)
    site.asleep()
    day = Day(site).run(5)
    day.event("run", setpoint_w=0.6 * day.rated_w, for_s=600)
    day.run(5)
    day.restart(off_s=3)
    again: list[int] = []

    def watch() -> None:
        rows = [day.row(command.miner) for command in day.decision.commands]
        again.extend(row for row in rows if 0.1 < site.true_w[row] / 3_400.0 < 0.35)

    day.run(60, watch)
    assert again == []
    assert abs(day.mean_w(10) / day.rated_w - 0.6) < 0.01


def test_minimum_off_time_survives_a_restart() -> None:
    day = Day(farm(30), min_off_s=300.0).run(10)
    day.event("zero", limit_w=0.0, for_s=20)
    day.run(40)
    day.restart(off_s=10)
    day.run(200)
    assert day.share < 0.05
    assert Reason.MIN_OFF in day.reasons()
    day.run(150)
    assert day.share > 0.9


def test_minimum_on_time_is_kept_by_throttling_the_young_and_sleeping_the_old() -> None:
    site = farm(40)
    site.asleep()
    day = Day(site, min_on_s=600.0).run(60)
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(60)
    assert not [entry for entry in day.sent if entry[2] == 0]
    assert day.mean_w(10) <= 0.5 * day.rated_w


def test_a_clock_that_jumps_an_hour_ahead_ends_events_and_raises_no_load_at_once() -> None:
    day = Day(farm(60), ramp_up_w_per_s=1_000.0).run(10)
    day.event("low", limit_w=0.2 * day.rated_w, for_s=600)
    day.run(40)
    day.now_ms += 3_600_000
    day.run(3)
    assert day.power_w <= 0.2 * day.rated_w + 20_000.0


def test_a_clock_that_steps_back_ten_seconds_stops_nothing() -> None:
    day = Day(farm(60)).run(30)
    day.now_ms -= 10_000
    day.event("cap", limit_w=0.4 * day.rated_w)
    day.run(40)
    assert day.mean_w(10) <= 0.4 * day.rated_w


def test_an_operator_may_lower_below_a_set_point_and_gives_it_back() -> None:
    day = Day(farm(60)).run(10)
    day.event("run", setpoint_w=0.8 * day.rated_w, for_s=600)
    day.override(0.3 * day.rated_w, for_s=40)
    day.run(30)
    assert abs(day.share - 0.3) < 0.02
    day.run(60)
    assert abs(day.mean_w(10) / day.rated_w - 0.8) < 0.01
    assert day.state_of("run") is not EventState.SUPERSEDED
