"""What the core remembers from one cycle to the next: small, immutable, serialisable."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import IntEnum

import numpy as np

from farmctl.core.events import EventTrack
from farmctl.core.grid import SiteMode
from farmctl.core.holding import HeldLimit
from farmctl.core.lessons import Lessons
from farmctl.core.outage import Outage
from farmctl.core.reasons import CODE, Reason
from farmctl.core.units import NEVER_MS, CodeColumn, FloatColumn, IdColumn, IntColumn

CURTAILED_HALF_S = 86_400.0
NO_KEY = -1
"""Key of no ladder."""


class Standing(IntEnum):
    """How far a row follows what is wanted of it."""

    SETTLED = 0
    PENDING = 1
    GAVE_UP = 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RowMemory:
    """Wanted versus seen, one row per miner, in the order of `miner_id`."""

    miner_id: IdColumn
    wanted: CodeColumn
    """Ladder step that was last decided; -1 where nothing was decided yet."""
    before: CodeColumn
    """Step the miner had when `wanted` was commanded."""
    ladder_key: IntColumn
    """`LadderBook.key` of the ladder that both steps stand on."""
    wanted_w: FloatColumn
    """Ladder watts of `wanted` when the miner was last heard; NaN where nothing was noted."""
    before_w: FloatColumn
    standing: CodeColumn
    commanded_ms: IntColumn
    attempts: CodeColumn
    retry_ms: IntColumn
    """When the next attempt is due; only of meaning while PENDING or GAVE_UP."""
    mismatch_ms: IntColumn
    """Since when a settled row is not where it is wanted; -1 when it is."""
    on_since_ms: IntColumn
    """When it was last commanded or seen to wake; -1 while asleep or unknown."""
    off_since_ms: IntColumn
    reason: CodeColumn
    cycles: CodeColumn
    """Times it was sent to sleep for money on `cycle_day`."""
    cycle_day: IntColumn
    """Days since the epoch, UTC; -1 never."""
    curtailed_s: FloatColumn
    """Seconds asleep by order, halved every day: whose turn it is."""
    plug_ratio: FloatColumn
    """Watts at the plug for a watt that the miner reports; 1 until a meter on its circuit has taught it."""

    @classmethod
    def of(cls, miner_id: IdColumn) -> RowMemory:
        """Rows of which nothing is remembered."""
        rows = len(miner_id)
        return cls(
            miner_id=miner_id,
            wanted=np.full(rows, -1, dtype=np.int16),
            before=np.full(rows, -1, dtype=np.int16),
            ladder_key=np.full(rows, NO_KEY, dtype=np.int64),
            wanted_w=np.full(rows, np.nan),
            before_w=np.full(rows, np.nan),
            standing=np.zeros(rows, dtype=np.int16),
            commanded_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            attempts=np.zeros(rows, dtype=np.int16),
            retry_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            mismatch_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            on_since_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            off_since_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            reason=np.full(rows, CODE[Reason.UNREACHABLE], dtype=np.int16),
            cycles=np.zeros(rows, dtype=np.int16),
            cycle_day=np.full(rows, NEVER_MS, dtype=np.int64),
            curtailed_s=np.zeros(rows),
            plug_ratio=np.ones(rows),
        )

    def rested(self, dt_s: float) -> RowMemory:
        """After `dt_s` more: who is wanted asleep has rested for it."""
        fading = 0.5 ** (dt_s / CURTAILED_HALF_S)
        return replace(self, curtailed_s=self.curtailed_s * fading + np.where(self.wanted == 0, dt_s, 0.0))

    def aligned(self, miner_id: IdColumn) -> RowMemory:
        """The same memory for another list of miners; newcomers start blank, leavers are forgotten."""
        if self.miner_id is miner_id:
            return self
        if np.array_equal(self.miner_id, miner_id):  # 5 ms for 50,000 names: once, not every cycle
            return replace(self, miner_id=miner_id)
        fresh = RowMemory.of(miner_id)
        _, here, there = np.intersect1d(miner_id, self.miner_id, assume_unique=True, return_indices=True)
        for column in fields(self):
            if column.name != "miner_id":
                getattr(fresh, column.name)[here] = getattr(self, column.name)[there]
        return fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterLoop:
    """State of the closed loop on the site meter."""

    unexplained_w: float = 0.0
    """Smoothed meter reading less `gain` times the sum of all rows."""
    gain: float = 1.0
    """Watts at the meter for a watt that the rows report; learned between settled loads."""
    taught: bool = False
    """True once two settled loads have shown the gain."""
    anchor: tuple[float, float] | None = None
    """(rows, meter) in W when the load was last settled."""
    primed: bool = False
    """False until the meter was good and most of the fleet was heard."""
    updated_ms: int = NEVER_MS
    samples: tuple[tuple[int, float], ...] = ()
    """(ms, W) of the site over the last minute, newest last."""
    reports: tuple[tuple[int, float, float], ...] = ()
    """(ms, meter W, rows W) over the last seconds, newest last."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pace:
    """How fast the site may rise."""

    ramp_w: float | None = None
    """Where the up-ramp has got to; None before the first cycle."""
    wake_credit_w: FloatColumn = field(default_factory=lambda: np.zeros(0))
    """Per circuit node: power that may still be woken now."""
    governed: bool = False
    """An order of the grid, or its loss, held the load in the last cycle."""
    release_ms: int = NEVER_MS
    """After a release nothing rises before this."""
    refined_ms: int = NEVER_MS
    """When economy last looked for better operating points."""
    disturbed_ms: int = NEVER_MS
    """When the load was last moved for any other reason."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Memory:
    """Everything `step` carries over."""

    cycle: int
    booted_ms: int
    last_ms: int
    mode: SiteMode
    mode_since_ms: int
    rows: RowMemory
    tracks: tuple[EventTrack, ...] = ()
    """Live events, and ended ones for as long as their last ack may be asked again."""
    loop: MeterLoop = MeterLoop()
    pace: Pace = field(default_factory=Pace)
    held: tuple[HeldLimit, ...] = ()
    """Limits of ended events that stay until a newer message."""
    lessons: Lessons = field(default_factory=Lessons.none)
    """How fast and how surely each kind of miner follows."""
    outage: Outage | None = None
    """A grid outage after which the grid has not told yet what holds."""

    @classmethod
    def at_boot(cls, miner_id: IdColumn, now_ms: int) -> Memory:
        """Boot in fail-safe, knowing nothing."""
        return cls(
            cycle=0,
            booted_ms=now_ms,
            last_ms=now_ms,
            mode=SiteMode.INIT_FAILSAFE,
            mode_since_ms=now_ms,
            rows=RowMemory.of(miner_id),
        )

    def rebooted(self, now_ms: int) -> Memory:
        """What a restarted controller goes on with: timers and events survive, the mode is fail-safe again."""
        return replace(
            self,
            booted_ms=now_ms,
            mode=SiteMode.INIT_FAILSAFE,
            mode_since_ms=now_ms,
            loop=replace(self.loop, samples=(), reports=(), anchor=None),
            pace=Pace(),
        )
