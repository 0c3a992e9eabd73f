"""Alarms of whole days: planned sleep is quiet, a dead switch is one alarm, a cut feeder is one parent."""

from __future__ import annotations

import asyncio

import numpy as np

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.desk import AlarmDesk
from farmctl.alarms.watches.stall import StallWatch
from farmctl.core.alarms import Alarm, AlarmState
from farmctl.ports.control import By
from tests.control.glasshouse import Glasshouse
from tests.scenarios.day import farm, ladder


def raised(house: Glasshouse) -> list[Alarm]:
    return list(house.alarms.board.active)


def test_five_thousand_miners_put_to_sleep_by_an_order_raise_no_alarm() -> None:
    house = Glasshouse(farm(5_000, ladders=(ladder(),), feeders=4), poll_s=2.0).run(5)
    house.day.event("night", setpoint_w=0.0, for_s=900)
    house.run(180)
    assert house.shown.decision.seen.rows.wanted.max() == 0
    assert raised(house) == []
    assert not house.alarms.board.raised


def test_a_dead_switch_raises_one_alarm_that_carries_its_miners() -> None:
    house = Glasshouse(farm(1_000, ladders=(ladder(),), feeders=2), containers_of=200).run(5)
    house.day.farm.silent[400:596] = True
    house.run(240)
    found = raised(house)
    assert [(alarm.alarm, alarm.where, alarm.n) for alarm in found] == [("container_offline", "C002", 196)]
    assert found[0].first_out
    house.day.farm.silent[:] = False
    house.run(60)
    assert [alarm.state.value for alarm in house.alarms.board.listed] == ["RTN_UNACK"]


def test_a_cut_feeder_during_an_event_raises_one_parent() -> None:
    house = Glasshouse(farm(500, ladders=(ladder(),), feeders=10), containers_of=25).run(5)
    house.day.event("evening", limit_w=0.95 * house.day.rated_w, for_s=1_800)
    house.run(60)
    feeder = int(house.day.farm.node[0])
    house.day.farm.silent[house.day.farm.node == feeder] = True
    house.run(240)
    causes = [alarm for alarm in raised(house) if alarm.alarm == "container_offline"]
    assert [(alarm.where, alarm.n) for alarm in causes] == [(house.day.farm.tree.names[feeder], 50)]
    assert not [alarm for alarm in raised(house) if alarm.alarm == "poll_failures"]


def test_a_cycle_that_stands_still_is_told_by_the_task_beside_it_and_changes_no_other_alarm() -> None:
    house = Glasshouse(farm(20, ladders=(ladder(),))).run(5)
    house.day.emergency("trip")
    house.run(5)
    watch = StallWatch(
        clock=house.clock,
        last_cycle_ms=lambda: house.day.now_ms,
        late_s=lambda: 0.0,
        interval_s=5.0,
        observe=house.alarms.observe,
        alone=house.alarms.alone,
    )
    before = raised(house)
    for _ in range(20):
        house.clock.ahead_ms += 1_000
        watch.look()
    found = {alarm.alarm: alarm for alarm in raised(house)}
    assert found.pop("cycle_stalled").detail == "the last control cycle is 20 s old"
    assert list(found.values()) == before
    house.day.now_ms += house.clock.ahead_ms
    house.clock.ahead_ms = 0
    house.run(2)
    states = {alarm.alarm: alarm.state for alarm in house.alarms.board.listed}
    assert states["cycle_stalled"] is AlarmState.RTN_UNACK


def test_a_sweep_that_does_not_get_round_is_told() -> None:
    house = Glasshouse(farm(20, ladders=(ladder(),))).run(5)
    watch = StallWatch(
        clock=house.clock,
        last_cycle_ms=lambda: house.day.now_ms,
        late_s=lambda: 16.0,
        interval_s=5.0,
        observe=house.alarms.observe,
        alone=house.alarms.alone,
    )
    watch.look()
    house.run(12)
    assert [(alarm.alarm, alarm.detail[:18]) for alarm in raised(house)] == [("cycle_stalled", "a poll is 16 s lat")]


def test_a_few_silent_miners_are_no_alarm() -> None:
    house = Glasshouse(farm(1_000, ladders=(ladder(),), feeders=2), containers_of=200).run(5)
    house.day.farm.silent[::50] = True
    house.run(240)
    assert [a.alarm for a in raised(house)] == []


async def test_the_board_survives_a_restart_with_its_owners() -> None:
    house = Glasshouse(farm(100, ladders=(ladder(),), feeders=2)).run(5)
    house.day.grid_falls_silent()
    house.run(45)
    records, states = house.alarms.drain()
    await house.store.append(list(records), states)
    assert [record.body["alarm"] for record in records] == ["signal_stale@site"]
    again = AlarmDesk(house.store, house.clock, CATALOGUE, lambda: None)
    await again.restore()
    assert again.board == house.alarms.board
    assert again.board.active


def test_a_container_in_maintenance_that_falls_silent_is_out_of_service() -> None:
    house = Glasshouse(farm(200, ladders=(ladder(),), feeders=2), containers_of=20).run(5)
    by = By(owner="kim", reason="new fans")
    asyncio.run(house.desk.set_maintenance(by, on=True, containers=["C003"]))
    house.run(5)
    house.day.farm.silent[60:80] = True
    house.run(240)
    assert raised(house) == []
    hidden = [alarm for alarm in house.alarms.board.listed if alarm.state is AlarmState.OUT_OF_SERVICE]
    assert [(alarm.key, alarm.n, alarm.note) for alarm in hidden] == [("container_offline@C003", 20, "maintenance")]
    asyncio.run(house.desk.set_maintenance(by, on=False, containers=["C003"]))
    house.run(240)
    assert [alarm.key for alarm in raised(house)] == ["container_offline@C003"]


def test_a_site_without_plan_or_standing_allocation_says_so_while_its_grid_is_heard() -> None:
    house = Glasshouse(farm(100, ladders=(ladder(),), feeders=2), standing_w=None).run(120)
    assert [alarm.key for alarm in raised(house)] == ["plan_expired@site"]
    house.day.event("plan", setpoint_w=0.8 * house.day.rated_w, for_s=900)
    house.run(60)
    assert raised(house) == []


def test_commands_that_fail_ring_by_their_share_of_five_minutes_before_anybody_is_given_up() -> None:
    house = Glasshouse(farm(400, ladders=(ladder(),), feeders=2)).run(5)
    house.day.farm.deaf[:40] = True
    house.day.event("evening", setpoint_w=0.0, for_s=1_800)
    began_ms = house.day.now_ms
    while not (found := [alarm for alarm in raised(house) if alarm.alarm == "command_failures"]):
        house.run(1)
        assert house.day.now_ms - began_ms < 300_000
    assert "commands in 5 min were not followed (10%)" in found[0].detail
    assert not house.shown.decision.seen.gave_up.any()


def test_a_machine_is_hot_by_its_own_limit_and_its_container_is_named() -> None:
    house = Glasshouse(farm(40, ladders=(ladder(),), feeders=2), containers_of=20)
    house.day.table.uptime_s[:] = 3_600.0
    house.day.table.temperature_c[:] = 77.0
    house.limit_c = np.full(40, 95.0)
    house.limit_c[20:30] = 80.0

    def hot() -> list[tuple[str, int]]:
        return [(alarm.where, alarm.n) for alarm in raised(house) if alarm.alarm == "temp_margin_low"]

    house.run(590)
    assert hot() == []
    house.run(20)
    assert hot() == [("C001", 10)]
    assert [alarm.detail for alarm in raised(house)][-1].endswith("the hottest at 3 K")
