"""Fleets of any size for the benchmarks of the core: mixed makes, a tree of circuits, every miner seen."""

from __future__ import annotations

import numpy as np

from farmctl.core.fleet import CircuitTree, FleetTable, FleetView, LadderBook, MeterSample, SiteRules
from farmctl.core.grid import LinkStatus
from farmctl.core.model import Ladder, MinerState, OperatingPoint, PointKind, PowerSource, Quality

NOW_MS = 1_795_510_800_000
PER_CONTAINER = 250
CONTAINERS_PER_TRANSFORMER = 4
TRANSFORMERS_PER_FEEDER = 5
TIGHT_SHARE = 0.10
"""Share of containers whose rating binds at full load."""
LEVELS = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4)
MAKES: tuple[tuple[str, float, float, float, tuple[float, float, float]], ...] = (
    ("S21 LuxOS", 3_500.0, 17.5, 0.72, (5.0, 60.0, 3.0)),
    ("S19j Pro LuxOS", 3_050.0, 29.5, 0.68, (5.0, 60.0, 3.0)),
    ("M50S", 3_276.0, 26.0, 0.80, (60.0, 300.0, 10.0)),
    ("M30S++", 3_472.0, 31.0, 0.85, (60.0, 300.0, 10.0)),
    ("S19 XP stock", 3_010.0, 21.5, 1.0, (60.0, 360.0, 60.0)),
)
"""Name, W at full, J/TH, bend of hash over watts, seconds down, up and between awake points; 1.0 has no throttle."""


def ladders() -> tuple[Ladder, ...]:
    """One ladder per make: twelve levels and sleep, or sleep and full."""
    return tuple(_ladder(*make) for make in MAKES)


def fleet(miners: int, *, seed: int = 7) -> FleetView:
    """A site of `miners`, all at full and seen just now; the same for the same seed."""
    dice = np.random.default_rng(seed)
    book = LadderBook.of(ladders())
    table = FleetTable.empty(miners)
    table.miner_id[:] = [f"{n:012x}" for n in range(miners)]
    table.ladder[:] = dice.integers(0, len(book.ladders), miners)
    table.power_scale[:] = np.round(dice.normal(1.0, 0.02, miners), 2)
    tree, leaf = _tree(miners)
    table.node[:] = leaf
    at(table, book, book.steps[table.ladder] - 1)
    full_w = float(table.power_w.sum())
    tree = _rated(tree, table, dice)
    return FleetView(
        table=table,
        ladders=book,
        groups=tuple(make[0] for make in MAKES),
        circuits=tree,
        rules=_rules(full_w),
        meter=MeterSample(power_w=full_w, at_ms=NOW_MS, quality=Quality.OK),
        links=(LinkStatus(source="grid", connected=True, last_valid_ms=NOW_MS, confirmed=True),),
    )


def at(table: FleetTable, book: LadderBook, step: np.ndarray) -> None:
    """Put every miner on a step, as its telemetry would show it."""
    watts = book.power_w[table.ladder, step]
    table.power_w[:] = np.where(step > 0, watts * table.power_scale, watts)
    table.power_source[:] = PowerSource.DEVICE
    table.step[:] = step
    table.hash_rate_hs[:] = book.hash_rate_hs[table.ladder, step] * table.power_scale
    full = step == book.steps[table.ladder] - 1
    awake = np.where(full, MinerState.HASHING, MinerState.THROTTLED)
    table.state[:] = np.where(step == 0, MinerState.CURTAILED, awake)
    table.seen_ms[:] = NOW_MS
    table.tried_ms[:] = NOW_MS


def _ladder(name: str, full_w: float, j_per_th: float, bend: float, times: tuple[float, float, float]) -> Ladder:
    full_hs = full_w / j_per_th * 1e12
    points = [OperatingPoint(kind=PointKind.SLEEP, power_w=30.0, hash_rate_hs=0.0, setting="sleep")]
    shares = sorted(LEVELS) if bend < 1.0 else [1.0]
    points += [
        OperatingPoint(
            kind=PointKind.FULL if share == 1.0 else PointKind.THROTTLE,
            power_w=full_w * share,
            hash_rate_hs=full_hs * share**bend,
            setting=f"percent:{share * 100:.0f}",
        )
        for share in shares
    ]
    down_s, up_s, trim_s = times
    return Ladder(name=name, points=tuple(points), down_s=down_s, up_s=up_s, trim_s=trim_s)


def _tree(miners: int) -> tuple[CircuitTree, np.ndarray]:
    containers = max(miners // PER_CONTAINER, 1)
    transformers = -(-containers // CONTAINERS_PER_TRANSFORMER)
    feeders = -(-transformers // TRANSFORMERS_PER_FEEDER)
    names = ["site"] + [f"F{n}" for n in range(feeders)] + [f"T{n}" for n in range(transformers)]
    parent = [-1] + [0] * feeders + [1 + n // TRANSFORMERS_PER_FEEDER for n in range(transformers)]
    first = len(names)
    names += [f"C{n}" for n in range(containers)]
    parent += [1 + feeders + n // CONTAINERS_PER_TRANSFORMER for n in range(containers)]
    tree = CircuitTree(
        names=tuple(names),
        parent=np.array(parent, dtype=np.int64),
        rating_w=np.full(len(names), np.inf),
        meter_w=np.full(len(names), np.nan),
    )
    return tree, first + np.minimum(np.arange(miners) // PER_CONTAINER, containers - 1)


def _rated(tree: CircuitTree, table: FleetTable, dice: np.random.Generator) -> CircuitTree:
    load = np.bincount(table.node, weights=table.power_w, minlength=len(tree.names)).astype(np.float64)
    for node in range(len(tree.names) - 1, 0, -1):
        load[tree.parent[node]] += load[node]
    tight = dice.random(len(tree.names)) < TIGHT_SHARE
    tree.rating_w[:] = load * np.where(tight, 0.93, 1.25)
    tree.rating_w[0] = load[0] * 1.01
    return tree


def _rules(full_w: float) -> SiteRules:
    return SiteRules(
        rated_w=full_w * 1.01,
        safe_min_w=0.0,
        failsafe_limit_w=0.2 * full_w,
        standing_w=full_w * 1.01,
        ramp_up_w_per_s=full_w,
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
