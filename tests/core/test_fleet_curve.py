"""A site's capability curve: every watt and hash of the movable fleet, the best first, on at most fifty points."""

from __future__ import annotations

import numpy as np
import pytest

from farmctl.core.fleet import NO_LADDER
from farmctl.core.programme.fleet_curve import fleet_curve
from farmctl.core.programme.sites import MOST_POINTS
from farmctl.core.programme.split import hull
from tests.scenarios.day import Day, farm, ladder

KW = 1e3


def day_of(models: int, miners: int) -> Day:
    """A fleet of `models` kinds, each less efficient than the one before."""
    ladders = tuple(ladder(f"kind-{n}", j_per_th=16.0 + n / 2) for n in range(models))
    return Day(farm(miners, ladders=ladders))


@pytest.mark.parametrize(("models", "miners"), [(1, 8), (3, 30), (40, 200)])
def test_the_curve_holds_every_watt_and_every_hash_and_its_prices_fall(models: int, miners: int) -> None:
    view = day_of(models, miners).view()
    curve = fleet_curve(view, np.ones(miners, dtype=np.bool_), 5 * KW)
    book, row = view.ladders, view.table.ladder
    last = book.steps[row] - 1
    assert len(curve.power_w) <= MOST_POINTS
    assert curve.power_w[0] == pytest.approx(5 * KW + book.power_w[row, 0].sum())
    assert curve.power_w[-1] == pytest.approx(5 * KW + book.power_w[row, last].sum())
    hashes = (np.diff(curve.power_w) * curve.marginal_hs_per_w[1:]).sum()
    assert hashes == pytest.approx(book.hash_rate_hs[row, last].sum())
    assert (np.diff(curve.marginal_hs_per_w[1:]) <= 1e-6 * curve.marginal_hs_per_w[1]).all()
    assert len(hull(curve)[1]) <= len(curve.power_w) - 1


def test_only_what_can_be_moved_is_offered_and_a_site_of_which_nothing_is_known_offers_what_it_draws() -> None:
    view = day_of(2, 20).view()
    some = np.arange(20) < 5
    part, whole = fleet_curve(view, some, 0.0), fleet_curve(view, np.ones(20, dtype=np.bool_), 0.0)
    assert part.power_w[-1] < whole.power_w[-1] / 3
    view.table.ladder[:] = NO_LADDER
    for other_w, least_w in ((70.0, 70.0), (float("nan"), 0.0), (-3.0, 0.0)):
        unknown = fleet_curve(view, some, other_w)
        assert unknown.power_w.tolist() == [least_w]
