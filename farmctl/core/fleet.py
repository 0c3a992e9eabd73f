"""The fleet as columns: one row per miner, ladders as matrices, and the frozen picture of one cycle."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from farmctl.core.grid import LinkStatus, SignalMessage
from farmctl.core.model import Ladder, MinerState, Override, PointKind, PowerSource, Quality
from farmctl.core.units import (
    NEVER_MS,
    CodeColumn,
    FloatColumn,
    IdColumn,
    IntColumn,
    MaskColumn,
)

NO_LADDER = -1
UNKNOWN_STEP = -1


@dataclass(frozen=True, slots=True, eq=False)
class LadderBook:
    """All ladders of the fleet as padded matrices; a row of the fleet points at one by number."""

    ladders: tuple[Ladder, ...]
    power_w: FloatColumn
    """Shape (ladders, steps), W; +inf where a ladder has no such step."""
    hash_rate_hs: FloatColumn
    """Shape (ladders, steps); 0 where a ladder has no such step."""
    steps: IntColumn
    """Shape (ladders,): number of operating points."""
    down_s: FloatColumn
    up_s: FloatColumn
    trim_s: FloatColumn
    key: IntColumn
    """Shape (ladders,): names a ladder's points across restarts."""

    @classmethod
    def of(cls, ladders: Sequence[Ladder]) -> LadderBook:
        """Stack ladders; each must have ascending power and its sleep point first."""
        width = max((len(ladder.points) for ladder in ladders), default=1)
        power_w = np.full((len(ladders), width), np.inf)
        hash_rate_hs = np.zeros((len(ladders), width))
        for number, ladder in enumerate(ladders):
            _check(ladder)
            power_w[number, : len(ladder.points)] = [p.power_w for p in ladder.points]
            hash_rate_hs[number, : len(ladder.points)] = [p.hash_rate_hs for p in ladder.points]
        return cls(
            ladders=tuple(ladders),
            power_w=power_w,
            hash_rate_hs=hash_rate_hs,
            steps=np.array([len(ladder.points) for ladder in ladders], dtype=np.int64),
            down_s=np.array([ladder.down_s for ladder in ladders], dtype=np.float64),
            up_s=np.array([ladder.up_s for ladder in ladders], dtype=np.float64),
            trim_s=np.array([ladder.trim_s for ladder in ladders], dtype=np.float64),
            key=np.array([_key(ladder) for ladder in ladders], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FleetTable:
    """Columns, one row per miner; mutable arrays with one owner (`engine.fleet`), frozen per cycle.

    A row number holds until the fleet is re-indexed; identity is `miner_id`.
    """

    miner_id: IdColumn
    """MAC or serial, sorted ascending."""
    ladder: IntColumn
    """Row of the ladder book; -1 where no operating points are known."""
    node: IntColumn
    """Circuit that feeds the miner, index into `CircuitTree`."""
    commandable: MaskColumn
    """False for rows that may only be watched (observe mode, maintenance, no driver capability)."""
    protected: MaskColumn
    maintained: MaskColumn
    """In a container in maintenance: it is never started by itself, sheds and limits are obeyed."""
    tier: CodeColumn
    """Priority tier; a higher tier is shed first."""
    group: CodeColumn
    """Model and firmware, as an index into `FleetView.groups`."""
    power_scale: FloatColumn
    """This miner's draw at full over its ladder's; 1 until learned."""
    power_w: FloatColumn
    """Last draw, W at the plug, NaN never seen."""
    power_source: CodeColumn
    """`PowerSource` of `power_w`."""
    hash_rate_hs: FloatColumn
    """Last hash rate, NaN unknown."""
    temperature_c: FloatColumn
    """Hottest chip, NaN unknown."""
    step: CodeColumn
    """Ladder step that the device says it is set to; -1 unknown."""
    state: CodeColumn
    """`MinerState` of the last good poll."""
    uptime_s: FloatColumn
    """Seconds since the control board booted, NaN unknown."""
    seen_ms: IntColumn
    """Last good poll; -1 never."""
    tried_ms: IntColumn
    """Last poll that ended in any way; -1 never."""
    sent_ms: IntColumn
    """Last command handed to the wire; -1 never."""
    acked_ms: IntColumn
    """Last command that the device answered with yes; -1 never."""
    refused_ms: IntColumn
    """Last command that failed on the wire or was refused; -1 never."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.miner_id)

    @classmethod
    def empty(cls, rows: int) -> FleetTable:
        """`rows` miners of which nothing is known yet."""
        return cls(
            miner_id=np.array([f"unknown-{row:08d}" for row in range(rows)], dtype="U32"),
            ladder=np.full(rows, NO_LADDER, dtype=np.int64),
            node=np.zeros(rows, dtype=np.int64),
            commandable=np.ones(rows, dtype=np.bool_),
            protected=np.zeros(rows, dtype=np.bool_),
            maintained=np.zeros(rows, dtype=np.bool_),
            tier=np.zeros(rows, dtype=np.int16),
            group=np.zeros(rows, dtype=np.int16),
            power_scale=np.ones(rows),
            power_w=np.full(rows, np.nan),
            power_source=np.full(rows, PowerSource.NAMEPLATE, dtype=np.int16),
            hash_rate_hs=np.full(rows, np.nan),
            temperature_c=np.full(rows, np.nan),
            step=np.full(rows, UNKNOWN_STEP, dtype=np.int16),
            state=np.full(rows, MinerState.UNKNOWN, dtype=np.int16),
            uptime_s=np.full(rows, np.nan),
            seen_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            tried_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            sent_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            acked_ms=np.full(rows, NEVER_MS, dtype=np.int64),
            refused_ms=np.full(rows, NEVER_MS, dtype=np.int64),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CircuitTree:
    """The limit tree as arrays; a parent's index is lower than its children's, the root is 0."""

    names: tuple[str, ...]
    parent: IntColumn
    """Shape (nodes,); -1 for the root."""
    rating_w: FloatColumn
    """Shape (nodes,), W; +inf where no rating is stated."""
    meter_w: FloatColumn
    """Shape (nodes,), W; NaN where the node has no meter or it is silent."""
    metered: MaskColumn | None = None
    """Nodes that have a meter, silent or not; None: none has."""
    phase: CodeColumn | None = None
    """Phase that a node is on, 0, 1, 2, ...; -1 for none. None: no node names one."""
    imbalance_w: FloatColumn | None = None
    """How much more than its lightest phase a node's heaviest may carry, W; +inf where nothing is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """What the site's configuration says to the core; constant while the daemon runs."""

    rated_w: float
    safe_min_w: float
    """What the site cannot shed without harm."""
    failsafe_limit_w: float
    """The firm level that is taken when the signal is lost."""
    standing_w: float | None
    """Standing allocation; None: no more than the fail-safe limit without a live signal."""
    ramp_up_w_per_s: float
    wake_fraction_per_s: float
    """Share of a feeder's rating that may be woken per second."""
    min_on_s: float
    min_off_s: float
    signal_stale_s: float
    """Silence after which the link counts as lost."""
    meter_stale_s: float
    guard_fraction: float
    """Kept below every limit while the meter is lost."""
    confirm_timeout_s: float
    """Added to a ladder's own time before a command counts as not followed."""
    max_attempts: int
    tolerance_fraction: float
    seen_stale_s: float
    """Age after which a reading no longer proves anything."""
    grid_expected: bool
    """False: no grid source is configured, the site is its own master."""
    hash_price_per_th_day: float = 0.05
    """What a terahash a second earns in a day, in the site's currency."""
    power_price_per_kwh: float = 0.0
    signal_quiet_s: float = 30.0
    """Silence after which an alarm says so, before the link counts as lost."""
    follows_schedule: bool = False
    """On loss of the link a received statement that still holds is followed before the firm level is taken."""
    release_jitter_s: float = 0.0
    """After the grid lets go the site waits a random part of this before it rises: no two sites rise at once."""
    max_cycles_per_day: int = 6
    """Sleeps per miner and UTC day for economic reasons; none is counted against grid or operator."""
    ramp_down_w_per_s: float | None = None
    """Fall towards a set-point whose event states no ramp; None: as fast as the devices. Limits are never delayed."""
    hot_chip_c: float | None = None
    """Chip temperature at which a miner is lowered; None: never."""
    refine_fraction_per_min: float = 0.02
    """Share of the fleet that may be commanded per minute for a better operating point at the same power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSample:
    """The site meter as last read."""

    power_w: float
    """NaN where missing."""
    at_ms: int
    quality: Quality
    supply_gone: bool = False
    """It shows neither power nor voltage: a grid outage."""
    volts: float = float("nan")
    frequency_hz: float = float("nan")
    reactive_var: float = float("nan")
    """For telemetry only; NaN where it is not measured."""


NO_METER = MeterSample(power_w=float("nan"), at_ms=NEVER_MS, quality=Quality.MISSING)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FleetView:
    """The frozen picture of one cycle: everything `step` may know, and nothing that changes."""

    table: FleetTable
    ladders: LadderBook
    groups: tuple[str, ...]
    """`model firmware` of each group code."""
    circuits: CircuitTree
    rules: SiteRules
    meter: MeterSample
    links: tuple[LinkStatus, ...] = ()
    inbox: tuple[SignalMessage, ...] = ()
    """Signals accepted since the last cycle, in order of arrival."""
    overrides: tuple[Override, ...] = ()
    stop_all: bool = False
    maintenance: bool = False
    armed: bool = True
    """False: observe mode, decisions are made and shown but no command is issued."""
    may_raise: bool = True
    """False while the journal cannot be written: lowering goes on, raising is forbidden."""
    seed: int = field(default=0)
    """For randomised starts; an input, so that a replay rolls the same dice."""
    cap: IntColumn | None = None
    """Highest step that operators permit each row, made of `overrides` by `step`; None: nobody is held."""


def _key(ladder: Ladder) -> int:
    points = "|".join(f"{point.setting}={point.power_w!r}" for point in ladder.points)
    return zlib.crc32(points.encode())


def _check(ladder: Ladder) -> None:
    powers = [point.power_w for point in ladder.points]
    if not powers or powers != sorted(powers) or ladder.points[0].kind is not PointKind.SLEEP:
        message = f"ladder {ladder.name}: expected a sleep point first and ascending watts"
        raise ValueError(message)
