"""The best allocation there is: every ladder's hull segments taken in order of price under every node of the tree.

Taking hull segments greedily by worth per watt solves the LP relaxation of the multiple-choice knapsack exactly
(Sinha and Zoltners 1979), and with nested limits node by node from the leaves up as well, because what a node
cannot hold its parent need not consider. Rows of one ladder, tier and weight share their prices, so nothing is
sorted but the few prices: O(rows x segments) array passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.circuits import ancestors_at, depths, node_load_w
from farmctl.core.confirm import nominal_w
from farmctl.core.fleet import FleetView
from farmctl.core.hull import Hulls, hulls
from farmctl.core.policies import Policy
from farmctl.core.units import FloatColumn, IntColumn, MaskColumn

FILL_ROUNDS = 8
WEIGHT_GRAIN = 1e-3
"""Rows whose weights differ by less than this share are priced alike."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bounds:
    """What the rows and nodes allow."""

    free: MaskColumn
    """Rows that are planned; the others keep `fixed_w`."""
    awake: MaskColumn
    """Free rows that may not sleep."""
    asleep: MaskColumn
    """Free rows that may not wake."""
    fixed_w: FloatColumn
    """Draw of the rows that are not free, W."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ideal:
    """One ladder step per free row, and what it comes to."""

    step: IntColumn
    """Shape (rows,); -1 for rows that are not free."""
    power_w: FloatColumn
    marginal: float
    """Worth per watt of the dearest segment not taken at the site; NaN where all were."""


def ideal(view: FleetView, policy: Policy, bounds: Bounds, budget_w: float) -> Ideal:
    """The most worth for `budget_w` at the rows' own plugs, no node above its rating where the rows can help it."""
    rows = _priced(view, policy, bounds)
    tree, table = view.circuits, view.table
    power_w = np.where(bounds.free, 0.0, bounds.fixed_w)
    limits_w = tree.rating_w - node_load_w(tree, table.node, power_w)
    limits_w[0] = min(limits_w[0], budget_w - float(power_w.sum()))
    depth_of = depths(tree)
    marginal = float("nan")
    for depth in range(int(depth_of.max(initial=0)), -1, -1):
        owner = ancestors_at(tree, depth)[table.node[rows.index]]
        load_w = np.bincount(owner, weights=_power_w(rows, rows.cap), minlength=len(tree.names))
        tight = (depth_of == depth) & (load_w > limits_w)
        if tight.any():
            marginal = _cut(rows, owner, tight, limits_w)
    step = np.full(len(table), -1, dtype=np.int64)
    step[rows.index] = rows.hulls.step[rows.ladder, rows.cap]
    power_w[rows.index] = nominal_w(view, step)[rows.index]
    return Ideal(step=step, power_w=power_w, marginal=marginal if rows.cut_at_root else float("nan"))


@dataclass(slots=True, eq=False, kw_only=True)
class _Rows:
    """Free rows, sorted by group; `cap` is lowered in place while the tree is walked."""

    hulls: Hulls
    index: IntColumn
    ladder: IntColumn
    scale: FloatColumn
    group: IntColumn
    """Rows of one group have the same prices."""
    price: FloatColumn
    """Shape (groups, positions), -inf where there is no segment."""
    rank: IntColumn
    """Shape (groups,): tier; lower is served first."""
    group_ladder: IntColumn
    floor: IntColumn
    """Lowest position of each row."""
    cap: IntColumn
    """Highest position of each row so far."""
    cut_at_root: bool = False


def _priced(view: FleetView, policy: Policy, bounds: Bounds) -> _Rows:
    table = view.table
    index = np.flatnonzero(bounds.free)
    ladder = table.ladder[index]
    book = hulls(view.ladders, policy.worth(view))
    scale = table.power_scale[index]
    factor = np.round(policy.weight(view)[index] / np.maximum(scale, 1e-6) / WEIGHT_GRAIN).astype(np.int64)
    rank = policy.rank(view)[index].astype(np.int64)
    group, first = _groups(ladder, factor, rank)
    last = book.last[ladder]
    return _Rows(
        hulls=book,
        index=index,
        ladder=ladder,
        scale=scale,
        group=group,
        price=book.price[ladder[first]] * (factor[first] * WEIGHT_GRAIN)[:, None],
        rank=rank[first],
        group_ladder=ladder[first],
        floor=np.where(bounds.awake[index], np.minimum(last, 1), 0),
        cap=np.where(bounds.asleep[index], 0, last),
    )


def _groups(ladder: IntColumn, factor: IntColumn, rank: IntColumn) -> tuple[IntColumn, IntColumn]:
    """Group number of every row, and one row of each group."""
    if not len(ladder):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    factors = factor - factor.min()
    ranks = rank - rank.min()
    key = (ladder * (factors.max() + 1) + factors) * (ranks.max() + 1) + ranks
    keys = int(key.max()) + 1
    if keys > len(key):
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        return group.astype(np.int64), first.astype(np.int64)
    # Few kinds of many miners, the usual case: counted instead of sorted, 30 ms less for 570,000 rows.
    there = np.bincount(key, minlength=keys) > 0
    earliest = np.empty(keys, dtype=np.int64)
    earliest[key[::-1]] = np.arange(len(key) - 1, -1, -1)
    return (np.cumsum(there) - 1)[key], earliest[there]


def _power_w(rows: _Rows, position: IntColumn) -> FloatColumn:
    watts: FloatColumn = rows.hulls.power_w[rows.ladder, position]
    return np.where(position > 0, watts * rows.scale, watts)


def _cut(rows: _Rows, owner: IntColumn, tight: MaskColumn, limits_w: FloatColumn) -> float:
    """Lower the caps of all rows under the tight nodes of one level until each node is inside its limit."""
    number = np.cumsum(tight) - 1
    under = np.flatnonzero(tight[owner])
    node = number[owner[under]]
    spare_w = limits_w[tight] - np.bincount(
        node, weights=_power_w(rows, np.minimum(rows.floor, rows.cap))[under], minlength=int(tight.sum())
    )
    segments = _segments(rows)
    if not len(segments.group):
        return float("nan")
    watts = _segment_watts(rows, under, node, len(spare_w), segments)
    running = np.cumsum(watts, axis=1)
    place = (running > spare_w[:, None] + 1e-6).argmax(axis=1)
    place[running[:, -1] <= spare_w + 1e-6] = watts.shape[1]
    before_w = np.where(place > 0, np.take_along_axis(running, np.maximum(place - 1, 0)[:, None], axis=1)[:, 0], 0.0)
    rank_of = np.full(rows.price.shape, np.iinfo(np.int64).max)
    rank_of[segments.group, segments.position] = np.arange(len(segments.group))
    taken = np.zeros((len(spare_w), len(rows.rank)), dtype=np.int64)
    for position in range(1, rows.price.shape[1]):
        taken += rank_of[:, position][None, :] < place[:, None]
    held = np.minimum(rows.floor, rows.cap)[under]
    cap = rows.cap[under]
    position_of = np.clip(taken[node, rows.group[under]], held, cap)
    remaining_w = np.maximum(spare_w - before_w, 0.0)
    cut = _Cut(rows=rows, under=under, node=node, cap=cap, position=position_of, remaining_w=remaining_w)
    cut.take_part(segments, place)
    cut.fill()
    rows.cap[under] = cut.position
    rows.floor[under] = np.minimum(rows.floor[under], cut.position)
    if tight[0]:
        rows.cut_at_root = True
    critical = place[place < len(segments.group)]
    return float(segments.price[critical].max(initial=0.0))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Segments:
    """All segments of all groups, best first: tier by tier, then worth per watt."""

    group: IntColumn
    position: IntColumn
    price: FloatColumn


def _segments(rows: _Rows) -> _Segments:
    group, position = np.nonzero(np.isfinite(rows.price))
    price = rows.price[group, position]
    order = np.lexsort((position, group, -price, rows.rank[group]))
    return _Segments(group=group[order], position=position[order], price=price[order])


def _segment_watts(rows: _Rows, under: IntColumn, node: IntColumn, nodes: int, segments: _Segments) -> FloatColumn:
    """Watts that each segment holds under each node, shape (nodes, segments)."""
    groups, width = rows.price.shape
    cap = rows.cap[under]
    held = np.minimum(rows.floor[under], cap)
    shape, key = (nodes, groups, width), (node * groups + rows.group[under]) * width

    def above(position: IntColumn, weights: FloatColumn | None) -> FloatColumn:
        """Sum over the rows whose position is at least j, for every node, group and j."""
        total = np.bincount(key + position, weights=weights, minlength=nodes * groups * width).reshape(shape)
        return np.cumsum(total[:, :, ::-1], axis=2)[:, :, ::-1].astype(np.float64)

    scale = rows.scale[under]
    scaled = above(cap, scale) - above(held, scale)
    count = above(cap, None) - above(held, None)
    ladder = rows.group_ladder
    watts = np.maximum(scaled * rows.hulls.rise_w[ladder] - count * rows.hulls.first_w[ladder], 0.0)
    return watts[:, segments.group, segments.position]


def _rise_w(rows: _Rows, at: IntColumn, position: IntColumn) -> FloatColumn:
    ladder = rows.ladder[at]
    return rows.hulls.rise_w[ladder, position] * rows.scale[at] - rows.hulls.first_w[ladder, position]


@dataclass(slots=True, eq=False, kw_only=True)
class _Cut:
    """One level of the tree while its last watts are dealt out."""

    rows: _Rows
    under: IntColumn
    node: IntColumn
    cap: IntColumn
    position: IntColumn
    remaining_w: FloatColumn

    def take_part(self, segments: _Segments, place: IntColumn) -> None:
        """Of the first segment that does not fit whole, as many rows as do, in the order of the table."""
        partial = np.flatnonzero(place < len(segments.group))
        wanted = np.full(len(place), -1, dtype=np.int64)
        wanted[partial] = segments.group[place[partial]]
        target = np.zeros(len(place), dtype=np.int64)
        target[partial] = segments.position[place[partial]]
        mine = self.rows.group[self.under] == wanted[self.node]
        able = np.flatnonzero(mine & (self.position == target[self.node] - 1) & (target[self.node] <= self.cap))
        self._take(able[np.argsort(self.node[able], kind="stable")])

    def fill(self) -> None:
        """Best next segment that fits what is left under each node, a few times over."""
        for _ in range(FILL_ROUNDS):
            smallest_w = self.remaining_w[self.node]
            able = np.flatnonzero((self.position < self.cap) & (smallest_w > 0))
            if not len(able):
                return
            at = self.under[able]
            rise_w = _rise_w(self.rows, at, self.position[able] + 1)
            fits = rise_w <= smallest_w[able]
            able, rise_w, at = able[fits], rise_w[fits], at[fits]
            if not len(able):
                return
            worth = self.rows.price[self.rows.group[at], self.position[able] + 1] * rise_w
            order = np.lexsort((able, -worth, self.node[able]))
            leads = order[np.flatnonzero(np.diff(self.node[able][order], prepend=-1))]
            self._take(able[leads])

    def _take(self, able: IntColumn) -> None:
        """Raise these rows, sorted by node, while they fit."""
        if not len(able):
            return
        rise_w = _rise_w(self.rows, self.under[able], self.position[able] + 1)
        node = self.node[able]
        running = np.cumsum(rise_w)
        starts = np.flatnonzero(np.diff(node, prepend=-1))
        base = np.repeat(running[starts] - rise_w[starts], np.diff([*starts, len(node)]))
        fits = running - base <= self.remaining_w[node]
        self.position[able[fits]] += 1
        self.remaining_w -= np.bincount(node[fits], weights=rise_w[fits], minlength=len(self.remaining_w))
