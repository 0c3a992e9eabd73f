"""What miners draw at the plug for what they report: learned miner by miner from the meters of their circuits.

Devices report 5-20 % off a PDU (DEVICES section 6), and not all alike. The nearest metered circuit above a miner tells
the sum of its miners; normalised least mean squares (Widrow and Hoff 1960) deals the difference out to them in
proportion to what each draws, so that miners which move at different times are told apart, and those which never do
share what their circuit shows. What cools a container counts as drawn by its miners.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from farmctl.core.confirm import Seen
from farmctl.core.fleet import CircuitTree, FleetTable, FleetView
from farmctl.core.memory import MeterLoop, RowMemory, Standing
from farmctl.core.units import MS_PER_S, FloatColumn, IntColumn

RATE_PER_S = 0.03
"""Share of an error that is learned in a second; half a minute to a new circuit, and slow beside meter noise."""
LONGEST_S = 5.0
BOUNDS = (0.8, 1.3)
DEAD_BAND = 0.004
"""Share of a circuit's load below which an error teaches nothing."""
TELLING_W = 500.0
"""A circuit that draws less says nothing about its miners."""
STILL_S = 15.0
"""Since the last command to any miner of the circuit."""
NOWHERE = -1


def at_the_plug(view: FleetView, rows: RowMemory) -> FleetView:
    """The view with every miner's watts and scale as its circuit's meter would have them."""
    if view.circuits.metered is None or (rows.plug_ratio == 1.0).all():
        return view
    table = view.table
    power_w, scale = table.power_w * rows.plug_ratio, table.power_scale * rows.plug_ratio
    return replace(view, table=replace(table, power_w=power_w, power_scale=scale))


def taught(rows: RowMemory, view: FleetView, seen: Seen, now_ms: int, elapsed_s: float) -> RowMemory:
    """Learn from every circuit whose miners stand still and whose meter, and those below it, speak.

    `view` and `seen` are at the plug already; nothing is learned from the revenue meter, the site's own loop is.
    """
    tree = view.circuits
    if tree.metered is None or not len(view.table):
        return rows
    teacher = _nearest_meter(tree)[view.table.node]
    nodes, tells = len(tree.names), teacher != NOWHERE
    of = np.where(tells, teacher, 0)
    own_w = _own_w(tree)
    moving = (rows.standing == Standing.PENDING) | (now_ms - rows.commanded_ms < STILL_S * MS_PER_S) | ~seen.fresh
    still = np.bincount(of, weights=moving & tells, minlength=nodes) == 0
    power_w = np.where(tells, seen.power_now_w, 0.0)
    sum_w = np.bincount(of, weights=power_w, minlength=nodes)
    square = np.bincount(of, weights=power_w**2, minlength=nodes)
    error_w = own_w - sum_w
    says = still & np.isfinite(error_w) & (sum_w > TELLING_W) & (np.abs(error_w) > DEAD_BAND * sum_w)
    if not says.any():
        return rows
    weight = 1.0 - (1.0 - RATE_PER_S) ** min(elapsed_s, LONGEST_S)
    change_w = np.where(says, error_w / np.maximum(square, 1.0), 0.0)[of] * weight * power_w**2
    grown = np.where(power_w > 0, 1.0 + change_w / np.maximum(power_w, 1.0), 1.0)
    return replace(rows, plug_ratio=np.clip(rows.plug_ratio * grown, *BOUNDS))


def kept_in_step(loop: MeterLoop, table: FleetTable, before: RowMemory, after: RowMemory) -> MeterLoop:
    """The site's model shows what it showed: what the rows are now known to draw was part of the rest."""
    if after.plug_ratio is before.plug_ratio:
        return loop
    grown = after.plug_ratio / before.plug_ratio - 1.0
    more_w = float(np.nansum(table.power_w * grown))
    return replace(loop, unexplained_w=loop.unexplained_w - loop.gain * more_w, anchor=None, reports=())


def _nearest_meter(tree: CircuitTree) -> IntColumn:
    """For every circuit the nearest metered one, itself or above; NOWHERE where there is none below the root."""
    nearest = np.full(len(tree.names), NOWHERE, dtype=np.int64)
    for n in range(1, len(nearest)):
        metered = tree.metered is not None and tree.metered[n]
        nearest[n] = n if metered else nearest[tree.parent[n]]
    return nearest


def _own_w(tree: CircuitTree) -> FloatColumn:
    """What each meter shows beyond the meters below it, W; NaN where one of them is silent."""
    own_w = tree.meter_w.copy()
    nearest = _nearest_meter(tree)
    for n in range(len(own_w) - 1, 0, -1):
        above = nearest[tree.parent[n]]
        if nearest[n] == n and above != NOWHERE:
            own_w[above] -= tree.meter_w[n]
    return own_w
