"""Sweeps to keep: every value of a miner is a function of its number and the moment, so that it can be checked."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from farmctl.ports.history import MINER_COLUMNS, Sweep
from farmctl.store.telemetry.files import TelemetryFiles
from farmctl.store.telemetry.layout import tiers

DAY_MS = 86_400_000
START_MS = 1_796_083_200_000
"""2026-12-01T00:00:00Z."""
TIERS = tiers(10, 2, 14, 13)


def name(index: int) -> str:
    return f"miner-{index:05d}"


def power_w(index: int, at_ms: int) -> float:
    return 3_000.0 + index % 500 + at_ms // 10_000 % 100


def sweep(at_ms: int, miners: int = 60, first: int = 0) -> Sweep:
    index = np.arange(first, first + miners)
    columns = np.zeros((len(MINER_COLUMNS), miners), dtype=np.int16)
    columns[0] = 3_000 + index % 500 + at_ms // 10_000 % 100
    columns[1] = 1_000 + index % 7
    columns[2] = 700 + at_ms // 10_000 % 13
    columns[3] = at_ms // 10_000 % 4
    total = float(columns[0].sum())
    sums = {"site": (total, total * 1.02, 5e5, 6_000.0, float(miners)), "cont:C1": (total, np.nan, np.nan, 1.0, 1.0)}
    ids = np.array([name(i) for i in index.tolist()], dtype="U32")
    return Sweep(at_ms=at_ms, miner_id=ids, columns=columns, sums=sums)


def written(files: TelemetryFiles, from_ms: int, count: int, miners: int = 60) -> None:
    for number in range(count):
        files.take(sweep(from_ms + number * 10_000, miners))
        files.tidy()


def main(folder: Path) -> None:
    """Write for ever and say what was written; made to be killed."""
    files = TelemetryFiles(folder, TIERS)
    number = 0
    while True:
        at_ms = START_MS + number * 10_000
        files.take(sweep(at_ms, 700))
        sys.stdout.write(f"{at_ms}\n")
        sys.stdout.flush()
        files.tidy()
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
