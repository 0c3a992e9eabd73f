"""The limit tree as number tables: what fits, in order, under every node above it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmctl.core.circuits import ancestors_at, binding, depths, fitting, node_load_w
from farmctl.core.fleet import CircuitTree

INF = float("inf")


def tree(parent: list[int], rating: list[float]) -> CircuitTree:
    """A tree by its parents."""
    return CircuitTree(
        names=tuple(f"n{n}" for n in range(len(parent))),
        parent=np.array(parent, dtype=np.int64),
        rating_w=np.array(rating),
        meter_w=np.full(len(parent), np.nan),
    )


#  parent            headroom            node of item   weight          fits
ROWS = [
    ([-1], [10.0], [0, 0, 0], [4, 4, 4], [1, 1, 0]),
    ([-1], [INF], [0, 0, 0], [4, 4, 4], [1, 1, 1]),
    ([-1], [0.0], [0], [1], [0]),
    ([-1], [-5.0], [0], [1], [0]),
    ([-1, 0, 0], [10.0, 4.0, 9.0], [1, 2, 1, 2], [4, 4, 4, 4], [1, 1, 0, 0]),
    ([-1, 0, 0], [10.0, 4.0, 9.0], [1, 2, 2, 1], [4, 4, 4, 4], [1, 1, 0, 0]),
    ([-1, 0, 0], [12.0, 8.0, INF], [1, 1, 2, 2], [4, 4, 4, 4], [1, 1, 1, 0]),
    ([-1, 0, 1, 2], [INF, 9.0, INF, 5.0], [3, 3, 1, 2], [5, 5, 4, 4], [1, 0, 1, 0]),
    ([-1, 0], [5.0, INF], [0, 1], [5, 5], [1, 0]),
    ([-1, 0, 0], [10.0, 4.0, INF], [1, 1, 2], [5, 4, 6], [0, 1, 1]),
    ([-1], [10.0], [], [], []),
]


@pytest.mark.parametrize(("parent", "headroom", "node", "weight", "fits"), ROWS)
def test_what_fits(
    parent: list[int], headroom: list[float], node: list[int], weight: list[float], fits: list[int]
) -> None:
    keep = fitting(tree(parent, headroom), np.array(node, dtype=np.int64), np.array(weight, float), np.array(headroom))
    assert keep.astype(int).tolist() == fits


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_fits_never_exceeds_any_headroom(data: st.DataObject) -> None:
    nodes = data.draw(st.integers(1, 6))
    parent = [-1, *(data.draw(st.integers(0, n - 1)) for n in range(1, nodes))]
    headroom = np.array([data.draw(st.floats(-10, 60)) for _ in range(nodes)])
    items = data.draw(st.integers(0, 20))
    node = np.array([data.draw(st.integers(0, nodes - 1)) for _ in range(items)], dtype=np.int64)
    weight = np.array([data.draw(st.floats(0.5, 20)) for _ in range(items)])
    grid = tree(parent, headroom.tolist())
    keep = fitting(grid, node, weight, headroom)
    load = node_load_w(grid, node, weight * keep)
    touched = node_load_w(grid, node, keep.astype(float)) > 0
    assert (load[touched] <= headroom[touched] + 1e-9).all()


def test_a_tree_knows_depths_ancestors_loads_and_what_binds() -> None:
    grid = tree([-1, 0, 0, 1, 3], [100.0, 60.0, INF, 30.0, 12.0])
    assert depths(grid).tolist() == [0, 1, 1, 2, 3]
    assert ancestors_at(grid, 1).tolist() == [0, 1, 2, 1, 1]
    assert ancestors_at(grid, 0).tolist() == [0, 0, 0, 0, 0]
    load = node_load_w(grid, np.array([4, 3, 2]), np.array([10.0, 20.0, 5.0]))
    assert load.tolist() == [35.0, 30.0, 5.0, 30.0, 10.0]
    assert binding(grid, load, 1.0) == ("n3",)
