"""How long until the site is where it is wanted: what is on its way, and what still waits for the ramp."""

from __future__ import annotations

import numpy as np

from farmctl.core.confirm import Seen, nominal_at
from farmctl.core.fleet import NO_LADDER, FleetView
from farmctl.core.memory import RowMemory, Standing
from farmctl.core.units import MS_PER_S

MOST = 0.95
"""The site counts as there when this share of the watts on their way has arrived."""


def eta_s(view: FleetView, seen: Seen, rows: RowMemory, waiting_w: float, now_ms: int) -> float:
    """Seconds until most of the commanded power has moved; `waiting_w` is what the up-ramp still holds back."""
    table, book = view.table, view.ladders
    index = np.flatnonzero((rows.standing == Standing.PENDING) & (table.ladder != NO_LADDER))
    ramp_s = max(waiting_w, 0.0) / max(view.rules.ramp_up_w_per_s, 1.0)
    if not len(index):
        return round(ramp_s, 1)
    ladder = table.ladder[index]
    asleep = rows.wanted[index] == 0
    waking = (rows.before[index] == 0) & ~asleep
    seconds = np.where(asleep, book.down_s[ladder], np.where(waking, book.up_s[ladder], book.trim_s[ladder]))
    left_s = np.maximum(rows.commanded_ms[index] + seconds * MS_PER_S - now_ms, 0.0) / MS_PER_S
    moving_w = np.abs(nominal_at(view, index, rows.wanted[index]) - seen.power_now_w[index])
    order = np.argsort(left_s, kind="stable")
    arrived_w = np.cumsum(moving_w[order])
    most = int(np.searchsorted(arrived_w, MOST * arrived_w[-1]))
    return round(float(left_s[order][min(most, len(order) - 1)]) + ramp_s, 1)
