"""Counterfactuals of one miner: at which target of the site it would be lowered, put to sleep or raised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.allocate import DEAD_BAND, DEAD_BAND_W
from farmctl.core.moves import Moves, downward, upward
from farmctl.core.policies import POLICIES
from farmctl.core.step import SOON_S
from farmctl.core.units import FloatColumn
from farmctl.ports.control import SitePicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Site targets, W, at which the core would move a miner from where it is wanted now; None: at none."""

    lowered_at_w: float | None
    """At or below."""
    asleep_at_w: float | None
    """At or below."""
    raised_at_w: float | None
    """At or above; ramps, start packets and limits may make it wait or forbid it."""
    place: int | None
    """1 for the miner that gives up power first."""
    of: int
    """How many miners can give up power."""


def thresholds(picture: SitePicture, row: int, policy: str) -> Thresholds:
    """Walk the allocator's own list of moves, down and up from the present plan; O(rows log rows), no second plan."""
    view, decision = picture.view, picture.decision
    allocation, movable, rules = decision.allocation, decision.seen.movable, POLICIES[policy]
    step = allocation.step.astype(np.int64)
    yielding = movable & (~view.table.protected | decision.budget.emergency)
    down = downward(view, step, rules, may_throttle=yielding, may_sleep=yielding & ~allocation.min_on, soon_s=SOON_S)
    free = movable & ~allocation.circuit_held
    up = upward(view, step, rules, may_raise=free, may_wake=free & ~allocation.min_off)
    dead_w = max(DEAD_BAND * allocation.planned_w, DEAD_BAND_W)
    given_w = np.cumsum(down.power_w)
    lowered = [max(float(given_w[n] - down.power_w[n]), dead_w) for n in _of(down, row)]
    asleep = [max(float(given_w[n] - down.power_w[n]), dead_w) for n in _of(down, row) if down.end[n] == 0]
    taken_w: FloatColumn = np.cumsum(up.power_w)
    raised = [max(float(taken_w[n]), dead_w) for n in _of(up, row)]
    queue = down.row[np.sort(np.unique(down.row, return_index=True)[1])].tolist()
    return Thresholds(
        lowered_at_w=allocation.planned_w - min(lowered) if lowered else None,
        asleep_at_w=allocation.planned_w - min(asleep) if asleep else None,
        raised_at_w=allocation.planned_w + min(raised) if raised else None,
        place=queue.index(row) + 1 if row in queue else None,
        of=len(queue),
    )


def _of(moves: Moves, row: int) -> list[int]:
    return [int(n) for n in np.flatnonzero(moves.row == row)]
