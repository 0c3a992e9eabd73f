"""One figure over many sites by a declared rule, inside each one's bounds; what cannot be placed is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from farmctl.core.programme.sites import Bounds, Curve, Site
from farmctl.core.units import FloatColumn

AT_BOUND_W = 1e-6


class Rule(StrEnum):
    """How watts are shared out among sites that could all take them."""

    COST = "cost"
    """To the site that hashes most with them."""
    PRO_RATA = "pro_rata"
    """To all alike, as a part of what each can take at most."""
    ROTATION = "rotation"
    """To one after the other, full, in an order that moves on with the turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one site is told."""

    site: str
    share_w: float
    why: str
    """What bound it, or the rule's name where nothing did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A figure shared out; with its inputs it is what headquarters journals."""

    figure_w: float
    rule: Rule
    turn: int
    shares: tuple[Share, ...]
    """In the order of the sites given."""
    short_w: float
    """What no site could take."""
    over_w: float
    """What no site could give up yet: the sum is above the figure by this."""

    @property
    def total_w(self) -> float:
        """Sum of all shares, W."""
        return sum(share.share_w for share in self.shares)


def split(
    sites: Sequence[Site], ranges: Mapping[str, Bounds], figure_w: float, rule: Rule = Rule.COST, turn: int = 0
) -> Split:
    """Share `figure_w` out; never above it unless what the sites cannot give up is, which `over_w` tells.

    O(points log points).  The order of the sites changes nothing; names must be unique.
    """
    order = sorted(range(len(sites)), key=lambda row: sites[row].name)
    low_w = np.array([ranges[sites[row].name].low_w for row in order])
    high_w = np.array([ranges[sites[row].name].high_w for row in order])
    free_w = min(max(figure_w - float(low_w.sum()), 0.0), float((high_w - low_w).sum()))
    match rule:
        case Rule.COST:
            got_w = _by_cost([sites[row].curve for row in order], low_w, high_w, free_w)
        case Rule.PRO_RATA:
            got_w = _pro_rata(np.array([sites[row].max_w for row in order]), low_w, high_w, free_w)
        case Rule.ROTATION:
            got_w = _rotated(low_w, high_w, free_w, turn)
    share_w = np.empty(len(sites))
    share_w[order] = np.minimum(low_w + got_w, high_w)
    rows = zip(sites, share_w.tolist(), strict=True)
    shares = tuple(_share(site, ranges[site.name], watts, rule) for site, watts in rows)
    total_w = float(share_w.sum())
    return Split(
        figure_w=figure_w,
        rule=rule,
        turn=turn,
        shares=shares,
        short_w=max(figure_w - total_w, 0.0),
        over_w=max(total_w - figure_w, 0.0),
    )


def _by_cost(curves: Sequence[Curve], low_w: FloatColumn, high_w: FloatColumn, free_w: float) -> FloatColumn:
    """Walk all hull segments between the bounds, dearest watts last."""
    owner, width_w, price = [], [], []
    for row, curve in enumerate(curves):
        power_w, marginal = hull(curve)
        edges = np.clip(power_w, low_w[row], high_w[row])
        # A bound outside the curve (a stale site, an uncalibrated ramp) is worth what the nearest segment is.
        if len(edges):
            edges[0], edges[-1] = low_w[row], high_w[row]
        widths = np.diff(edges)
        owner.append(np.full(len(widths), row))
        width_w.append(widths)
        price.append(marginal)
    if not owner:
        return np.zeros(0)
    rows, widths, prices = np.concatenate(owner), np.concatenate(width_w), np.concatenate(price)
    best = np.lexsort((rows, -prices))
    before_w = np.cumsum(widths[best]) - widths[best]
    taken_w = np.clip(free_w - before_w, 0.0, widths[best])
    return np.bincount(rows[best], weights=taken_w, minlength=len(curves)).astype(np.float64)


def hull(curve: Curve) -> tuple[FloatColumn, FloatColumn]:
    """Edges and falling prices of the curve's upper hull: neighbours that rise are pooled to their mean."""
    edges: list[float] = [float(curve.power_w[0])]
    prices: list[float] = []
    for end_w, price in zip(curve.power_w[1:].tolist(), curve.marginal_hs_per_w[1:].tolist(), strict=True):
        edges.append(end_w)
        prices.append(price)
        while len(prices) > 1 and prices[-2] < prices[-1]:
            left_w, right_w = edges[-2] - edges[-3], edges[-1] - edges[-2]
            whole_w = left_w + right_w
            pooled = (prices[-2] * left_w + prices[-1] * right_w) / whole_w if whole_w else prices[-1]
            del edges[-2], prices[-1]
            prices[-1] = pooled
    if not prices:  # a single point can still have room between its bounds
        edges.append(edges[0])
        prices.append(0.0)
    return np.array(edges), np.array(prices)


def _pro_rata(max_w: FloatColumn, low_w: FloatColumn, high_w: FloatColumn, free_w: float) -> FloatColumn:
    """The one level k at which clip(k * max) sums up: between two of its corners it is a straight line."""
    safe_w = np.maximum(max_w, 1.0)
    corners = np.unique(np.concatenate([low_w / safe_w, high_w / safe_w]))
    if not len(corners):
        return np.zeros(0)
    sums_w = np.clip(corners[:, None] * safe_w, low_w, high_w).sum(axis=1) - low_w.sum()
    level = float(np.interp(free_w, sums_w, corners))
    return np.clip(level * safe_w, low_w, high_w) - low_w


def _rotated(low_w: FloatColumn, high_w: FloatColumn, free_w: float, turn: int) -> FloatColumn:
    room_w = high_w - low_w
    if not len(room_w):
        return room_w
    order = np.roll(np.arange(len(room_w)), -(turn % len(room_w)))
    before_w = np.cumsum(room_w[order]) - room_w[order]
    got_w = np.zeros(len(room_w))
    got_w[order] = np.clip(free_w - before_w, 0.0, room_w[order])
    return got_w


def _share(site: Site, within: Bounds, share_w: float, rule: Rule) -> Share:
    why: str = rule.value
    if share_w >= within.high_w - AT_BOUND_W:
        why = within.high_why
    elif share_w <= within.low_w + AT_BOUND_W:
        why = within.low_why
    return Share(site=site.name, share_w=share_w, why=why)
