"""Stories about the site meter: believed while it is good, replaced by a guarded model when it is gone."""

from __future__ import annotations

import numpy as np

from farmctl.core.fleet import MeterSample
from farmctl.core.model import Quality
from farmctl.core.reasons import Reason
from tests.scenarios.day import Day, farm, ladder


def test_a_meter_that_dies_leaves_an_open_loop_with_a_guard_band_within_10_s() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.7 * day.rated_w)
    day.run(40)
    day.metered = False
    day.run(20)
    assert day.decision.site.quality is Quality.ESTIMATED
    assert day.decision.budget.limit_reason is Reason.METER_LOST_GUARD
    assert 0.64 * day.rated_w < day.mean_w(5) <= 0.95 * 0.7 * day.rated_w


def test_a_meter_that_returns_gives_the_guard_band_back() -> None:
    day = Day(farm(100)).run(10)
    day.event("cap", limit_w=0.7 * day.rated_w)
    day.run(40)
    day.metered = False
    day.run(60)
    day.metered = True
    day.run(60)
    assert 0.69 * day.rated_w < day.mean_w(10) <= 0.7 * day.rated_w


def test_cooling_is_learned_and_counted_without_the_meter() -> None:
    day = Day(farm(100, aux_w=30_000.0)).run(60)
    day.event("low", setpoint_w=0.6 * day.rated_w, for_s=60)
    day.run(60)  # the first settled step shows what follows the load and what does not
    day.metered = False
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(60)
    assert 0.46 * day.rated_w < day.mean_w(10) <= 0.5 * day.rated_w


def test_devices_that_say_10_percent_too_little_do_not_move_the_site_off_its_number() -> None:
    site = farm(200)
    site.bias[:] = 0.9
    day = Day(site).run(30)
    errors = []
    for number, share in enumerate((0.8, 0.6, 0.75, 0.5, 0.9)):
        day.event(f"b{number}", setpoint_w=share * day.rated_w, for_s=300)
        day.run(300)
        errors.append(day.mean_w(240) / day.rated_w - share)
    assert max(abs(e) for e in errors) < 0.01
    assert np.mean(np.abs(errors[1:])) < 0.004


def test_ambient_drift_of_7_percent_in_an_hour_is_followed() -> None:
    day = Day(farm(200)).run(30)
    day.event("run", setpoint_w=0.8 * day.rated_w, for_s=4_000)
    day.run(60)

    def warm() -> None:
        day.farm.warmth += 0.07 / 3_600

    day.run(3_600, warm)
    assert abs(day.mean_w(3_600) / day.rated_w - 0.8) < 0.004
    assert day.peak_w(3_600) < 0.815 * day.rated_w


def test_air_that_warms_fast_is_followed_by_throttling_also_where_sleeping_is_faster() -> None:
    slow_to_trim = ladder("braiins", trim_s=60.0, down_s=5.0, up_s=300.0)
    day = Day(farm(100, ladders=(slow_to_trim,))).run(30)
    day.event("run", setpoint_w=0.75 * day.rated_w, for_s=700)
    day.run(60)
    asleep = int((day.farm.at == 0).sum())

    def warm() -> None:
        day.farm.warmth += 0.07 / 600

    worst = 0.0
    for _ in range(500):
        day.run(1, warm)
        worst = max(worst, abs(day.share / 0.75 - 1.0))
    assert worst < 0.01
    assert int((day.farm.at == 0).sum()) <= asleep


def test_a_noisy_meter_does_not_make_the_fleet_dance() -> None:
    day = Day(farm(100)).run(10)
    day.event("run", setpoint_w=0.7 * day.rated_w, for_s=1_200)
    day.run(60)
    day.meter_noise_w = 0.003 * day.rated_w
    sent = day.commands
    day.run(300)
    assert day.commands - sent <= 150  # half a command a second for a hundred miners
    assert abs(day.mean_w(300) / day.rated_w - 0.7) < 0.005


def test_a_site_without_a_meter_keeps_its_limit_with_honest_devices() -> None:
    day = Day(farm(100), metered=False).run(10)
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(40)
    assert 0.46 * day.rated_w < day.mean_w(10) <= 0.5 * day.rated_w


def test_the_meter_proves_that_silent_miners_of_a_dark_container_are_off() -> None:
    site = farm(100, feeders=2, ladders=(ladder(),))
    day = Day(site).run(10)
    day.event("run", setpoint_w=0.4 * day.rated_w)
    day.run(60)
    site.cut[site.node == 2] = True
    day.run(150)
    assert abs(day.mean_w(20) / day.rated_w - 0.4) < 0.02  # the other container took their share


def test_a_headquarters_without_rows_believes_the_estimate_of_its_sites_and_calls_it_one() -> None:
    day = Day(farm(0), rated_w=1e6)
    day.changes["meter"] = MeterSample(power_w=7_200.0, at_ms=day.now_ms, quality=Quality.ESTIMATED)
    day.run(3)
    site = day.decision.site
    assert (site.power_w, site.metered, site.quality) == (7_200.0, False, Quality.ESTIMATED)
