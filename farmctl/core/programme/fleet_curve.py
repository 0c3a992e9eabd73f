"""The capability curve of one site's own fleet: what it makes of its watts, for whoever splits a figure over sites."""

from __future__ import annotations

import numpy as np

from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.hull import hulls
from farmctl.core.programme.sites import MOST_POINTS, Curve
from farmctl.core.units import FloatColumn, MaskColumn


def fleet_curve(view: FleetView, movable: MaskColumn, other_w: float) -> Curve:
    """Hull segments of the movable rows, best watts first, pooled to `MOST_POINTS`; `other_w` is always drawn.

    O(ladders x steps): rows of one ladder share their prices.  Neighbours are pooled to their mean price, so the
    watts and the hash rate of the whole stay what they are.
    """
    table, hull = view.table, hulls(view.ladders, view.ladders.hash_rate_hs)
    rows = np.flatnonzero(movable & (table.ladder != NO_LADDER))
    ladder, ladders = table.ladder[rows], len(hull.last)
    count = np.bincount(ladder, minlength=ladders).astype(np.float64)
    scaled = np.bincount(ladder, weights=table.power_scale[rows], minlength=ladders)
    least_w = max(other_w, 0.0) if np.isfinite(other_w) else 0.0
    if ladders:
        least_w += float((count * hull.power_w[:, 0]).sum())
    watts = np.maximum(scaled[:, None] * hull.rise_w - count[:, None] * hull.first_w, 0.0)
    steps = np.take_along_axis(view.ladders.hash_rate_hs, hull.step, axis=1) if ladders else np.zeros((0, 1))
    gained_hs = count[:, None] * np.diff(steps, axis=1, prepend=steps[:, :1])
    return _pooled(least_w, watts.ravel(), gained_hs.ravel())


def _pooled(least_w: float, watts: FloatColumn, gained_hs: FloatColumn) -> Curve:
    real = (watts > 0) & (gained_hs > 0)
    watts, gained_hs = watts[real], gained_hs[real]
    order = np.argsort(-(gained_hs / watts), kind="stable")
    watts, gained_hs = watts[order], gained_hs[order]
    bins = MOST_POINTS - 1
    if len(watts) > bins:
        middle_w = np.cumsum(watts) - watts / 2
        place = np.minimum((middle_w / float(watts.sum()) * bins).astype(np.int64), bins - 1)
        pooled_w = np.bincount(place, weights=watts, minlength=bins).astype(np.float64)
        pooled_hs = np.bincount(place, weights=gained_hs, minlength=bins).astype(np.float64)
        watts, gained_hs = pooled_w[pooled_w > 0], pooled_hs[pooled_w > 0]
    return Curve(
        power_w=np.concatenate([[least_w], least_w + np.cumsum(watts)]),
        marginal_hs_per_w=np.concatenate([[0.0], gained_hs / watts]),
    )
