"""The best allocation against two referees: a slow search over all plans, and the LP bound of HiGHS."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from farmctl.core.circuits import node_load_w
from farmctl.core.confirm import nominal_w
from farmctl.core.fleet import FleetTable, FleetView
from farmctl.core.hull import hulls
from farmctl.core.ideal import Bounds, Ideal, ideal
from farmctl.core.policies import POLICIES
from tests.core.worlds import World, worlds

POLICY = POLICIES["efficiency_first"]
EPSILON_W = 1e-6
"""What a sum of watts in another order may differ by; the allocator grants as much."""


def _free(view: FleetView) -> Bounds:
    nobody = np.zeros(len(view.table), dtype=np.bool_)
    return Bounds(free=~nobody, awake=nobody, asleep=nobody, fixed_w=np.zeros(len(view.table)))


def _flat(view: FleetView) -> FleetView:
    """Tiers would put efficiency second; here they are all alike."""
    return replace(view, table=replace(view.table, tier=np.zeros_like(view.table.tier)))


def _few(view: FleetView) -> FleetView:
    """Its first five miners, under circuits that can at least hold them asleep."""
    table = FleetTable(**{f.name: getattr(view.table, f.name)[:5] for f in fields(FleetTable)})
    asleep_w = view.ladders.power_w[table.ladder, 0]
    least_w = node_load_w(view.circuits, table.node, asleep_w)
    circuits = replace(view.circuits, rating_w=np.maximum(view.circuits.rating_w, least_w))
    return replace(view, table=table, circuits=circuits)


def _hash_hs(view: FleetView, best: Ideal) -> float:
    return float((view.ladders.hash_rate_hs[view.table.ladder, best.step] * view.table.power_scale).sum())


@settings(max_examples=80, deadline=None)
@given(world=worlds(well=True), share=st.floats(0.0, 1.2))
def test_it_never_exceeds_the_budget_or_a_rating_that_the_rows_can_keep(world: World, share: float) -> None:
    view = _flat(world.view)
    asleep_w = nominal_w(view, np.zeros(len(view.table), dtype=np.int64))
    budget_w = share * 50_000.0
    best = ideal(view, POLICY, _free(view), budget_w)
    load = node_load_w(view.circuits, view.table.node, best.power_w)
    lowest = node_load_w(view.circuits, view.table.node, asleep_w)
    assert (load <= np.maximum(view.circuits.rating_w, lowest) + 1e-3).all()
    assert best.power_w.sum() <= max(budget_w, asleep_w.sum()) + 1e-3


@settings(max_examples=60, deadline=None)
@given(world=worlds(well=True), share=st.floats(0.1, 1.0))
def test_a_search_over_every_plan_finds_nothing_better_by_more_than_one_segment_per_node(
    world: World, share: float
) -> None:
    view = _few(_flat(world.view))
    assume(len(view.table) > 0)
    full_w = float(nominal_w(view, view.ladders.steps[view.table.ladder] - 1).sum())
    asleep_w = nominal_w(view, np.zeros(len(view.table), dtype=np.int64))
    budget_w = max(share * full_w, float(asleep_w.sum()))
    best = ideal(view, POLICY, _free(view), budget_w)
    searched = _search_hs(view, budget_w)
    largest = float(view.ladders.hash_rate_hs[view.table.ladder].max())
    assert _hash_hs(view, best) >= searched - largest * len(view.circuits.names) - 1.0
    assert _hash_hs(view, best) <= max(searched, 0.0) + 1.0


def _search_hs(view: FleetView, budget_w: float) -> float:
    table, book, tree = view.table, view.ladders, view.circuits
    best = 0.0
    for steps in itertools.product(*(range(int(book.steps[ladder])) for ladder in table.ladder)):
        power_w = book.power_w[table.ladder, list(steps)]
        load = node_load_w(tree, table.node, power_w)
        if power_w.sum() <= budget_w + EPSILON_W and (load <= tree.rating_w + EPSILON_W).all():
            best = max(best, float(book.hash_rate_hs[table.ladder, list(steps)].sum()))
    return best


@settings(max_examples=80, deadline=None)
@given(world=worlds(well=True), low=st.floats(0.0, 1.0), more=st.floats(0.0, 0.5))
def test_more_budget_never_hashes_less(world: World, low: float, more: float) -> None:
    view = _flat(world.view)
    small, large = (ideal(view, POLICY, _free(view), share * 40_000.0) for share in (low, low + more))
    ladder = view.table.ladder
    one_step = float(view.ladders.hash_rate_hs[ladder].max()) if len(ladder) else 0.0
    assert _hash_hs(view, large) >= _hash_hs(view, small) - one_step


@settings(max_examples=80, deadline=None)
@given(world=worlds(well=True))
def test_hulls_are_concave_and_start_asleep(world: World) -> None:
    book = world.view.ladders
    hull = hulls(book, book.hash_rate_hs)
    for number in range(len(book.ladders)):
        prices = hull.price[number, 1 : hull.last[number] + 1]
        assert (np.diff(prices) <= 0).all()
        assert hull.step[number, 0] == 0


def test_locks_and_tiers_are_kept() -> None:
    from benchmarks._fleet import fleet  # noqa: PLC0415 - only this test wants a large mixed fleet

    view = fleet(500)
    full_w = float(view.table.power_w.sum())
    view.table.tier[:250] = 1
    nobody = np.zeros(500, dtype=np.bool_)
    awake, asleep = nobody.copy(), nobody.copy()
    awake[:20], asleep[480:] = True, True
    bounds = Bounds(free=~nobody, awake=awake, asleep=asleep, fixed_w=np.zeros(500))
    best = ideal(view, POLICY, bounds, 0.3 * full_w)
    assert (best.step[:20] > 0).all()
    assert (best.step[480:] == 0).all()
    assert (best.step[20:250] == 0).all()  # the other tier takes all there is


@pytest.mark.peer
def test_the_gap_to_the_lp_bound_of_highs_is_below_a_hundredth_of_a_percent() -> None:
    pytest.importorskip("highspy", reason="needs highspy")
    from benchmarks._fleet import fleet  # noqa: PLC0415 - needs the referee
    from benchmarks.allocate import everything, gap_pct  # noqa: PLC0415 - needs the referee

    view = fleet(3_000)
    full_w = float(view.table.power_w.sum())
    for share in (0.9, 0.6, 0.3):
        best = ideal(view, POLICY, everything(3_000), share * full_w)
        assert -1e-6 <= gap_pct(view, best, share * full_w) <= 0.01
