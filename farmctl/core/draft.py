"""The plan while it is being made, and what it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.confirm import Seen
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Standing
from farmctl.core.meter_loop import SitePower
from farmctl.core.model import Budget
from farmctl.core.moves import Moves
from farmctl.core.outlook import CLEAR, Outlook
from farmctl.core.units import FloatColumn, IntColumn

SLOW_S = 8.0
"""A move that takes longer than its partner's is an error for as long."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ask:
    """What the allocator is asked for in this cycle."""

    budget: Budget
    ramp_w: float
    """Where the up-ramp permits the site to be now."""
    may_raise: bool
    may_wake: bool
    wake_credit_w: FloatColumn
    """Per node; only feeders' entries count."""
    soon_s: float
    """Rows that can be down within this time are asked first."""
    outlook: Outlook = CLEAR
    """When the target is known to fall."""
    refine: int = 0
    """Commands that may be spent on a better operating point at the same power."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Draft:
    """The plan while it is being made; its two columns are written in place, and by nobody else."""

    view: FleetView
    step: IntColumn
    plan_w: FloatColumn

    def take(self, moves: Moves) -> None:
        """Make the moves; of a row that is in twice, throttle then sleep, the later entry stands."""
        self.step[moves.row] = moves.end
        self.refresh(moves.row)

    def put(self, row: int, step: int) -> None:
        """Set one row."""
        self.step[row] = step
        self.refresh(np.array([row]))

    def refresh(self, rows: IntColumn) -> None:
        """Plan these rows at the nominal draw of their steps."""
        table, step = self.view.table, self.step[rows]
        watts = self.view.ladders.power_w[table.ladder[rows], step]
        self.plan_w[rows] = np.where(step > 0, watts * table.power_scale[rows], watts)


def site_w(site: SitePower, rows_w: FloatColumn) -> float:
    """What the meter will show when the rows draw this."""
    return site.gain * float(rows_w.sum()) + site.unexplained_w


def present_w(draft: Draft, seen: Seen) -> FloatColumn:
    """The plan, with every row that falls slowly at what it still draws: nothing is raised into room that is to come.

    A miner that takes a minute to sleep and the fast one that takes over would else both run for that minute.
    """
    rows, book, table = seen.rows, draft.view.ladders, draft.view.table
    falling = np.flatnonzero((rows.standing == Standing.PENDING) & (seen.power_now_w > draft.plan_w) & (seen.top >= 0))
    if not len(falling):
        return draft.plan_w
    ladder = table.ladder[falling]
    seconds = np.where(draft.step[falling] == 0, book.down_s[ladder], book.trim_s[ladder])
    slow = falling[seconds > SLOW_S]
    watts = draft.plan_w.copy()
    watts[slow] = seen.power_now_w[slow]
    return watts


def planned_w(seen: Seen) -> FloatColumn:
    """What each row will draw: measured where it is settled and seen, nominal where it is on its way."""
    rows = seen.rows
    on_its_way = (rows.standing == Standing.PENDING) & seen.movable
    return np.where(on_its_way, seen.wanted_w, seen.power_now_w)
