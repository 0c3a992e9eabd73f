"""Guards of the single machine: too hot is lowered and not raised again before it has cooled, a fault is not raised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.confirm import Seen
from farmctl.core.draft import Draft
from farmctl.core.fleet import FleetView
from farmctl.core.model import MinerState
from farmctl.core.moves import throttle_step
from farmctl.core.reasons import CODE, Reason
from farmctl.core.units import MaskColumn

COOLED_C = 8.0
"""A row that was held for its heat may rise again when it is this much cooler than the limit."""
MUCH_C = 5.0
"""A row this far above the limit, or one that cannot throttle, sleeps."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Guarded:
    """Rows that may not rise, and why."""

    hot: MaskColumn
    faulty: MaskColumn

    @property
    def held(self) -> MaskColumn:
        """Either."""
        held: MaskColumn = self.hot | self.faulty
        return held


def guarded(view: FleetView, seen: Seen) -> Guarded:
    """Judged by fresh telemetry; a temperature that is not known says nothing."""
    table, limit_c = view.table, view.rules.hot_chip_c
    faulty = seen.fresh & (table.state == MinerState.FAULT)
    if limit_c is None:
        return Guarded(hot=np.zeros(len(table), dtype=np.bool_), faulty=faulty)
    warm = seen.fresh & (table.temperature_c >= limit_c - COOLED_C)
    was_hot = seen.rows.reason == CODE[Reason.TOO_HOT]
    return Guarded(hot=warm & ((table.temperature_c >= limit_c) | was_hot), faulty=faulty)


def cool(draft: Draft, seen: Seen, guards: Guarded) -> None:
    """Lower the hot rows in place: to their lowest awake point, far above the limit to sleep. No lock delays it."""
    view, limit_c = draft.view, draft.view.rules.hot_chip_c
    if limit_c is None or not guards.hot.any():
        return
    low = throttle_step(view)
    much = view.table.temperature_c >= limit_c + MUCH_C
    goal = np.where(much | (low == seen.top), 0, low)
    above = guards.hot & (view.table.temperature_c >= limit_c)
    rows = np.flatnonzero(above & seen.movable & (draft.step > goal))
    draft.step[rows] = goal[rows]
    draft.refresh(rows)
