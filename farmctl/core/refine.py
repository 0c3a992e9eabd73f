"""The second phase: a few commands at a time, from where the fast phase left the fleet to where it hashes most.

Only pairs of moves are made, one row up for what others give up, so the site's power stays where it is. A pair serves
the better tier, which a deadline may have made sleep first, or gains more than a hysteresis: noise and equal machines
move nobody.
"""

from __future__ import annotations

import numpy as np

from farmctl.core.circuits import fitting, node_load_w
from farmctl.core.confirm import Seen
from farmctl.core.draft import SLOW_S, Draft
from farmctl.core.ideal import Bounds, ideal
from farmctl.core.memory import Standing
from farmctl.core.moves import best_step_within, restarting
from farmctl.core.policies import Policy
from farmctl.core.units import FloatColumn, IntColumn, MaskColumn

HYSTERESIS = 0.03
"""A watt must be worth this share more where it goes than where it comes from."""
WAKING_SHARE = 0.003
"""So much of the site's load may be booting, or winding down, for the sake of economy: until they are done the
site is that far off its number."""


def refine(draft: Draft, seen: Seen, bounds: Bounds, policy: Policy, *, allowance: int, spare_w: float) -> int:
    """Make the best pairs of moves, `allowance` commands at most, in place; returns how many rows were moved.

    `spare_w` is what could be raised before the lowering is confirmed, W of the rows.
    """
    view = draft.view
    total_w = float(draft.plan_w.sum())
    best = ideal(view, policy, bounds, total_w)
    start = draft.step.copy()
    # A better mode is not worth minutes without any hash rate, nor the hole in the site's power.
    idle_between = restarting(view) & (draft.step > 0) & (best.step > 0)
    change = np.where(bounds.free & ~idle_between, best.step - draft.step, 0)
    ups, downs = (
        _changes(draft, policy, best.step, np.flatnonzero(change > 0)),
        _changes(draft, policy, best.step, np.flatnonzero(change < 0)),
    )
    ups = ups.sorted(ups.tier, -ups.price)
    downs = downs.sorted(-downs.tier, downs.price)
    ups = _possible(draft, seen, ups, total_w, spare_w)
    downs = downs.first(_room_for_slow(draft, seen, downs, best.step, total_w))
    if not len(ups.row) or not len(downs.row):
        return 0
    up_w, down_w = np.cumsum(ups.watts), np.cumsum(downs.watts)
    partner = np.searchsorted(down_w, up_w)
    paired = np.flatnonzero(partner < len(down_w))
    count = paired + 1 + partner[paired] + 1
    paid, lost = ups.price[paired], downs.price[partner[paired]]
    tiers = downs.tier[partner[paired]] - ups.tier[paired]
    # A machine that only stops is no partner for a rest that is much less than it draws.
    used_up = down_w[partner[paired]] <= up_w[-1] + WAKING_SHARE * total_w
    gains = ((tiers > 0) & used_up) | ((tiers == 0) & (paid > lost + HYSTERESIS * np.abs(lost)))
    good = np.flatnonzero(gains & (count <= allowance))
    if not len(good):
        return 0
    last = int(paired[good[-1]])
    ups, downs = ups.first(last + 1), downs.first(int(partner[last]) + 1)
    # Who takes over from a miner that falls for a minute is raised as it falls, by the fast phase.
    fast_w = float(downs.watts[~_slow(draft, downs, best.step)].sum())
    now = int(np.searchsorted(up_w, fast_w, side="right"))
    rows = np.concatenate([ups.row[:now], downs.row])
    draft.step[rows] = best.step[rows]
    draft.refresh(rows)
    if now == last + 1:
        _give_back(draft, int(downs.row[-1]), float(down_w[partner[last]] - up_w[last]), start)
    return len(rows)


def _give_back(draft: Draft, row: int, surplus_w: float, start: IntColumn) -> None:
    """The last row to give way gives no more than its partners need."""
    fits = best_step_within(draft.view, row, float(draft.plan_w[row]) + surplus_w, int(start[row]))
    if fits > draft.step[row] > 0:
        draft.put(row, fits)


class _Changes:
    """Rows that would move, the watts each moves, the worth of one of them, and their tiers."""

    def __init__(self, row: IntColumn, watts: FloatColumn, price: FloatColumn, tier: IntColumn) -> None:
        self.row, self.watts, self.price, self.tier = row, watts, price, tier

    def first(self, count: int) -> _Changes:
        """The first of them."""
        return self.only(slice(count))

    def sorted(self, tier: IntColumn, key: FloatColumn) -> _Changes:
        """By tier, then by this key, ties by row."""
        return self.only(np.lexsort((self.row, key, tier)))

    def only(self, which: IntColumn | MaskColumn | slice) -> _Changes:
        """Some of them, in the order given."""
        return _Changes(self.row[which], self.watts[which], self.price[which], self.tier[which])


def _changes(draft: Draft, policy: Policy, step: IntColumn, row: IntColumn) -> _Changes:
    view = draft.view
    ladder, worth, power_w = view.table.ladder[row], policy.worth(view), view.ladders.power_w
    scale = view.table.power_scale[row]

    def draw(of: IntColumn) -> FloatColumn:
        return np.where(of > 0, power_w[ladder, of] * scale, power_w[ladder, of])

    start, end = draft.step[row], step[row]
    watts = np.abs(draw(end) - draw(start))
    sign = np.where(end > start, 1.0, -1.0)
    value = sign * (worth[ladder, end] - worth[ladder, start]) * policy.weight(view)[row]
    return _Changes(row, watts, value / np.maximum(watts, 1.0), view.table.tier[row].astype(np.int64))


def _slow(draft: Draft, downs: _Changes, step: IntColumn) -> MaskColumn:
    """Lowering moves that take long."""
    book, row = draft.view.ladders, downs.row
    ladder = draft.view.table.ladder[row]
    seconds: FloatColumn = np.where(step[row] == 0, book.down_s[ladder], book.trim_s[ladder])
    slow: MaskColumn = seconds > SLOW_S
    return slow


def _room_for_slow(draft: Draft, seen: Seen, downs: _Changes, step: IntColumn, total_w: float) -> int:
    """How many of the lowering moves may be made while slow ones are still on their way."""
    rows, slow = seen.rows, _slow(draft, downs, step)
    falling = (rows.standing == Standing.PENDING) & (rows.wanted < rows.before)
    falling_w = float(np.maximum(seen.power_now_w - draft.plan_w, 0.0)[falling].sum())
    within = falling_w + np.cumsum(np.where(slow, downs.watts, 0.0)) <= max(WAKING_SHARE * total_w, 0.0)
    first = np.flatnonzero(slow)[:1]
    if falling_w == 0 and len(first):  # one at a time is always possible
        within[: int(first[0]) + 1] = True
    return int(np.argmin(within)) if not within.all() else len(within)


def _possible(draft: Draft, seen: Seen, ups: _Changes, total_w: float, spare_w: float) -> _Changes:
    """Those that stay inside every rating and the ceiling while the lowering is unconfirmed, and few sleepers."""
    view, rows = draft.view, seen.rows
    tree, node = view.circuits, view.table.node
    worst_w = np.maximum(seen.counted_w, draft.plan_w)
    fits = fitting(tree, node[ups.row], ups.watts, tree.rating_w - node_load_w(tree, node, worst_w))
    waking = draft.step[ups.row] == 0
    booting = (rows.standing == Standing.PENDING) & (rows.before == 0) & (rows.wanted > 0)
    boot_w = float(np.maximum(draft.plan_w - seen.power_now_w, 0.0)[booting].sum())
    fits &= ~waking | (boot_w + np.cumsum(np.where(waking, ups.watts, 0.0)) <= WAKING_SHARE * total_w)
    fits &= np.cumsum(np.where(fits, ups.watts, 0.0)) <= spare_w
    return ups.only(fits)
