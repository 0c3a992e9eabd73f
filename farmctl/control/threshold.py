"""Counterfactuals of one miner: at which target of the site the core would lower it, put it to sleep or raise it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from farmctl.control.plan import held_at, imagine
from farmctl.control.strip import Site
from farmctl.core.confirm import Seen, top_step
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.policies import POLICIES
from farmctl.ports.control import SitePicture

CHEAP_ROWS = 3_000
"""A step over so many rows takes a few ms (SCALE section 4); above, the answer is coarser, then left out."""
MOST_ROWS = 100_000
HALVINGS = 11
COARSE_HALVINGS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Site targets, W, at which the core would move a miner from where it is wanted now; None: at none."""

    lowered_at_w: float | None = None
    """At or below."""
    asleep_at_w: float | None = None
    """At or below."""
    raised_at_w: float | None = None
    """At or above; ramps and start packets may make it wait."""
    resolution_w: float = 0.0
    """How far the true place may be away, to the side where nothing moves yet."""


def thresholds(picture: SitePicture, row: int, site: Site) -> Thresholds:
    """Ask the core itself, by halving; at most some thirty steps, so call it off the loop."""
    rows, now = len(picture.view.table), int(picture.decision.allocation.step[row])
    if rows > MOST_ROWS or now < 0:
        return Thresholds()
    halvings = HALVINGS if rows <= CHEAP_ROWS else COARSE_HALVINGS
    planned_w = max(picture.decision.allocation.planned_w, 0.0)
    top_w = max(picture.decision.budget.ceiling_w, planned_w)
    known: dict[float, int] = {}

    def at(target_w: float) -> int:
        if target_w not in known:
            known[target_w] = int(imagine(picture, held_at(picture, target_w), site).after[row])
        return known[target_w]

    return Thresholds(
        lowered_at_w=_edge(0.0, planned_w, lambda target_w: at(target_w) < now, halvings),
        asleep_at_w=_edge(0.0, planned_w, lambda target_w: at(target_w) == 0, halvings) if now > 0 else None,
        raised_at_w=_edge(top_w, planned_w, lambda target_w: at(target_w) > now, halvings),
        resolution_w=max(planned_w, top_w - planned_w) / 2**halvings,
    )


def shed_order(view: FleetView, seen: Seen, row: int, policy: str) -> tuple[int | None, int]:
    """Place of a miner among those that can give up power, 1 goes first, and how many they are.

    By tier, then worth per watt at full, as the policy has them; a deadline may put slow machines behind.
    """
    rules, table = POLICIES[policy].at(view, seen.rows), view.table
    rows = np.flatnonzero(seen.movable & ~table.protected & (table.ladder != NO_LADDER))
    if row not in rows:
        return None, len(rows)
    ladder, top = table.ladder[rows], top_step(view)[rows]
    worth = rules.worth(view)[ladder, top] * rules.weight(view)[rows]
    per_w = worth / (view.ladders.power_w[ladder, top] * table.power_scale[rows])
    order = rows[np.lexsort((rows, per_w, -rules.rank(view)[rows]))]
    return int(np.flatnonzero(order == row)[0]) + 1, len(rows)


def _edge(sure_w: float, now_w: float, moves: Callable[[float], bool], halvings: int) -> float | None:
    """The target nearest to now at which the miner still moves; None where it does not move at the far end."""
    if not moves(sure_w):
        return None
    still_w = now_w
    for _ in range(halvings):
        middle_w = (sure_w + still_w) / 2.0
        if moves(middle_w):
            sure_w = middle_w
        else:
            still_w = middle_w
    return sure_w
