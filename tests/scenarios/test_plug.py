"""Stories about what miners really draw: their circuits' meters teach it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from farmctl.core.fleet import CircuitTree
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


def paired() -> tuple[Farm, FloatColumn]:
    """Two miners behind a PDU with a meter, the rest of the site on none; what the PDU shows for a true W."""
    site = farm(20)
    site.tree = CircuitTree(
        names=("site", "pdu"),
        parent=np.array([-1, 0]),
        rating_w=np.full(2, np.inf),
        meter_w=np.full(2, np.nan),
    )
    site.node[:] = 0
    site.node[:2] = 1
    site.bias[:2] = 0.88, 1.05
    return site, 1.0 / site.bias[:2]


def test_two_miners_behind_one_pdu_are_told_apart_once_each_has_stood_alone() -> None:
    site, truth = paired()
    day = Day(site, rated_w=2.0 * site.meter_w(), standing_w=2.0 * site.meter_w())

    def look() -> None:
        shown_w = np.array([np.nan, site.true_w[:2].sum()])
        day.changes["circuits"] = replace(site.tree, meter_w=shown_w, metered=np.array([False, True]))

    look()
    day.run(90, look)
    told = day.memory.rows.plug_ratio
    said_w = site.true_w[:2] * site.bias[:2]
    assert abs((told[:2] * said_w).sum() / site.true_w[:2].sum() - 1.0) < 0.005  # together they are known at once
    assert abs(told[0] - told[1]) < 0.02  # but not which of them it is that lies
    for alone in (0, 1):
        asleep = str(day.table.miner_id[1 - alone])
        day.override(0.0, for_s=150.0, miners=(asleep,))
        day.run(170, look)
    day.run(60, look)
    assert np.abs(day.memory.rows.plug_ratio[:2] - truth).max() < 0.02
    assert (day.memory.rows.plug_ratio[2:] == 1.0).all()  # nobody else is taught by a meter that is not theirs
