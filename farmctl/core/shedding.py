"""The way down: the fewest commands that bring site and circuits under their numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farmctl.core.circuits import ancestors_at, depths, node_load_w
from farmctl.core.draft import Draft
from farmctl.core.fleet import FleetView
from farmctl.core.moves import Moves, best_step_within, downward
from farmctl.core.policies import Policy
from farmctl.core.units import CodeColumn, MaskColumn


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shedder:
    """Who may give way, and in which order."""

    view: FleetView
    policy: Policy
    throttle: MaskColumn
    sleep: MaskColumn
    soon_s: float
    """Rows that can sleep within this time are asked first."""
    trim_soon_s: float
    """Rows that can throttle within this time are asked first."""
    wear: CodeColumn
    """Cycles of each row today: among equals the least worn sleeps first."""
    waking: MaskColumn
    """Rows on their way up that draw little yet."""
    restarts: MaskColumn
    """Rows whose process restarts between two awake points: for minutes they give up all they draw."""

    def shed(self, draft: Draft, need_w: float, among: MaskColumn | None = None, *, must_w: float = 0.0) -> float:
        """Lower rows in place until `need_w` is given up; the marginal worth per watt.

        A row that restarts on its way to less sleeps instead. One that may not sleep is restarted only for `must_w`,
        what stands above a limit, where nobody else is left.
        """
        given_w, marginal = self._lower(draft, need_w, among, throttle=self.throttle & ~self.restarts)
        if given_w < must_w and self.restarts.any():
            more_w, last = self._lower(draft, must_w - given_w, among, throttle=self.throttle & self.restarts)
            return last if more_w > 0 else marginal
        return marginal

    def _lower(
        self, draft: Draft, need_w: float, among: MaskColumn | None, *, throttle: MaskColumn
    ) -> tuple[float, float]:
        """What was given up of `need_w`, and the marginal worth per watt; NaN where nobody can give way."""
        throttle = throttle if among is None else throttle & among
        sleep = self.sleep if among is None else self.sleep & among
        moves = downward(
            self.view,
            draft.step,
            self.policy,
            may_throttle=throttle,
            may_sleep=sleep,
            soon_s=self.soon_s,
            trim_soon_s=self.trim_soon_s,
            waking=self.waking,
            wear=self.wear,
            plan_w=draft.plan_w,
        )
        if not len(moves):
            return 0.0, float("nan")
        given = np.cumsum(moves.power_w)
        count = min(int(np.searchsorted(given, need_w)) + 1, len(moves))
        taken = moves.only(np.arange(len(moves)) < count)
        draft.take(taken)
        given_w = float(given[count - 1])
        self._trim_last(draft, taken, given_w - need_w)
        return given_w, float(taken.worth_per_w[-1])

    def _trim_last(self, draft: Draft, taken: Moves, surplus_w: float) -> None:
        """The last row gives up no more than it must."""
        row, start = int(taken.row[-1]), int(taken.start[-1])
        if surplus_w <= 0 or taken.end[-1] == 0:
            return
        fits = best_step_within(self.view, row, float(draft.plan_w[row]) + surplus_w, start)
        if fits > draft.step[row]:
            draft.put(row, fits)


def relieve(draft: Draft, shedder: Shedder) -> MaskColumn:
    """Shed under every node whose plan is above its rating, leaves first; which rows sit under such a node."""
    tree, node_of_row = draft.view.circuits, draft.view.table.node
    held = np.zeros(len(draft.step), dtype=np.bool_)
    if not len(held):
        return held
    load_w = node_load_w(tree, node_of_row, draft.plan_w)
    if not np.any(load_w > tree.rating_w):
        return held
    depth_of = depths(tree)
    above = np.flatnonzero(load_w > tree.rating_w)  # relieving one node never loads another
    for node in above[np.argsort(-depth_of[above], kind="stable")]:
        excess_w = float(load_w[node] - tree.rating_w[node])
        if excess_w > 0:
            under = ancestors_at(tree, int(depth_of[node]))[node_of_row] == node
            shedder.shed(draft, excess_w, among=under, must_w=excess_w)
            held |= under
            load_w = node_load_w(tree, node_of_row, draft.plan_w)
    return held
