"""Telemetry on a bad day: kill -9 loses no sweep that was written, a full disk costs sweeps and nothing else."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from farmctl.errors import StoreError
from farmctl.store.telemetry.files import TelemetryFiles
from farmctl.store.telemetry.reading import samples
from tests.store.sweeper import DAY_MS, START_MS, TIERS, name, power_w, sweep
from tests.store.test_store_crash import small_disk

__all__ = ["small_disk"]

ROOT = Path(__file__).parents[2]
SWEEPER = Path(__file__).with_name("sweeper.py")
KILLS = 2
READY_S = 60.0


async def killed(folder: Path, after_s: float) -> list[int]:
    """What one sweeper said that it wrote, before it was killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SWEEPER), str(folder)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            first = await process.stdout.readline()
            await asyncio.sleep(after_s)
    finally:
        process.kill()
        rest = await process.stdout.read()
        await process.wait()
    return [int(line) for line in (first + rest).decode().splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_no_written_sweep_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    dice = random.Random(3)  # noqa: S311 - moments to kill at, not secrets
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        folder.mkdir()
        told = await killed(folder, dice.uniform(0.3, 1.5))
        found = samples(folder, TIERS[0], name(650), START_MS, START_MS + 30 * DAY_MS)
        assert set(told) <= set(found.at_ms.tolist())
        assert found.columns["power_w"].tolist() == [power_w(650, at) for at in found.at_ms.tolist()]
        with closing(sqlite3.connect(TIERS[0].files(folder)[0])) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def fill(files: TelemetryFiles, kept: list[int]) -> None:
    for number in range(2_000):
        at_ms = START_MS + number * 10_000
        files.take(sweep(at_ms, 700))
        kept.append(at_ms)


def test_a_full_disk_costs_sweeps_and_what_was_written_stays(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_200_000))
    files, kept = TelemetryFiles(small_disk, TIERS), list[int]()
    with pytest.raises(StoreError, match=r"full|I/O"):
        fill(files, kept)
    found = samples(small_disk, TIERS[0], name(650), START_MS, START_MS + DAY_MS)
    assert set(kept) <= set(found.at_ms.tolist())
    ballast.unlink()
    files.take(sweep(START_MS + 20_000_000, 700))
    files.close()
    found = samples(small_disk, TIERS[0], name(650), START_MS, START_MS + DAY_MS)
    assert found.at_ms[-1] == START_MS + 20_000_000
