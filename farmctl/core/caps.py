"""Single miners that operators hold at a power: the highest step that each of them may take."""

from __future__ import annotations

import numpy as np

from farmctl.core.confirm import Seen
from farmctl.core.draft import Draft
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.units import IntColumn, MaskColumn

FREE = 2**15 - 1
"""Above every ladder's top."""
GRACE = 0.01
"""A point may exceed the wanted watts by this share: what is learned of a miner's draw is no finer."""


def capped(view: FleetView, now_ms: int) -> IntColumn | None:
    """Highest permitted step of every row, shape (rows,), `FREE` where nobody holds it; None where all are free.

    The highest point that draws no more than was ordered; below the lowest awake one the miner sleeps.
    """
    live = [order for order in view.overrides if order.miners and order.set_at_ms <= now_ms < order.expires_ms]
    if not live:
        return None
    table, book = view.table, view.ladders
    cap_w = np.full(len(table), np.inf)
    for order in live:
        rows = np.isin(table.miner_id, np.array(order.miners))
        cap_w[rows] = np.minimum(cap_w[rows], order.target_w)
    cap = np.full(len(table), FREE, dtype=np.int64)
    held = np.flatnonzero(np.isfinite(cap_w) & (table.ladder != NO_LADDER))
    points_w = book.power_w[table.ladder[held]] * table.power_scale[held, None]
    cap[held] = np.maximum((points_w <= cap_w[held, None] * (1.0 + GRACE)).sum(axis=1) - 1, 0)
    return cap


def clip(draft: Draft, seen: Seen) -> None:
    """Lower in place what is above its cap; no lock delays it."""
    cap = draft.view.cap
    if cap is None:
        return
    rows = np.flatnonzero(seen.movable & (draft.step > cap))
    draft.step[rows] = cap[rows]
    draft.refresh(rows)


def is_held(view: FleetView) -> MaskColumn:
    """Rows that an operator holds one by one, shape (rows,)."""
    return np.zeros(len(view.table), dtype=np.bool_) if view.cap is None else np.asarray(view.cap != FREE)
