"""A small site whose physics is re-told in a few lines: what miners truly draw, and what they say they do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from farmctl.core.fleet import CircuitTree, FleetTable, LadderBook, SiteRules
from farmctl.core.model import Ladder, MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.core.moves import RESTART_S
from farmctl.core.units import FloatColumn, IntColumn, MaskColumn


def ladder(
    name: str = "fast",
    *,
    full_w: float = 3_400.0,
    j_per_th: float = 20.0,
    throttle: bool | tuple[int, ...] = True,
    down_s: float = 5.0,
    up_s: float = 30.0,
    trim_s: float = 3.0,
) -> Ladder:
    """Sleep, 40..95 % in 5 % steps or these percents where it throttles, full; throttled ones are more efficient."""
    points = [OperatingPoint(kind=PointKind.SLEEP, power_w=40.0, hash_rate_hs=0.0, setting="sleep")]
    full_hs = full_w / j_per_th * 1e12
    for percent in range(40, 100, 5) if throttle is True else throttle or ():
        share = percent / 100
        points.append(
            OperatingPoint(
                kind=PointKind.THROTTLE,
                power_w=full_w * share,
                hash_rate_hs=full_hs * share**0.8,
                setting=f"percent:{percent}",
            )
        )
    points.append(OperatingPoint(kind=PointKind.FULL, power_w=full_w, hash_rate_hs=full_hs, setting="full"))
    return Ladder(name=name, points=tuple(points), down_s=down_s, up_s=up_s, trim_s=trim_s)


def rules(rated_w: float, **changes: Any) -> SiteRules:
    """Rules of a test site; every field may be replaced by name."""
    plain = SiteRules(
        rated_w=rated_w,
        safe_min_w=0.0,
        failsafe_limit_w=0.25 * rated_w,
        standing_w=rated_w,
        ramp_up_w_per_s=rated_w,
        wake_fraction_per_s=1.0,
        min_on_s=0.0,
        min_off_s=0.0,
        signal_stale_s=60.0,
        meter_stale_s=10.0,
        guard_fraction=0.05,
        confirm_timeout_s=20.0,
        max_attempts=3,
        tolerance_fraction=0.02,
        seen_stale_s=30.0,
        grid_expected=True,
    )
    return replace(plain, **changes)


@dataclass(kw_only=True)
class Farm:
    """What is out there: true power of every miner, and what it tells about itself."""

    ladders: tuple[Ladder, ...]
    ladder_of: IntColumn
    node: IntColumn
    tree: CircuitTree
    aux_w: float = 0.0
    book: LadderBook = field(init=False)
    true_w: FloatColumn = field(init=False)
    at: IntColumn = field(init=False)
    silent: MaskColumn = field(init=False)
    """Answers no poll."""
    deaf: MaskColumn = field(init=False)
    """Says yes to a command and does nothing."""
    cut: MaskColumn = field(init=False)
    """Without electricity: draws nothing, answers nothing."""
    bias: FloatColumn = field(init=False)
    """What it says it draws over what it draws."""
    warmth: FloatColumn = field(init=False)
    """True draw over the ladder's: ambient drift and spread between machines."""
    pretends_sleep: MaskColumn = field(init=False)
    faulty: MaskColumn = field(init=False)
    """Reports a fault, and hashes on."""

    def __post_init__(self) -> None:
        """Everything at full, honest and well."""
        rows = len(self.ladder_of)
        self.book = LadderBook.of(self.ladders)
        self.at = self.book.steps[self.ladder_of] - 1
        self.silent = np.zeros(rows, dtype=np.bool_)
        self.deaf = np.zeros(rows, dtype=np.bool_)
        self.cut = np.zeros(rows, dtype=np.bool_)
        self.bias = np.ones(rows)
        self.warmth = np.ones(rows)
        self.pretends_sleep = np.zeros(rows, dtype=np.bool_)
        self.faulty = np.zeros(rows, dtype=np.bool_)
        self.true_w = self.heading_w()

    @property
    def full_w(self) -> FloatColumn:
        """Nominal draw of every miner at full, W."""
        watts: FloatColumn = self.book.power_w[self.ladder_of, self.book.steps[self.ladder_of] - 1]
        return watts

    def heading_w(self) -> FloatColumn:
        """Where every miner is heading, W."""
        watts: FloatColumn = self.book.power_w[self.ladder_of, self.at]
        return np.where(self.cut, 0.0, np.where(self.at > 0, watts * self.warmth, watts))

    def boot(self, rows: slice) -> None:
        """Rebooted control boards come up at full, whatever they were told."""
        self.at[rows] = self.book.steps[self.ladder_of[rows]] - 1

    def asleep(self) -> None:
        """Start the story with every miner asleep."""
        self.at[:] = 0
        self.true_w = self.heading_w()

    def obey(self, row: int, step: int) -> None:
        """A machine is told its point; one whose process restarts between two awake ones draws nothing for a moment."""
        restarts = self.book.trim_s[self.ladder_of[row]] > RESTART_S
        if restarts and 0 < step != self.at[row] > 0:
            self.true_w[row] = self.book.power_w[self.ladder_of[row], 0]
        self.at[row] = step

    def advance(self, dt_s: float) -> None:
        """Draw moves towards its point at the ladder's speed."""
        goal = self.heading_w()
        book, lad = self.book, self.ladder_of
        waking = (self.true_w < 0.2 * self.full_w) & (self.at > 0)
        seconds = np.where(self.at == 0, book.down_s[lad], np.where(waking, book.up_s[lad], book.trim_s[lad]))
        most = self.full_w / np.maximum(seconds, 0.5) * dt_s
        self.true_w += np.clip(goal - self.true_w, -most, most)
        self.true_w[self.cut] = 0.0

    def meter_w(self) -> float:
        """True site power at the meter."""
        return float(self.true_w.sum()) + self.aux_w

    def answer(self, table: FleetTable, due: MaskColumn, now_ms: int) -> None:
        """Write what the polled miners say into their columns."""
        table.tried_ms[due] = now_ms
        due = due & ~self.silent & ~self.cut
        watts = np.round(self.true_w * self.bias)
        asleep = (self.true_w < 0.1 * self.full_w) & (self.at == 0)
        booting = (self.true_w < 0.3 * self.full_w) & (self.at > 0)
        below = self.at < self.book.steps[self.ladder_of] - 1
        awake = np.where(below & (self.at > 0), MinerState.THROTTLED, MinerState.HASHING)
        state = np.where(asleep, MinerState.CURTAILED, np.where(booting, MinerState.BOOTING, awake))
        state = np.where(self.pretends_sleep, MinerState.CURTAILED, state)
        state = np.where(self.faulty, MinerState.FAULT, state)
        hashing = (state == MinerState.HASHING) | (state == MinerState.THROTTLED)
        table.power_w[due] = np.where(self.pretends_sleep, 40.0, watts)[due]
        table.power_source[due] = PowerSource.DEVICE
        table.state[due] = state[due]
        table.hash_rate_hs[due] = np.where(hashing, self.true_w / self.full_w * 1e14, 0.0)[due]
        table.step[due] = np.where(self.pretends_sleep, 0, self.at)[due]
        table.seen_ms[due] = now_ms
        self._learn(table, due & hashing & (self.at > 0) & (now_ms - table.sent_ms > 60_000))

    def _learn(self, table: FleetTable, settled: MaskColumn) -> None:
        """Like the fleet keeper: a settled miner's draw over its ladder's, slowly."""
        nominal_w = self.book.power_w[self.ladder_of, self.at]
        ratio = np.clip(table.power_w / np.maximum(nominal_w, 1.0), 0.5, 1.5)
        moved = np.round(table.power_scale + 0.1 * (ratio - table.power_scale), 2)
        table.power_scale[settled] = moved[settled]


def farm(
    miners: int = 100,
    *,
    ladders: tuple[Ladder, ...] | None = None,
    feeders: int = 1,
    rating_w: float = np.inf,
    feeder_rating_w: float = np.inf,
    aux_w: float = 0.0,
) -> Farm:
    """`miners` machines, ladders and feeders dealt round."""
    ladders = ladders or (ladder(),)
    row = np.arange(miners)
    tree = CircuitTree(
        names=("site", *(f"F{n + 1}" for n in range(feeders))),
        parent=np.array([-1] + [0] * feeders, dtype=np.int64),
        rating_w=np.array([rating_w] + [feeder_rating_w] * feeders),
        meter_w=np.full(feeders + 1, np.nan),
    )
    return Farm(ladders=ladders, ladder_of=row % len(ladders), node=1 + row % feeders, tree=tree, aux_w=aux_w)
