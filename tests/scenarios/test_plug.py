"""Stories about what miners really draw: their circuits' meters teach it."""

from __future__ import annotations

import numpy as np

from farmctl.core.units import FloatColumn
from tests.scenarios.day import Day, Farm, farm
from tests.scenarios.test_circuits import metered, true_w


def lying() -> Farm:
    """The miners of one feeder say a tenth too little, those of the other the truth."""
    site = farm(40, feeders=2)
    site.bias[site.node == 1] = 0.9
    return site


def read(day: Day, *, silent: bool = False) -> None:
    """The feeders' meters show what their miners draw."""
    shown: FloatColumn = np.array([np.nan, *true_w(day.farm)[1:]])
    day.changes["circuits"] = metered(day, np.full(3, np.nan) if silent else shown)


def test_a_feeders_meter_teaches_what_its_miners_draw_and_the_site_stays_on_its_number() -> None:
    site = lying()
    day = Day(site)
    day.event("run", setpoint_w=0.8 * day.rated_w, for_s=3_000)
    day.run(60, lambda: read(day))
    worst: list[float] = []

    def look() -> None:
        read(day)
        worst.append(abs(day.power_w / day.rated_w / 0.8 - 1.0))

    day.run(200, look)
    assert max(worst) < 0.01  # learning itself moves nobody
    drawing = site.true_w > 1_000.0
    told = day.memory.rows.plug_ratio
    assert abs(told[(site.node == 1) & drawing].mean() - 1 / 0.9) < 0.02
    assert abs(told[(site.node == 2) & drawing].mean() - 1.0) < 0.01


def test_a_silent_meter_teaches_nothing_and_what_was_learned_stays() -> None:
    site = lying()
    day = Day(site)
    day.event("run", setpoint_w=0.8 * day.rated_w, for_s=3_000)
    day.run(120, lambda: read(day))
    before = day.memory.rows.plug_ratio.copy()
    site.bias[:] = 0.8
    day.run(60, lambda: read(day, silent=True))
    assert (day.memory.rows.plug_ratio == before).all()
    assert before.max() > 1.03
