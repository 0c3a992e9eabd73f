"""What circuits can really carry now: their ratings less what their meters show beyond the miners, and in balance.

A rating is for everything on the circuit. What a circuit's own meter shows beyond the rows that it feeds (cooling,
lighting, devices that under-report) is taken off its rating and off those of all circuits above it. A meter that is
configured and silent counts as full load: nothing is raised under it, nothing is shed for it. Where the topology names
phases, none may carry more than the lightest of its siblings and the stated imbalance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from farmctl.core.circuits import depths, node_load_w
from farmctl.core.fleet import CircuitTree, FleetView
from farmctl.core.units import FloatColumn

ROOT = 0
"""The revenue meter stands here: the site's own loop looks after it, also when it is silent."""


def carried(view: FleetView, counted_w: FloatColumn) -> CircuitTree:
    """The tree with the ratings in force; `counted_w` is every row at its worst.

    The same tree where no circuit below the root has a meter and none names a phase.
    """
    tree = view.circuits
    if tree.metered is None and tree.phase is None:
        return tree
    load_w = node_load_w(tree, view.table.node, counted_w)
    rating_w = _metered_w(tree, load_w)
    return replace(tree, rating_w=_balanced_w(tree, load_w, rating_w))


def _metered_w(tree: CircuitTree, load_w: FloatColumn) -> FloatColumn:
    """Ratings less what the meters show beyond the rows; at their present load under a silent meter."""
    metered = tree.metered
    if metered is None:
        return tree.rating_w
    beyond_w = np.zeros(len(load_w))
    for depth in range(int(depths(tree).max(initial=0)), 0, -1):
        level = np.flatnonzero(depths(tree) == depth)
        own_w = np.nan_to_num(tree.meter_w[level] - load_w[level] - beyond_w[level], nan=0.0)
        beyond_w[level] += np.maximum(own_w, 0.0)
        beyond_w += np.bincount(tree.parent[level], weights=beyond_w[level], minlength=len(beyond_w))
    beyond_w[ROOT] = 0.0
    rating_w = np.maximum(tree.rating_w - beyond_w, 0.0)
    silent = metered & np.isnan(tree.meter_w) & np.isfinite(tree.rating_w)
    silent[ROOT] = False
    return np.where(silent, np.minimum(rating_w, load_w), rating_w)


def _balanced_w(tree: CircuitTree, load_w: FloatColumn, rating_w: FloatColumn) -> FloatColumn:
    """No phase above the lightest of its siblings by more than their parent permits."""
    if tree.phase is None or tree.imbalance_w is None:
        return rating_w
    phased = np.flatnonzero((tree.phase >= 0) & (tree.parent >= 0))
    lightest_w = np.full(len(load_w), np.inf)
    np.minimum.at(lightest_w, tree.parent[phased], load_w[phased])
    most_w = lightest_w[tree.parent[phased]] + tree.imbalance_w[tree.parent[phased]]
    balanced_w = rating_w.copy()
    balanced_w[phased] = np.minimum(rating_w[phased], most_w)
    return balanced_w
