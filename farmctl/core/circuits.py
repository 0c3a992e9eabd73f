"""The limit tree: loads summed from the rows up, headroom at every node, and which nodes bind."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from farmctl.core.fleet import CircuitTree
from farmctl.core.units import FloatColumn, IntColumn, MaskColumn

FEEDER_DEPTH = 1
"""Nodes at this depth are feeders: wakes are paced on them. A flat site is its own feeder."""


def depths(tree: CircuitTree) -> IntColumn:
    """Distance of every node from the root, shape (nodes,)."""
    depth = np.zeros(len(tree.names), dtype=np.int64)
    above = tree.parent
    while (below := above >= 0).any():
        depth += below
        above = np.where(below, tree.parent[above], -1)
    return depth


def node_load_w(tree: CircuitTree, node_of_row: IntColumn, power_w: FloatColumn) -> FloatColumn:
    """Sum of `power_w` under every node, shape (nodes,), W.  O(rows + nodes)."""
    load: FloatColumn = np.bincount(node_of_row, weights=power_w, minlength=len(tree.names)).astype(np.float64)
    depth_of = depths(tree)
    for depth in range(int(depth_of.max(initial=0)), 0, -1):
        level = np.flatnonzero(depth_of == depth)
        load += np.bincount(tree.parent[level], weights=load[level], minlength=len(load))
    return load


def ancestors_at(tree: CircuitTree, depth: int) -> IntColumn:
    """For every node its ancestor at `depth` (itself where it is not deeper), shape (nodes,)."""
    depth_of = depths(tree)
    above = np.arange(len(tree.names), dtype=np.int64)
    while (deeper := depth_of[above] > depth).any():
        above = np.where(deeper, tree.parent[above], above)
    return above


def feeder_of(tree: CircuitTree) -> IntColumn:
    """The feeder above every node, shape (nodes,)."""
    return ancestors_at(tree, FEEDER_DEPTH)


def under(tree: CircuitTree, names: Container[str]) -> MaskColumn:
    """Nodes that are one of these or below one, shape (nodes,)."""
    found = np.array([name in names for name in tree.names], dtype=np.bool_)
    for node in range(1, len(tree.names)):
        found[node] |= found[tree.parent[node]]
    return found


def fitting(tree: CircuitTree, node_of_item: IntColumn, weight_w: FloatColumn, headroom_w: FloatColumn) -> MaskColumn:
    """Which items, taken in order, stay inside the headroom of every node above them.

    Shapes (items,), (items,), (nodes,). Level by level from the leaves: in the order given, a cumulative sum
    within each node is cut at its headroom; only what survives counts one level up. With nested limits this
    equals the walk that checks every ancestor for each item.
    """
    keep = weight_w <= headroom_w[node_of_item] if len(weight_w) else np.zeros(0, dtype=np.bool_)
    if not len(weight_w):
        return keep
    depth_of = depths(tree)
    for depth in range(int(depth_of.max()), -1, -1):
        owner = ancestors_at(tree, depth)[node_of_item]
        concerned = keep & (depth_of[owner] == depth) & np.isfinite(headroom_w[owner])
        if concerned.any():
            index = np.flatnonzero(concerned)
            index = index[np.argsort(owner[index], kind="stable")]
            running = np.cumsum(weight_w[index])
            starts = np.flatnonzero(np.diff(owner[index], prepend=-1))
            base = np.repeat(running[starts] - weight_w[index][starts], np.diff([*starts, len(index)]))
            keep[index] = running - base <= headroom_w[owner[index]]
    return keep


def binding(tree: CircuitTree, load_w: FloatColumn, slack_w: float) -> tuple[str, ...]:
    """Names of the nodes whose load is within `slack_w` of their rating."""
    near = load_w + slack_w >= tree.rating_w
    return tuple(name for name, tight in zip(tree.names, near, strict=True) if tight)
