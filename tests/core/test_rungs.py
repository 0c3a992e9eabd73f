"""A wanted point outlives the ladder that it was chosen on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from farmctl.core.fleet import LadderBook
from farmctl.core.rungs import found_again
from tests.scenarios.day import Day, farm


def test_a_restart_sheds_nobody_while_the_device_has_not_told_its_own_ladder() -> None:
    """LuxOS profiles are known once the miner was asked; until then the shipped ladder stands in."""
    day = _in_an_event()
    asleep, drawn_w = day.farm.at == 0, day.power_w
    day.restart_cold(off_s=5.0)
    day.changes["ladders"] = _coarse(day.farm.book)
    day.decision = day._cycle()
    assert np.isfinite(day.decision.seen.power_now_w).all()
    del day.changes["ladders"]
    day.run(10)
    assert ((day.farm.at == 0) == asleep).all()
    assert abs(day.power_w - drawn_w) < 0.02 * drawn_w


def test_a_point_is_the_same_again_when_its_ladder_returns() -> None:
    day = _in_an_event()
    before, view = day.memory.rows, day.view()
    coarse = _coarse(day.farm.book)
    there = found_again(before, replace(view, ladders=coarse))
    assert (there.wanted < coarse.steps.max()).all()
    assert ((there.wanted == 0) == (before.wanted == 0)).all()
    assert found_again(there, view).wanted.tolist() == before.wanted.tolist()


def _in_an_event() -> Day:
    day = Day(farm(40))
    day.event("order", setpoint_w=0.6 * day.rated_w)
    return day.run(60)


def _coarse(book: LadderBook) -> LadderBook:
    """The same machines with sleep and full only."""
    return LadderBook.of([replace(ladder, points=(ladder.points[0], ladder.points[-1])) for ladder in book.ladders])
