"""The three tiers of telemetry: what each keeps, how its files are named, and when a file is too old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from farmctl.ports.history import MINER_COLUMNS

SHARD = 500
"""Miners of a page."""
TILE = 50
"""Miners of a tile; a shard is ten of them."""
SPAN_STEPS = 360
"""Moments of a tile."""
MEANS = ("power_w", "hash_ths", "temperature_c")
"""Columns of which roll-ups keep a mean; of codes they keep the last."""
EXTREMES = tuple(f"{name}{suffix}" for name in MEANS for suffix in ("", "_min", "_max"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One resolution."""

    name: str
    """Begin of its files' names."""
    step_s: int
    columns: tuple[str, ...]
    monthly: bool
    """Files by month instead of by day."""
    keep: int
    """Days or months that are kept besides the present one."""

    @property
    def span_ms(self) -> int:
        """Length of a tile."""
        return self.step_s * SPAN_STEPS * 1000

    def period(self, at_ms: int) -> str:
        """The part of the file's name that says when: 20261130 or 202611."""
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m" if self.monthly else "%Y%m%d")

    def path(self, folder: Path, at_ms: int) -> Path:
        """The file of a moment."""
        return folder / f"{self.name}-{self.period(at_ms)}.db"

    def files(self, folder: Path) -> list[Path]:
        """All its files, oldest first."""
        digits = "?" * (6 if self.monthly else 8)
        return sorted(folder.glob(f"{self.name}-{digits}.db"))

    def between(self, folder: Path, from_ms: int, to_ms: int) -> Iterator[Path]:
        """Files that may hold something of a stretch, oldest first."""
        first, last = (f"{self.name}-{self.period(at_ms)}" for at_ms in (from_ms, to_ms))
        for path in self.files(folder):
            if first <= path.stem <= last:
                yield path

    def too_old(self, folder: Path, now_ms: int) -> list[Path]:
        """Files beyond what is kept."""
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        if self.monthly:
            months = now.year * 12 + now.month - 1 - self.keep
            oldest = f"{months // 12:04d}{months % 12 + 1:02d}"
        else:
            oldest = (now - timedelta(days=self.keep)).strftime("%Y%m%d")
        return [path for path in self.files(folder) if path.stem < f"{self.name}-{oldest}"]


def tiers(step_s: int, keep_days: int, keep_minute_days: int, keep_quarter_months: int) -> tuple[Tier, Tier, Tier]:
    """Samples, 1-minute means and 15-minute means with extremes."""
    return (
        Tier(name="telemetry", step_s=step_s, columns=tuple(MINER_COLUMNS), monthly=False, keep=keep_days),
        Tier(name="minute", step_s=60, columns=tuple(MINER_COLUMNS), monthly=False, keep=keep_minute_days),
        Tier(name="quarter", step_s=900, columns=EXTREMES, monthly=True, keep=keep_quarter_months),
    )


def unlinked(path: Path) -> None:
    """Remove a file with what SQLite keeps beside it."""
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        file.unlink(missing_ok=True)
