"""Modelled devices as columns: what N miners truly draw, and what they say they do. Told the time and the dice.

A miner that is put to sleep falls to its standby over its ladder's `down_s`; between awake points it moves over
`trim_s`; a wake stands at standby for `up_s - trim_s` (the boot) and climbs in the last `trim_s`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from farmctl.core.fleet import NO_LADDER, FleetTable, LadderBook
from farmctl.core.model import MinerState, PowerSource
from farmctl.core.units import DAY_MS, MS_PER_S, FloatColumn, IntColumn, MaskColumn

STRANGER_W = 3_000.0
"""Draw of a miner of which no operating points are known."""
WARMEST_MS = 15 * 3_600_000
"""UTC time of day at which the ambient drift peaks."""
THERE_W = 0.5
RUNS_SHARE = 0.5
"""A waking miner hashes from this share of its draw on."""
FASTEST_S = 1.0
SCALE_WEIGHT, SCALE_GRAIN = 0.5, 0.005
SCALE_BOUNDS = (0.7, 1.3)
"""As the engine learns a miner's own scale from its polls (`engine.fleet`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How far the devices are from their ladders."""

    spread: float = 0.015
    """Standard deviation of the draw between machines of one model (simulators: the same)."""
    ambient_swing: float = 0.07
    """Draw of the warmest over the coldest hour less 1; a T21 drew 7.3 % more and less in a day (SCALE section 4)."""
    report_error: float = 0.05
    """Devices say so much less than they draw: 5-20 % off a PDU (DEVICES section 6)."""
    deaf_share: float = 0.002
    """Say yes to a command and do nothing."""
    silent_share: float = 0.003
    """Answer nothing and go on at full."""
    aux_share: float = 0.03
    """Cooling and losses that follow the load, share of it."""
    aux_base_share: float = 0.01
    """Cooling and losses that do not, share of the full load."""
    meter_noise: float = 0.0005
    """Standard deviation of a meter reading, share of it."""


class Devices:
    """The state of all rows; every row starts at full."""

    def __init__(self, book: LadderBook, ladder: IntColumn, world: World, dice: np.random.Generator) -> None:
        rows = len(ladder)
        self._book, self._ladder, self._world, self._dice = book, ladder, world, dice
        self._known = ladder != NO_LADDER
        self._of = np.where(self._known, ladder, 0)
        self.step = np.where(self._known, book.steps[self._of] - 1, 0).astype(np.int64)
        self.own = np.clip(dice.normal(1.0, world.spread, rows), 1 - 3 * world.spread, 1 + 3 * world.spread)
        """Draw over the ladder's."""
        self._says = 1.0 - world.report_error * dice.uniform(0.5, 1.5, rows)
        self.deaf: MaskColumn = dice.random(rows) < world.deaf_share
        self.silent: MaskColumn = dice.random(rows) < world.silent_share
        self._full_w = np.where(self._known, book.power_w[self._of, self.step], STRANGER_W)
        self.level_w = self._goal_w(np.arange(rows))
        """Draw before the ambient drift, W."""
        self._wait_s = np.zeros(rows)
        self._rate_w = self._full_w.copy()
        """W per second of the move under way."""
        self._moving = np.zeros(0, dtype=np.int64)
        self._news = np.ones(rows, dtype=np.bool_)
        """Rows whose setting or state has changed since they were last heard."""
        self._slot_ms = dice.integers(0, DAY_MS, rows)
        self._drift = 1.0
        self._stale_hash, self._hash_hs = True, 0.0
        self._aux_w = (world.aux_share + world.aux_base_share) * float(self.level_w.sum())

    @property
    def moving(self) -> int:
        """Rows that are on their way."""
        return len(self._moving)

    @property
    def miners_w(self) -> float:
        """True sum at the plugs, W."""
        return float(self.level_w.sum()) * self._drift

    def meter_w(self) -> float:
        """True power of the site, W: miners, cooling and losses."""
        return self.miners_w + self._aux_w

    def reading_w(self) -> float:
        """What the meter says: the truth and its noise."""
        return self.meter_w() * (1.0 + self._world.meter_noise * float(self._dice.standard_normal()))

    def hash_rate_hs(self) -> float:
        """Of all rows that run, H/s; summed anew only after something has moved."""
        if self._stale_hash:
            share = self.level_w / np.maximum(self._goal_w(np.arange(len(self.step))), 1.0)
            rate = self._book.hash_rate_hs[self._of, self.step] * np.clip(share, 0.0, 1.0)
            self._hash_hs = float(rate[self._known & (self.step > 0) & (self._wait_s <= 0)].sum())
            self._stale_hash = False
        return self._hash_hs

    def advance(self, dt_s: float, now_ms: int) -> None:
        """Let time pass."""
        row = self._moving
        if len(row):
            self._stale_hash = True
            waited_s = np.minimum(self._wait_s[row], dt_s)
            self._wait_s[row] -= waited_s
            most_w = self._rate_w[row] * (dt_s - waited_s)
            left_w = self._goal_w(row) - self.level_w[row]
            self.level_w[row] += np.clip(left_w, -most_w, most_w)
            self._news[row] = True
            self._moving = row[np.abs(left_w) - most_w > THERE_W]
        place = 2.0 * math.pi * ((now_ms - WARMEST_MS) % DAY_MS) / DAY_MS
        self._drift = 1.0 + 0.5 * self._world.ambient_swing * math.cos(place)
        goal_w = self._world.aux_share * self.miners_w + self._world.aux_base_share * float(self._full_w.sum())
        self._aux_w += (goal_w - self._aux_w) * (1.0 - math.exp(-dt_s / 20.0))

    def obey(self, table: FleetTable, rows: IntColumn, steps: IntColumn, now_ms: int) -> None:
        """Commands arrive; the answer is written where the engine would write it."""
        silent = self.silent[rows]
        table.refused_ms[rows[silent]] = now_ms
        heard, steps = rows[~silent], steps[~silent]
        table.sent_ms[heard] = now_ms
        table.acked_ms[heard] = now_ms
        follows = ~self.deaf[heard]
        row, step = heard[follows], steps[follows]
        book, ladder = self._book, self._of[row]
        waking = (self.step[row] == 0) & (step > 0)
        seconds = np.where(step == 0, book.down_s[ladder], book.trim_s[ladder])
        self.step[row] = step
        self._rate_w[row] = self._full_w[row] / np.maximum(seconds, FASTEST_S)
        boot_s = np.maximum(book.up_s[ladder] - book.trim_s[ladder], 0.0)
        self._wait_s[row] = np.where(waking, boot_s, 0.0)
        self._news[row] = True
        self._moving = np.union1d(self._moving, row)

    def due(self, last_ms: int, now_ms: int, poll_ms: int, waiting: MaskColumn) -> MaskColumn:
        """Rows whose slot of the poll interval has come since the last look; those `waiting` are asked each time."""
        come: MaskColumn = (now_ms - self._slot_ms) // poll_ms != (last_ms - self._slot_ms) // poll_ms
        return waiting | come

    def answer(self, table: FleetTable, due: MaskColumn, now_ms: int) -> None:
        """Write what the polled miners say into their columns."""
        table.tried_ms[due] = now_ms
        heard = due & ~self.silent
        table.seen_ms[heard] = now_ms
        table.power_w[heard] = np.round(self.level_w * (self._drift * self._says))[heard]
        row = np.flatnonzero(heard & self._news)
        if not len(row):
            return
        self._news[row] = False
        ladder, step = self._of[row], self.step[row]
        goal_w = np.maximum(self._goal_w(row), 1.0)
        share = np.clip(self.level_w[row] / goal_w, 0.0, 1.0)
        runs = (step > 0) & (self._wait_s[row] <= 0) & (share > RUNS_SHARE)
        top = step == self._book.steps[ladder] - 1
        state = np.where(top, MinerState.HASHING, MinerState.THROTTLED)
        state = np.where(runs, state, np.where(step > 0, MinerState.BOOTING, MinerState.CURTAILED))
        falling = (step == 0) & (share >= 1.0) & (self.level_w[row] > goal_w + THERE_W)
        state = np.where(falling, MinerState.HASHING, state)
        table.state[row] = np.where(self._known[row], state, MinerState.HASHING)
        table.step[row] = np.where(self._known[row] & ~falling, step, -1)
        table.hash_rate_hs[row] = np.where(runs, self._book.hash_rate_hs[ladder, step] * share, 0.0)
        table.power_source[row] = PowerSource.DEVICE

    def teach(self, table: FleetTable, now_ms: int, settled_s: float) -> None:
        """Learn each row's own scale from what it says at a settled point, as the engine does from its polls."""
        quiet = now_ms - table.sent_ms > settled_s * MS_PER_S
        quiet &= self._known & (table.step > 0) & (table.state != MinerState.BOOTING) & (table.seen_ms == now_ms)
        row = np.flatnonzero(quiet)
        nominal_w = self._book.power_w[self._of[row], table.step[row]]
        old = table.power_scale[row]
        new = old + SCALE_WEIGHT * (table.power_w[row] / nominal_w - old)
        moved = np.abs(new - old) >= SCALE_GRAIN
        grained = np.clip(np.round(new / SCALE_GRAIN) * SCALE_GRAIN, *SCALE_BOUNDS)
        table.power_scale[row[moved]] = grained[moved]

    def _goal_w(self, row: IntColumn) -> FloatColumn:
        watts = self._book.power_w[self._of[row], self.step[row]]
        awake_w = np.where(self._known[row], watts, self._full_w[row]) * self.own[row]
        return np.where((self.step[row] > 0) | ~self._known[row], awake_w, watts)
