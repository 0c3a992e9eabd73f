"""Time to write /metrics and one miner shard, beside prometheus_client with the same data in gauges."""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from benchmarks._fleet import NOW_MS as CYCLE_MS
from benchmarks._fleet import fleet
from benchmarks._host import StealWatch
from farmctl.core.fleet import CircuitTree, FleetTable, FleetView, LadderBook, MeterSample, SiteRules
from farmctl.core.grid import SiteMode
from farmctl.core.memory import Memory
from farmctl.core.model import MinerState, Quality
from farmctl.core.step import step
from farmctl.core.units import FloatColumn
from farmctl.engine.cycle import Picture
from farmctl.metrics.exporter import Exporter
from farmctl.metrics.families import FAMILIES
from farmctl.metrics.families.row import keys_of
from farmctl.metrics.miners import MINER_COLUMNS, MinerExporter, Shard
from farmctl.metrics.sidelines import Sidelines
from farmctl.metrics.snapshot import Climate, Identity, MetricsSnapshot, NamedMeter, PowerOrigin, Topology
from farmctl.metrics.sums import FleetSums
from farmctl.metrics.text import Dialect
from farmctl.wiring.sight import Sight, snapshot_of

T = TypeVar("T")

MINERS = 50_000
CONTAINERS = 250
RACKS = 500
SHARD_MINERS = 2_000
NOW_MS = 1_790_000_000_000
MODELS = ("Antminer S21", "Antminer S19 XP", "Whatsminer M60S", "Whatsminer M50", "Avalon A1566")
FIRMWARES = ("stock", "luxos")
RULES = SiteRules(
    rated_w=200e6,
    safe_min_w=1e6,
    failsafe_limit_w=20e6,
    standing_w=None,
    ramp_up_w_per_s=1e6,
    wake_fraction_per_s=0.02,
    min_on_s=0.0,
    min_off_s=0.0,
    signal_stale_s=60.0,
    meter_stale_s=10.0,
    guard_fraction=0.05,
    confirm_timeout_s=10.0,
    max_attempts=5,
    tolerance_fraction=0.02,
    seen_stale_s=30.0,
    grid_expected=True,
)


def farm(miners: int = MINERS, containers: int = CONTAINERS, racks: int = RACKS) -> MetricsSnapshot:
    """A site of seeded numbers: some miners asleep, some silent, all placed."""
    dice = np.random.default_rng(1)
    rows, groups = np.arange(miners, dtype=np.int64), len(MODELS) * len(FIRMWARES)
    asleep, silent = dice.random(miners) < 0.2, dice.random(miners) < 0.01  # noqa: PLR2004 - shares of a farm
    table = dataclasses.replace(
        FleetTable.empty(miners),
        miner_id=np.array([f"02:00:00:{r >> 16:02x}:{r >> 8 & 255:02x}:{r & 255:02x}" for r in range(miners)]),
        node=rows % containers + 1,
        group=(rows % groups).astype(np.int16),
        power_w=np.where(asleep, 20.0, dice.normal(3_500, 60, miners).round(1)),
        hash_rate_hs=np.where(asleep, 0.0, dice.normal(200e12, 4e12, miners).round(-9)),
        temperature_c=np.where(asleep, 35.0, dice.normal(72, 5, miners).round(1)),
        state=np.where(asleep, int(MinerState.CURTAILED), int(MinerState.HASHING)).astype(np.int16),
        seen_ms=np.where(silent, -1, NOW_MS - 2_000).astype(np.int64),
    )
    container_names = tuple(f"c{index:03d}" for index in range(containers))
    topology = Topology(
        site="north",
        containers=container_names,
        container_of=rows % containers,
        racks=tuple(f"r{index:03d}" for index in range(racks)),
        rack_of=rows % racks,
        models=tuple(model for model in MODELS for _ in FIRMWARES),
        firmwares=FIRMWARES * len(MODELS),
    )
    view = FleetView(
        table=table,
        ladders=LadderBook.of(()),
        groups=tuple(f"{m} {f}" for m, f in zip(topology.models, topology.firmwares, strict=True)),
        circuits=CircuitTree(
            names=("site", *container_names),
            parent=np.array([-1, *[0] * containers], dtype=np.int64),
            rating_w=np.array([RULES.rated_w, *[1e6] * containers]),
            meter_w=np.full(containers + 1, np.nan),
        ),
        rules=RULES,
        meter=MeterSample(power_w=140e6, at_ms=NOW_MS, quality=Quality.OK),
    )
    return MetricsSnapshot(
        at_ms=NOW_MS,
        view=view,
        topology=topology,
        wanted_hash_rate_hs=np.where(asleep, 0.0, 200e12),
        power_w=140e6,
        power_origin=PowerOrigin.METER,
        mode=SiteMode.FOLLOWING,
        curtailment_active=True,
        leader=True,
        auth_unsigned=False,
        target_w=140e6,
        limit_w=150e6,
        meters=(NamedMeter(name="poc", sample=view.meter),),
        climate=Climate(
            inlet_c=np.full(containers, 25.0),
            coolant_supply_c=np.full(containers, 35.0),
            coolant_return_c=np.full(containers, 45.0),
        ),
        identity=Identity(
            mac=tuple(table.miner_id.tolist()), ip=("10.0.0.1",) * miners, serial=("SN0123456789",) * miners
        ),
    )


def main() -> None:
    """Print one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    parser.add_argument("--miners", type=int, default=MINERS)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    report = _measure(options.miners, options.runs)
    if not options.json:
        for key, value in report.items():
            print(f"{key:28} {value}")
    print(json.dumps(report))


def _measure(miners: int, runs: int) -> dict[str, float]:
    watch = StealWatch()
    snapshot = farm(miners)
    exporter, shards = Exporter(), MinerExporter()
    shard = Shard(number=1, count=max(1, round(miners / SHARD_MINERS)))
    first_ms, text = _timed(lambda: exporter.render(snapshot, Dialect.TEXT))
    aggregate_ms = [_timed(lambda: exporter.render(snapshot, Dialect.TEXT))[0] for _ in range(runs)]
    shard_first_ms, shard_text = _timed(lambda: shards.render(snapshot, shard, Dialect.TEXT))
    shard_ms = [_timed(lambda: shards.render(snapshot, shard, Dialect.TEXT))[0] for _ in range(runs)]
    sight = _sight(miners)
    snapshot_ms = [_timed(lambda: snapshot_of(sight))[0] for _ in range(runs)]
    registry, fill = _gauges(snapshot)
    client_ms = [_timed(lambda: (fill(), generate_latest(registry)))[0] for _ in range(3)]
    shard_registry, shard_fill = _shard_gauges(snapshot, min(miners, SHARD_MINERS))
    shard_client_ms = [_timed(lambda: (shard_fill(), generate_latest(shard_registry)))[0] for _ in range(3)]
    return {
        "miners": miners,
        "aggregate_ms": round(statistics.median(aggregate_ms), 2),
        "aggregate_worst_ms": round(max(aggregate_ms), 2),
        "aggregate_first_ms": round(first_ms, 2),
        "aggregate_cpu_ms": _cpu_ms(lambda: exporter.render(snapshot, Dialect.TEXT), runs),
        "aggregate_series": _series(text),
        "snapshot_ms": round(statistics.median(snapshot_ms), 2),
        "snapshot_cpu_ms": _cpu_ms(lambda: snapshot_of(sight), runs),
        "aggregate_bytes": len(text),
        "shard_ms": round(statistics.median(shard_ms), 2),
        "shard_worst_ms": round(max(shard_ms), 2),
        "shard_first_ms": round(shard_first_ms, 2),
        "shard_cpu_ms": _cpu_ms(lambda: shards.render(snapshot, shard, Dialect.TEXT), runs),
        "shard_series": _series(shard_text),
        "prometheus_client_ms": round(statistics.median(client_ms), 2),
        "prometheus_client_shard_ms": round(statistics.median(shard_client_ms), 2),
        "steal_pct": watch.steal_pct(),
    }


def _sight(miners: int) -> Sight:
    """One cycle of the real core on a site of that size, as the daemon hands it over."""
    view = fleet(miners)
    memory, decision = step(Memory.at_boot(view.table.miner_id.copy(), CYCLE_MS), view, CYCLE_MS)
    places = np.arange(miners, dtype=np.int64)
    topology = Topology(
        site="north",
        containers=tuple(f"c{index:03d}" for index in range(CONTAINERS)),
        container_of=places % CONTAINERS,
        racks=tuple(f"r{index:03d}" for index in range(RACKS)),
        rack_of=places % RACKS,
        models=view.groups,
        firmwares=("stock",) * len(view.groups),
    )
    return Sight(
        picture=Picture(view=view, decision=decision, memory=memory, alarms=()),
        topology=topology,
        identity=None,
        sidelines=Sidelines(("M50",) * miners),
        pools=(),
        meters=(NamedMeter(name="poc", sample=view.meter),),
        frequency_hz=50.0,
        energy_j=0.0,
        unsigned=False,
    )


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1_000, result


def _cpu_ms(work: Callable[[], object], runs: int) -> float:
    """Mean of this thread's own time, which a loaded machine does not stretch."""
    start = time.thread_time()
    for _ in range(runs):
        work()
    return round((time.thread_time() - start) * 1_000 / runs, 2)


def _series(text: str) -> int:
    return sum(not line.startswith("#") for line in text.splitlines())


def _gauges(snapshot: MetricsSnapshot) -> tuple[CollectorRegistry, Callable[[], None]]:
    """Every family as labelled gauges, and what sets them all from the same snapshot."""
    registry = CollectorRegistry()
    held = []
    for family in FAMILIES:
        gauge = Gauge(family.name.removesuffix("_total"), family.help, ("site", *family.labels), registry=registry)
        children = [gauge.labels(snapshot.topology.site, *key) for key in keys_of(family.axes(snapshot))]
        held.append((family, children))

    def fill() -> None:
        sums = FleetSums(snapshot)
        for family, children in held:
            _set_all(children, family.values(sums))

    return registry, fill


def _shard_gauges(snapshot: MetricsSnapshot, miners: int) -> tuple[CollectorRegistry, Callable[[], None]]:
    registry, table, topology = CollectorRegistry(), snapshot.view.table, snapshot.topology
    held = []
    for name, _, text in MINER_COLUMNS:
        gauge = Gauge(name, text, ("site", "rack", "miner"), registry=registry)
        held.append(
            [gauge.labels(topology.site, topology.racks[topology.rack_of[r]], table.miner_id[r]) for r in range(miners)]
        )

    def fill() -> None:
        known = (table.seen_ms >= 0).astype(np.float64)
        state = table.state.astype(np.float64)
        columns = (known, table.hash_rate_hs, table.power_w, table.temperature_c, state)
        for children, values in zip(held, columns, strict=True):
            _set_all(children, values[:miners])

    return registry, fill


def _set_all(children: list[Gauge], values: FloatColumn) -> None:
    for child, value in zip(children, values.tolist(), strict=True):
        child.set(value)


if __name__ == "__main__":
    main()
