"""Stories about machines that only stop and start, or restart to change their mode: a fleet of whole steps."""

from __future__ import annotations

import pytest

from benchmarks.track import FALLING, coarse
from farmctl.core.units import IntColumn
from tests.scenarios.day import Day, Farm, farm, ladder

MODES = ladder("modes", throttle=(80,), down_s=60.0, up_s=60.0, trim_s=300.0)


def _site(miners: int = 30) -> Farm:
    return farm(miners, ladders=(MODES,))


def _restarts(day: Day, start: IntColumn) -> int:
    """Commands that moved a machine from one awake point to another."""
    step, count = start.copy(), 0
    for _, row, told in day.sent:
        count += int(0 < told != step[row] > 0)
        step[row] = told
    return count


@pytest.mark.parametrize("meter_lost", [False, True])
def test_falling_base_points_are_followed_by_sleeping_not_by_restarting_whole_rows_of_machines(
    meter_lost: bool,  # noqa: FBT001 - a parameter of the story
) -> None:
    error = coarse(100, meter_lost=meter_lost)
    one_machine = 100.0 / (100 * FALLING[-1])
    assert error.mean <= 0.5
    assert error.p95 <= one_machine  # it was 20 %: those that were to give up a fifth gave up all for minutes
    assert error.end <= 1.0


def test_in_warming_air_machines_that_are_still_waking_give_way_before_those_that_run() -> None:
    error = coarse(100, drift=True, meter_lost=True)
    assert error.mean <= 0.5
    assert error.end <= 1.0


def test_a_set_point_restarts_nobody_who_may_not_sleep_yet_and_a_limit_does() -> None:
    for limited in (False, True):
        site = _site()
        day = Day(site, min_on_s=600.0)
        day.table.uptime_s[:] = 0.0  # they have just started
        day.run(10)
        top = site.at.copy()
        want_w = 0.95 * day.rated_w
        day.event("less", limit_w=want_w if limited else None, setpoint_w=None if limited else want_w)
        day.run(60)
        assert (_restarts(day, top) > 0) is limited
        assert day.commands > 0 if limited else day.commands == 0
    assert day.power_w <= want_w


def test_no_process_is_restarted_in_place_of_a_sleeper_that_waits_for_its_feeders_packet() -> None:
    site = _site()
    site.at[:15], site.at[15:] = 1, 0
    site.true_w = site.heading_w()
    now_w = float(site.true_w.sum())
    day = Day(site, wake_fraction_per_s=0.005)
    day.changes["may_raise"] = False  # until everybody was heard
    day.run(10)
    assert day.commands == 0
    del day.changes["may_raise"]
    start = site.at.copy()
    day.event("more", setpoint_w=now_w + 12 * MODES.points[-1].power_w, for_s=900)
    day.run(60)
    assert _restarts(day, start) == 0
    assert (site.at[15:] > 0).sum() >= 5
