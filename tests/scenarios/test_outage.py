"""Stories about a grid outage that the meter sees, and about orders that the site itself declines."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from farmctl.core.grid import EventClass, EventPut, EventState, Interval, OnExpiry, OptReason, SiteMode
from farmctl.core.reasons import Reason
from farmctl.meters.supply import Supply, seen
from tests.scenarios.day import Day, farm


def test_an_outage_discards_every_order_and_keeps_the_site_at_its_firm_level_until_the_grid_tells_again() -> None:
    day = Day(farm(60)).run(10)
    kept = day.event("kept", setpoint_w=0.6 * day.rated_w, for_s=3_600)
    day.event("cap", limit_w=0.8 * day.rated_w, for_s=3_600)
    day.told_all_ms = day.now_ms
    day.run(30)
    day.supply_fails()
    day.run(30)
    assert day.decision.budget.limit_reason is Reason.GRID_OUTAGE
    assert {day.state_of(name) for name in ("kept", "cap")} == {EventState.OPTED_OUT}
    day.supply_returns()
    day.run(60)
    assert day.modes[-1:] == [SiteMode.FAILSAFE]
    assert day.mean_w(10) <= 0.25 * day.rated_w
    day.grid_tells_all(kept)
    day.run(60)
    assert day.modes[-1:] == [SiteMode.FOLLOWING]
    assert abs(day.mean_w(10) / day.rated_w - 0.6) < 0.01


def test_the_grid_is_asked_once_when_the_supply_is_back() -> None:
    day = Day(farm(20)).run(10)
    day.supply_fails()
    asked: list[bool] = []
    day.run(20, lambda: asked.append(day.decision.ask_again))
    day.supply_returns()
    day.told_all_ms = -1
    day.run(20, lambda: asked.append(day.decision.ask_again))
    assert [place for place, now in enumerate(asked) if now] == [20]


def test_an_emergency_a_rehearsal_and_a_standing_allocation_outlive_an_outage_and_a_held_limit_does_not() -> None:
    day = Day(farm(40)).run(10)
    day.event("held", limit_w=0.7 * day.rated_w, for_s=20, on_expiry=OnExpiry.HOLD)
    day.run(30)
    assert [limit.event_id for limit in day.memory.held] == ["held"]
    until_ms = day.now_ms + 3_600_000
    granted = Interval(start_ms=day.now_ms, end_ms=until_ms, subscription_w=0.2 * day.rated_w)
    day.event("granted", intervals=(granted,), expires_ms=until_ms, event_class=EventClass.LIMIT)
    day.event("rehearsal", setpoint_w=0.5 * day.rated_w, for_s=3_600, event_class=EventClass.TEST)
    day.emergency("trip", limit_w=0.5 * day.rated_w, for_s=3_600)
    day.run(5)
    day.supply_fails()
    day.run(5)
    live = {track.event.event_id for track in day.memory.tracks if track.live}
    assert live == {"granted", "rehearsal", "trip"}
    assert day.memory.held == ()
    assert day.modes[-1:] == [SiteMode.EMERGENCY]
    assert day.decision.budget.ceiling_w == 0.2 * day.rated_w  # the granted allocation is below the firm level


def test_a_site_that_nobody_orders_about_stays_its_own_master_after_an_outage() -> None:
    day = Day(farm(20), grid_expected=False, standing_w=None).run(10)
    day.supply_fails()
    day.run(10)
    day.supply_returns()
    day.run(60)
    assert day.modes == [SiteMode.AUTONOMOUS]
    assert day.share > 0.97


def test_a_restart_in_the_middle_of_an_outage_still_waits_for_the_grid() -> None:
    day = Day(farm(20)).run(10)
    day.told_all_ms = day.now_ms
    day.supply_fails()
    day.run(10)
    day.supply_returns()
    day.run(5)
    day.restart(off_s=5)
    day.run(60)
    assert day.modes[-1:] == [SiteMode.INIT_FAILSAFE]
    assert day.mean_w(10) <= 0.25 * day.rated_w
    day.grid_tells_all()
    day.run(60)
    assert day.modes[-1:] == [SiteMode.AUTONOMOUS]


@pytest.mark.parametrize(
    ("volts", "power_w", "gone"),
    [
        ((230.0, 0.0, 0.0, 0.0), 0.0, True),
        ((230.0, 5.0, 5.0, 5.0), 0.0, True),
        ((230.0, 0.0, 0.0), 0.0, False),  # a second of darkness
        ((230.0, 120.0, 120.0, 120.0), 0.0, False),  # a sag
        ((230.0, 0.0, 0.0, 0.0), 50_000.0, False),  # a broken voltage register
        ((230.0, 0.0, 0.0, 0.0, math.nan), 0.0, True),  # what was seen holds while nothing is told
        ((230.0, 0.0, 0.0, 0.0, 228.0), 0.0, False),
        ((0.0, 0.0, 0.0, 0.0), 0.0, False),  # a start in the dark: nothing was ever normal
    ],
)
def test_the_supply_is_gone_when_the_meter_shows_neither_volts_nor_watts_for_two_seconds(
    volts: tuple[float, ...], power_w: float, *, gone: bool
) -> None:
    supply = Supply()
    for second, each in enumerate(volts):
        supply = seen(supply, volts=each, power_w=power_w, rated_w=1e6, now_ms=1_000 * second)
    assert supply.gone is gone


def test_a_start_in_the_dark_is_an_outage_where_the_register_states_its_least() -> None:
    supply = Supply()
    for second in range(3):
        supply = seen(supply, volts=0.0, power_w=0.0, rated_w=1e6, now_ms=1_000 * second, least_volts=200.0)
    assert supply.gone


def test_a_declined_order_ends_with_its_reason_and_is_not_revived_by_a_snapshot_that_lists_it() -> None:
    day = Day(farm(40)).run(10)
    event = day.event("run", setpoint_w=0.6 * day.rated_w, for_s=600)
    day.run(30)
    day.opt_out("run", OptReason.MUST_RUN, "heat for the greenhouse")
    day.run(1)
    (ack,) = day.decision.acks
    assert (ack.state, ack.code, ack.reason) == (EventState.OPTED_OUT, 4, "mustRun: heat for the greenhouse")
    for _ in range(5):
        day.run(30)
        day.snapshot(event)
    day.run(1)
    assert day.state_of("run") is EventState.OPTED_OUT
    assert day.share > 0.97
    day.inbox.append(EventPut(event=replace(event, seq=999)))
    day.run(30)
    assert day.state_of("run") is EventState.REACHED  # a new order of the grid is a new order


def test_a_superseded_order_stays_so_while_a_snapshot_lists_it() -> None:
    day = Day(farm(40)).run(10)
    loser = day.event("loser", setpoint_w=0.8 * day.rated_w, for_s=900, priority=20)
    day.run(5)
    winner = day.event("winner", setpoint_w=0.5 * day.rated_w, for_s=120, priority=5)
    day.run(90)
    day.snapshot(loser, winner)
    day.run(120)
    assert day.state_of("loser") is EventState.SUPERSEDED
    assert day.share > 0.97


def test_an_emergency_cannot_be_declined() -> None:
    day = Day(farm(20)).run(10)
    day.emergency("trip")
    day.run(5)
    day.opt_out("trip")
    day.run(10)
    assert day.modes[-1:] == [SiteMode.EMERGENCY]
