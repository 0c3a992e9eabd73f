"""Stories about several events, emergencies, prices and schedules that meet."""

from __future__ import annotations

import pytest

from farmctl.core.grid import (
    LOWEST_PRIORITY,
    MARKET_PRIORITY,
    PLAN_PRIORITY,
    EventClass,
    EventState,
    Interval,
    SiteMode,
    SnapshotPut,
)
from farmctl.core.reasons import Reason
from tests.scenarios.day import Day, farm, ladder


def test_the_lower_priority_number_wins_and_the_loser_is_superseded() -> None:
    day = Day(farm(100)).run(10)
    day.event("first", setpoint_w=0.7 * day.rated_w, priority=5)
    day.run(5)
    day.event("better", setpoint_w=0.5 * day.rated_w, priority=1)
    day.run(40)
    assert abs(day.mean_w(10) / day.rated_w - 0.5) < 0.01
    assert ("first", EventState.SUPERSEDED) in day.acks


def test_a_later_event_of_worse_priority_does_not_win() -> None:
    day = Day(farm(100)).run(10)
    day.event("first", setpoint_w=0.7 * day.rated_w, priority=1)
    day.run(5)
    day.event("worse", setpoint_w=0.5 * day.rated_w, priority=5)
    day.run(40)
    assert abs(day.mean_w(10) / day.rated_w - 0.7) < 0.01


def test_among_equals_the_newest_wins() -> None:
    day = Day(farm(100)).run(10)
    day.event("old", setpoint_w=0.7 * day.rated_w)
    day.run(5)
    day.event("new", setpoint_w=0.6 * day.rated_w)
    day.run(40)
    assert abs(day.mean_w(10) / day.rated_w - 0.6) < 0.01


def test_a_plan_or_a_market_without_a_priority_never_supersedes_the_grid_s_own_however_new_it_is() -> None:
    day = Day(farm(100)).run(10)
    day.event("grid", setpoint_w=0.5 * day.rated_w, priority=LOWEST_PRIORITY)
    day.run(5)
    day.event("market", setpoint_w=0.8 * day.rated_w, priority=MARKET_PRIORITY)
    day.event("plan", setpoint_w=0.7 * day.rated_w, priority=PLAN_PRIORITY)
    day.run(40)
    assert abs(day.mean_w(10) / day.rated_w - 0.5) < 0.01
    assert day.state_of("grid") is EventState.REACHED


def test_a_loser_with_a_limit_stays_for_its_limit() -> None:
    day = Day(farm(100)).run(10)
    day.event("capped", setpoint_w=0.3 * day.rated_w, limit_w=0.5 * day.rated_w, priority=9)
    day.run(5)
    day.event("more", setpoint_w=0.8 * day.rated_w, priority=1)
    day.run(60)
    assert 0.48 * day.rated_w < day.mean_w(10) <= 0.5 * day.rated_w
    assert day.state_of("capped") is EventState.REACHED


def test_contiguous_intervals_hand_over_without_a_release_in_between() -> None:
    day = Day(farm(100)).run(10)
    at = day.now_ms
    day.event(
        "steps",
        intervals=(
            Interval(start_ms=at, end_ms=at + 60_000, setpoint_w=0.5 * day.rated_w),
            Interval(start_ms=at + 60_000, end_ms=at + 120_000, setpoint_w=0.4 * day.rated_w),
        ),
        expires_ms=at + 120_000,
    )
    day.run(50)
    peaks: list[float] = []
    day.run(40, lambda: peaks.append(day.power_w))
    assert max(peaks) <= 0.505 * day.rated_w
    assert abs(day.mean_w(10) / day.rated_w - 0.4) < 0.01


def test_a_scheduled_event_waits_for_its_start() -> None:
    day = Day(farm(50)).run(10)
    day.event("later", setpoint_w=0.5 * day.rated_w, starts_in_s=60)
    day.run(50)
    assert day.state_of("later") is EventState.SCHEDULED
    assert day.share > 0.98
    day.run(40)
    assert abs(day.share - 0.5) < 0.02


def test_a_test_event_never_actuates() -> None:
    day = Day(farm(50), rated_w=1e6, standing_w=1e6).run(10)
    sent = day.commands
    day.event("drill", limit_w=0.0, event_class=EventClass.TEST, for_s=30)
    day.run(60)
    assert day.commands == sent
    assert ("drill", EventState.COMPLETED) in day.acks


def test_an_emergency_latches_through_its_end_and_needs_a_release() -> None:
    day = Day(farm(60), min_on_s=600.0).run(10)
    day.emergency("trip", for_s=30)
    day.run(20)
    assert day.power_w <= 60 * 40.0
    day.run(600)
    assert day.modes[-1:] == [SiteMode.EMERGENCY]
    day.withdraw("trip")
    day.run(30)
    assert day.modes[-1:] == [SiteMode.EMERGENCY]
    day.snapshot()
    day.run(30)
    assert day.modes[-1:] == [SiteMode.EMERGENCY]
    day.withdraw("trip", release=True)
    day.run(90)
    assert day.modes[-2:] == [SiteMode.EMERGENCY, SiteMode.AUTONOMOUS]
    assert day.share > 0.95


def test_the_recovery_of_an_emergency_is_ramped() -> None:
    day = Day(farm(100), ramp_up_w_per_s=1_000.0).run(10)
    day.emergency("trip")
    day.run(30)
    day.withdraw("trip", release=True)
    day.run(60)
    assert day.power_w <= 4_000.0 + 61_000.0 + 5_000.0 + 2 * 3_400.0


def test_an_emergency_takes_protected_and_freshly_woken_miners_too() -> None:
    site = farm(40)
    site.asleep()
    day = Day(site, min_on_s=3_600.0)
    day.table.protected[:20] = True
    day.run(90)
    assert day.share > 0.95
    day.emergency("trip")
    day.run(20)
    assert day.power_w <= 40 * 40.0


def test_an_emergency_ignores_the_down_ramp_of_other_events() -> None:
    day = Day(farm(50)).run(10)
    day.event("slow", setpoint_w=0.2 * day.rated_w, ramp_down_w_per_s=100.0)
    day.run(5)
    day.emergency("trip")
    day.run(15)
    assert day.power_w <= 50 * 40.0


def test_a_stated_down_ramp_is_kept() -> None:
    day = Day(farm(100)).run(10)
    day.event("slow", setpoint_w=0.4 * day.rated_w, ramp_down_w_per_s=2_000.0)
    start = day.power_w
    day.run(50)
    assert abs(day.power_w - (start - 50 * 2_000.0)) < 0.03 * day.rated_w
    day.run(80)
    assert abs(day.mean_w(10) / day.rated_w - 0.4) < 0.01


def test_the_sites_own_ramp_paces_a_set_point_but_never_a_limit() -> None:
    day = Day(farm(100), ramp_down_w_per_s=1_000.0).run(20)
    before = day.power_w
    day.event("target", setpoint_w=0.5 * day.rated_w, for_s=300)
    day.run(60)
    assert before - day.power_w == pytest.approx(60_000.0, rel=0.1)
    day.event("cap", limit_w=0.55 * day.rated_w, for_s=300)
    day.run(20)
    assert day.power_w <= 0.56 * day.rated_w


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_randomised_limit_never_raises_load_before_the_stated_end(seed: int) -> None:
    day = Day(farm(60)).run(10)
    day.changes["seed"] = seed
    day.event("cap", limit_w=0.4 * day.rated_w, for_s=120, starts_in_s=60, randomize_start_s=30.0)
    day.run(1)
    track = next(t for t in day.memory.tracks if t.event.event_id == "cap")
    assert track.event.shift_ms != 0
    assert track.event.intervals[-1].end_ms >= day.now_ms + 179_000
    day.run(175)
    assert day.mean_w(5) <= 0.4 * day.rated_w


def test_an_update_that_lowers_the_number_is_followed_under_the_same_id() -> None:
    day = Day(farm(100)).run(10)
    day.event("run", setpoint_w=0.8 * day.rated_w)
    day.run(30)
    day.event("run", setpoint_w=0.6 * day.rated_w)
    day.run(40)
    assert abs(day.mean_w(10) / day.rated_w - 0.6) < 0.01
    assert day.acks.count(("run", EventState.ACCEPTED)) == 2


def test_a_snapshot_without_an_event_cancels_it() -> None:
    day = Day(farm(60)).run(10)
    day.event("cap", limit_w=0.3 * day.rated_w)
    day.run(30)
    day.snapshot()
    day.run(60)
    assert ("cap", EventState.CANCELLED) in day.acks
    assert day.share > 0.97


def test_an_expired_event_is_told_so_and_never_acts() -> None:
    day = Day(farm(50), rated_w=1e6, standing_w=1e6).run(10)
    sent = day.commands
    day.event("stale", setpoint_w=0.2 * day.rated_w, expires_ms=day.now_ms - 1_000)
    day.run(20)
    assert ("stale", EventState.EXPIRED) in day.acks
    assert day.commands == sent


def test_a_set_point_that_flaps_every_10_s_is_followed_by_throttling_not_by_sleep() -> None:
    day = Day(farm(100)).run(10)
    began = len(day.sent)
    for number in range(12):
        day.event(f"p{number}", setpoint_w=(0.9 if number % 2 else 0.7) * day.rated_w, for_s=10)
        day.run(10)
    assert not [entry for entry in day.sent[began:] if entry[2] == 0]
    assert abs(day.mean_w(5) / day.rated_w - 0.9) < 0.02


def test_repeated_signals_do_not_reshuffle_the_fleet() -> None:
    day = Day(farm(100), refine_fraction_per_min=0.0).run(10)
    day.event("a", setpoint_w=0.8 * day.rated_w)
    day.run(40)
    sent = day.commands
    for number in range(5):
        day.event(f"again{number}", setpoint_w=0.8 * day.rated_w)
        day.run(10)
    assert day.commands - sent <= 3


def test_a_shortfall_is_reported_when_miners_are_protected() -> None:
    day = Day(farm(40))
    day.table.protected[:20] = True
    day.run(10)
    day.event("cap", limit_w=0.2 * day.rated_w, for_s=100)
    day.run(60)
    assert 0.45 * day.rated_w < day.mean_w(10) < 0.55 * day.rated_w
    assert day.state_of("cap") is EventState.DEVIATING
    assert Reason.PROTECTED not in day.reasons()  # a protected miner at full has nothing to explain
    day.run(60)
    assert ("cap", EventState.FAILED) in day.acks


def test_slow_and_fast_share_a_set_point_so_that_it_is_met_exactly() -> None:
    stock = ladder("stock", throttle=False, down_s=30.0, up_s=120.0)
    day = Day(farm(100, ladders=(ladder("fast"), stock))).run(10)
    day.event("run", setpoint_w=0.35 * day.rated_w, for_s=900)
    day.run(120)
    assert abs(day.mean_w(20) / day.rated_w - 0.35) < 0.005


def test_sites_do_not_rise_at_once_after_a_release() -> None:
    began: list[int] = []
    for seed in range(1, 6):
        day = Day(farm(30), release_jitter_s=100.0)
        day.changes["seed"] = seed
        day.run(10)
        day.event("cap", limit_w=0.3 * day.rated_w, for_s=40)
        day.run(180)
        rises = [at for at, _, step in day.sent if step > 0 and at > day.now_ms - 140_000]
        began.append(min(rises))
        assert day.share > 0.95
    assert len(set(began)) >= 4
    assert max(began) - min(began) > 20_000


def test_the_next_order_is_followed_at_once_whatever_the_release_would_have_waited() -> None:
    day = Day(farm(60), release_jitter_s=1_800.0).run(10)
    day.event("low", setpoint_w=0.4 * day.rated_w, for_s=40)
    day.run(50)
    day.event("more", setpoint_w=0.8 * day.rated_w)
    day.run(50)
    assert abs(day.share - 0.8) < 0.02


def test_a_snapshot_that_no_longer_lists_what_has_just_ended_cancels_nothing() -> None:
    day = Day(farm(20))
    day.event("short", setpoint_w=0.7 * day.rated_w, for_s=40)
    day.run(39)
    day.now_ms += 900
    day.inbox.append(SnapshotPut(source="grid", msg_id="later", epoch=1, seq=99, events=()))
    day.run(3)
    assert ("short", EventState.COMPLETED) in day.acks
    assert ("short", EventState.CANCELLED) not in day.acks


def test_orders_that_hand_over_with_a_gap_do_not_make_the_site_rise_in_between() -> None:
    day = Day(farm(40))
    day.event("first", setpoint_w=0.6 * day.rated_w, for_s=40)
    day.run(35)
    day.event("second", setpoint_w=0.58 * day.rated_w, for_s=60, starts_in_s=6.5)
    day.run(4)
    sent = day.commands
    day.run(2)  # the first is over, the second not yet there
    assert day.state_of("first") is EventState.COMPLETED
    assert day.commands == sent
    assert day.power_w <= 0.62 * day.rated_w
