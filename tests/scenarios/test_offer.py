"""Stories about what the site promises: the offer to the grid, and the time an order will take."""

from __future__ import annotations

import pytest

from farmctl.core.capability import Capability, capability
from farmctl.core.fleet import LadderBook
from farmctl.core.grid import EventState
from farmctl.core.lessons import Move
from farmctl.engine import checkpoint
from tests.scenarios.day import Day, farm, ladder

STOCK = ladder("stock", throttle=False, down_s=60.0, up_s=240.0)


def _offer(day: Day) -> Capability:
    made = day.decision
    return capability(day.view(), made.seen, made.site, made.allocation, made.budget, day.now_ms, made.lessons)


def test_the_offer_counts_only_what_is_fast_enough() -> None:
    day = Day(farm(100, ladders=(ladder("fast"), STOCK))).run(60)
    offer = _offer(day)
    down = {reach.within_s: reach.down_w / day.rated_w for reach in offer.reaches}
    assert down[5.0] == pytest.approx(0.5, abs=0.03)
    assert down[300.0] == pytest.approx(0.98, abs=0.03)
    assert offer.confidence > 0.95


@pytest.mark.parametrize("horizon", [5.0, 30.0, 300.0])
def test_what_is_offered_downwards_is_given(horizon: float) -> None:
    day = Day(farm(100, ladders=(ladder("fast"), STOCK))).run(60)
    offered = next(reach.down_w for reach in _offer(day).reaches if reach.within_s == horizon)
    before = day.power_w
    day.event("take it", limit_w=before - offered, respond_within_s=horizon)
    day.run(horizon + 4)
    assert before - day.power_w >= 0.97 * offered


def test_what_is_offered_upwards_is_given() -> None:
    site = farm(100, ladders=(ladder("fast"), STOCK))
    day = Day(site).run(10)
    day.event("low", setpoint_w=0.2 * day.rated_w)
    day.run(150)
    offered = {reach.within_s: reach.up_w for reach in _offer(day).reaches}
    before = day.power_w
    day.event("more", setpoint_w=before + offered[30.0])
    day.run(40)
    assert day.power_w - before >= 0.97 * offered[30.0]
    assert offered[5.0] <= offered[30.0] <= offered[300.0]


def test_deaf_and_silent_miners_lower_the_confidence_and_are_not_offered() -> None:
    site = farm(60)
    day = Day(site).run(10)
    site.silent[:20] = True
    day.run(60)
    offer = _offer(day)
    assert offer.confidence == pytest.approx(2 / 3, abs=0.05)
    assert offer.reaches[1].down_w <= 40 * 3_400.0


def test_a_firmware_that_is_slower_than_its_ladder_says_is_offered_as_it_is() -> None:
    claims = ladder("claims 5 s")
    site = farm(60, ladders=(claims,))
    day = Day(site).run(10)
    slow_s = 40.0
    site.book.down_s[:] = slow_s  # what the machines really do
    day.changes["ladders"] = LadderBook.of((claims,))
    promised = _offer(day)
    assert promised.reaches[1].down_w > 0.9 * day.rated_w
    for number in range(3):
        day.event(f"low-{number}", limit_w=0.05 * day.rated_w, for_s=90)
        day.run(140)
    offer = {reach.within_s: reach.down_w for reach in _offer(day).reaches}
    assert offer[30.0] < 0.7 * day.rated_w  # throttling only
    assert offer[300.0] > 0.9 * day.rated_w
    kept = checkpoint.load(checkpoint.dump(day.memory)).lessons
    assert kept.seconds[0, Move.DOWN] == day.memory.lessons.seconds[0, Move.DOWN] > 20.0


def test_commands_that_were_never_followed_lower_the_confidence() -> None:
    site = farm(60)
    day = Day(site, confirm_timeout_s=5.0, max_attempts=2).run(10)
    site.deaf[:20] = True
    day.event("low", limit_w=0.05 * day.rated_w, for_s=60)
    day.run(60)
    site.deaf[:] = False
    day.run(400)
    offer = _offer(day)
    assert 0.5 < offer.confidence < 0.95
    assert offer.reaches[0].down_w > 0


def test_an_offer_upwards_stops_at_the_limit() -> None:
    day = Day(farm(60)).run(10)
    day.event("cap", limit_w=0.5 * day.rated_w)
    day.run(40)
    assert _offer(day).reaches[-1].up_w <= 0.01 * day.rated_w


def test_an_ack_says_how_long_it_will_take() -> None:
    site = farm(40, ladders=(ladder("slow", throttle=False, down_s=60.0, up_s=240.0),))
    day = Day(site).run(10)
    day.event("low", setpoint_w=0.5 * day.rated_w, respond_within_s=120.0)
    day.run(1)
    assert day.state_of("low") is EventState.RAMPING
    told = [ack.eta_s for ack in day.decision.acks if ack.state is EventState.RAMPING]
    assert told[0] == pytest.approx(60.0, abs=5.0)
