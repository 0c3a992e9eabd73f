"""Stories about what circuits can really carry: their own meters, silent ones, and phases in balance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from farmctl.core.circuits import node_load_w
from farmctl.core.fleet import CircuitTree
from farmctl.core.reasons import Reason
from farmctl.core.units import FloatColumn
from tests.scenarios.day import Day, Farm, farm


def true_w(site: Farm) -> FloatColumn:
    """What meters on all circuits would show."""
    return node_load_w(site.tree, site.node, site.true_w)


def metered(day: Day, shown_w: FloatColumn) -> CircuitTree:
    """The tree with a meter on every feeder."""
    return replace(day.farm.tree, meter_w=shown_w, metered=np.array([False, True, True]))


def phased(imbalance_w: float) -> Farm:
    """One PDU whose miners hang on three phases."""
    site = farm(60)
    tree = CircuitTree(
        names=("site", "pdu", "L1", "L2", "L3"),
        parent=np.array([-1, 0, 1, 1, 1]),
        rating_w=np.full(5, np.inf),
        meter_w=np.full(5, np.nan),
        phase=np.array([-1, -1, 0, 1, 2], dtype=np.int16),
        imbalance_w=np.array([np.inf, imbalance_w, np.inf, np.inf, np.inf]),
    )
    site.tree = tree
    site.node[:] = 2 + np.arange(60) % 3
    return site


def test_what_a_feeders_own_meter_shows_beyond_its_miners_counts_under_its_rating() -> None:
    site = farm(60, feeders=2)
    site.bias[site.node == 1] = 0.9  # the miners of one feeder say a tenth too little
    rating_w = 0.95 * true_w(site)[1]
    site.tree.rating_w[1] = rating_w
    day = Day(site).run(10)
    day.event("run", setpoint_w=0.98 * day.rated_w, for_s=600)

    def read() -> None:
        day.changes["circuits"] = metered(day, np.array([np.nan, *true_w(site)[1:]]))

    day.run(5, read)
    day.run(120, read)
    assert true_w(site)[1] <= rating_w
    assert true_w(site)[1] > 0.93 * rating_w
    assert Reason.CIRCUIT_LIMIT in day.reasons()


def test_nothing_is_raised_under_a_silent_meter_and_nothing_is_shed_for_it() -> None:
    site = farm(60, feeders=2)
    site.tree.rating_w[1:] = 1.2 * true_w(site)[1:]
    day = Day(site).run(10)
    day.event("low", setpoint_w=0.6 * day.rated_w, for_s=45)
    day.run(40)
    before_w = true_w(site)
    day.changes["circuits"] = metered(day, np.array([np.nan, np.nan, before_w[2]]))
    day.run(60)
    after_w = true_w(site)
    assert abs(after_w[1] - before_w[1]) < 100.0
    assert after_w[2] > before_w[2] + 1_000.0


def test_no_phase_carries_more_than_the_lightest_and_the_stated_imbalance() -> None:
    site = phased(imbalance_w=10_000.0)
    site.node[np.flatnonzero(site.node == 3)[:8]] = 1  # eight miners of L2 hang elsewhere
    day = Day(site).run(60)
    load_w = true_w(site)[2:]
    assert load_w.max() - load_w.min() <= 10_000.0 + 3_400.0
    assert load_w.min() > 12 * 3_300.0  # the lightest runs all that it has
    assert Reason.CIRCUIT_LIMIT in day.reasons()


def test_a_site_comes_up_in_balance() -> None:
    site = phased(imbalance_w=8_000.0)
    site.asleep()
    day = Day(site)
    worst_w = 0.0

    def look() -> None:
        nonlocal worst_w
        load_w = node_load_w(site.tree, site.node, site.true_w)[2:]
        worst_w = max(worst_w, float(load_w.max() - load_w.min()))

    day.run(300, look)
    assert day.share > 0.97
    assert worst_w <= 8_000.0 + 3_400.0
