"""What a day of telemetry costs: inserts, bytes on disk, and one miner's day read back.

Synthetic but noisy: every reading of power, hash rate and temperature moves from sweep to sweep, and in two events
part of the fleet is throttled and put to sleep. Targets: 10,000 miners x 24 h of 10-s sweeps in <= 1 GB, one miner's
day in <= 200 ms, a sweep in <= 60 ms (median) off the loop.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks._host import StealWatch
from farmctl.ports.history import MINER_COLUMNS, Sweep
from farmctl.store.telemetry.files import TelemetryFiles
from farmctl.store.telemetry.layout import tiers
from farmctl.store.telemetry.reading import samples

START_MS = 1_796_083_200_000
"""2026-12-01T00:00:00Z: the whole day lies in one file."""
READS = 15
CONTAINERS = 20
THROTTLED, ASLEEP = (0.3, 0.4), (0.7, 0.8)
"""Shares of the day in which half the fleet is throttled and a third of it sleeps."""


@click.command()
@click.option("--miners", type=click.IntRange(min=50), default=10_000, show_default=True)
@click.option("--hours", type=click.FloatRange(min=0.1, max=24), default=24.0, show_default=True)
@click.option("--step", "step_s", type=click.IntRange(5, 60), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(miners: int, hours: float, step_s: int, *, as_json: bool) -> None:
    """Write and read a day of telemetry in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="farmctl-history-") as folder:
        result = _measured(Path(folder), miners, hours, step_s)
    if not as_json:
        for key, value in result.items():
            click.echo(f"{key:<18} {value}")
    click.echo(json.dumps(result))


def _measured(folder: Path, miners: int, hours: float, step_s: int) -> dict[str, Any]:
    steal = StealWatch()
    made = tiers(step_s, 2, 14, 13)
    files = TelemetryFiles(folder, made)
    spent: list[float] = []
    packed: list[float] = []
    cpu_s = 0.0
    for sweep in _sweeps(miners, int(hours * 3600 / step_s), step_s):
        began, began_cpu = time.perf_counter(), time.process_time()
        files.take(sweep)
        spent.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        files.tidy()
        packed.append((time.perf_counter() - began) * 1e3)
        cpu_s += time.process_time() - began_cpu
    reads = _reads(folder, made[0], miners, hours)
    files.close()
    sizes = {tier.name: sum(path.stat().st_size for path in tier.files(folder)) for tier in made}
    ordered = sorted(spent)
    return {
        "insert_ms": round(ordered[len(ordered) // 2], 2),
        "insert_p99_ms": round(ordered[int(0.99 * len(ordered))], 2),
        "insert_max_ms": round(ordered[-1], 2),
        "pack_max_ms": round(max(packed), 2),
        "cpu_ms_per_sweep": round(cpu_s * 1e3 / len(spent), 2),
        "day_read_ms": round(sorted(reads)[len(reads) // 2], 2),
        "day_read_max_ms": round(max(reads), 2),
        "bytes_per_sample": round(sizes["telemetry"] / (miners * len(spent)), 3),
        "disk_mb": {name: round(size / 1e6, 1) for name, size in sizes.items()},
        "miners": miners,
        "sweeps": len(spent),
        "columns": len(MINER_COLUMNS),
        "steal_pct": steal.steal_pct(),
    }


def _reads(folder: Path, tier: Any, miners: int, hours: float) -> list[float]:
    """Milliseconds to read every column of one miner over the whole day, from files as they are while written."""
    spent = []
    end_ms = START_MS + int(hours * 3_600_000)
    for index in range(READS):
        name = _name(index * (miners // READS))
        began = time.perf_counter()
        found = samples(folder, tier, name, START_MS, end_ms)
        spent.append((time.perf_counter() - began) * 1e3)
        if len(found.at_ms) != int(hours * 3600 / tier.step_s):
            raise SystemExit(f"{name}: {len(found.at_ms)} samples came back")
    return spent


def _name(index: int) -> str:
    return f"02:00:00:{index >> 16:02x}:{index >> 8 & 255:02x}:{index & 255:02x}"


def _sweeps(miners: int, count: int, step_s: int) -> Iterator[Sweep]:
    dice = np.random.default_rng(7)
    ids = np.array([_name(index) for index in range(miners)], dtype="U32")
    full_w, full_dths = dice.integers(3_100, 3_700, miners), dice.integers(900, 1_200, miners)
    warm = dice.normal(700, 30, miners)
    containers = np.arange(miners) * CONTAINERS // miners
    for number in range(count):
        share = np.ones(miners)
        if THROTTLED[0] < number / count < THROTTLED[1]:
            share[: miners // 2] = 0.6
        elif ASLEEP[0] < number / count < ASLEEP[1]:
            share[: miners // 3] = 0.0
        noise = dice.standard_normal((3, miners)).astype(np.float32)
        columns = np.zeros((len(MINER_COLUMNS), miners), dtype=np.int16)
        columns[0] = np.maximum(full_w * share * (1 + 0.005 * noise[0]), 40)
        columns[1] = full_dths * share * (1 + 0.01 * noise[1])
        columns[2] = warm * (0.6 + 0.4 * share) + 3 * noise[2]
        columns[3] = np.where(share == 0, 3, np.where(share < 1, 2, 1))
        columns[4] = columns[5] = np.where(share == 0, 0, np.where(share < 1, 5, 13))
        columns[6] = np.where(share < 1, 2, 0)
        power = np.bincount(containers, weights=columns[0])
        sums = {f"cont:C{index:03d}": (float(w), np.nan, np.nan, 1.0, 1.0) for index, w in enumerate(power)}
        sums["site"] = (float(power.sum()), float(power.sum()), 3e7, 1e6, float(miners))
        yield Sweep(at_ms=START_MS + number * step_s * 1000, miner_id=ids, columns=columns, sums=sums)


if __name__ == "__main__":
    main()
