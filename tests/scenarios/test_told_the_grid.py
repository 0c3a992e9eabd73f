"""What telemetry and state tell the grid about the order in force."""

from __future__ import annotations

from farmctl.core.grid import Interval, SiteMode
from farmctl.engine.answer import site_state, telemetry
from farmctl.ports.grid import SiteState, Telemetry
from tests.scenarios.day import Day, farm


def said(day: Day) -> tuple[Telemetry, SiteState]:
    view = day.view()
    state = site_state(view, day.decision, day.memory, signed=True, audit_head="")
    return telemetry(view, day.decision, day.memory), state


def test_a_limit_alone_is_no_set_point_but_governs() -> None:
    day = Day(farm(40)).run(10)
    event = day.event("cap", limit_w=0.6 * day.rated_w)
    day.run(30)
    told, state = said(day)
    assert day.decision.mode is SiteMode.LIMITED
    assert (told.setpoint_w, state.setpoint_w) == (None, None)
    assert (told.limit_w, state.limit_w) == (0.6 * day.rated_w, 0.6 * day.rated_w)
    assert (told.event_id, told.seq) == ("cap", event.seq)


def test_a_set_point_is_told_as_clamped_beside_the_limit_that_clamps_it() -> None:
    day = Day(farm(40)).run(10)
    day.event("run", setpoint_w=0.7 * day.rated_w)
    day.run(30)
    assert {each.setpoint_w for each in said(day)} == {0.7 * day.rated_w}
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(30)
    assert {each.setpoint_w for each in said(day)} == {0.5 * day.rated_w}


def test_an_operators_own_set_point_is_none_of_the_grids() -> None:
    day = Day(farm(40)).run(10)
    day.override(0.3 * day.rated_w)
    day.run(30)
    told, state = said(day)
    assert (told.setpoint_w, state.setpoint_w, told.event_id) == (None, None, "")


def test_an_emergency_that_orders_load_keeps_its_set_point_past_its_expiry() -> None:
    day = Day(farm(40)).run(10)
    event = day.emergency("trip", limit_w=0.5 * day.rated_w, for_s=20)
    day.snapshot()
    day.run(5)
    assert said(day)[0].setpoint_w is None
    first = event.intervals[0]
    ordered = Interval(start_ms=first.start_ms, end_ms=first.end_ms, setpoint_w=0.4 * day.rated_w)
    day.event("load", intervals=(ordered,), event_class=event.event_class, expires_ms=first.end_ms)
    day.run(60)
    assert said(day)[0].setpoint_w == 0.4 * day.rated_w
