"""Reading lines of one miner, a container, an owner or the site back from telemetry files, beside their writer."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farmctl.core.units import FloatColumn, IntColumn
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.history import MINER_COLUMNS, SUM_COLUMNS, UNKNOWN_SHORT, ShortMatrix
from farmctl.store.telemetry.codec import one_of_page, one_of_tile
from farmctl.store.telemetry.dayfile import BUSY_S
from farmctl.store.telemetry.layout import SHARD, TILE, Tier

SITE = "site"
GROUPS = ("cont:", "owner:")


class NoSuchSeriesError(RefusedError):
    """Nothing of that name is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """What is asked for: a column of a subject."""

    subject: str
    column: str

    @classmethod
    def of(cls, text: str) -> SeriesName:
        """Read `site.power_w` and the like. Raises NoSuchSeriesError."""
        subject, dot, column = text.rpartition(".")
        summed = subject == SITE or subject.startswith(GROUPS)
        known = SUM_COLUMNS if summed else (*MINER_COLUMNS, *_EXTREME_UNITS)
        if not dot or not subject or column not in known:
            raise NoSuchSeriesError(
                f"series {text!r}: expected site.COLUMN, cont:NAME.COLUMN, owner:NAME.COLUMN or MINER.COLUMN "
                f"with one of {', '.join(SUM_COLUMNS if summed else tuple(MINER_COLUMNS))}"
            )
        return cls(subject=subject, column=column)

    @property
    def summed(self) -> bool:
        """The site, a container or an owner."""
        return self.subject == SITE or self.subject.startswith(GROUPS)


_EXTREME_UNITS = {
    f"{name}{suffix}": MINER_COLUMNS[name]
    for name in ("power_w", "hash_ths", "temperature_c")
    for suffix in ("_min", "_max")
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Samples:
    """Columns of one subject as they were written, in order of time."""

    at_ms: IntColumn
    columns: dict[str, FloatColumn]


def samples(folder: Path, tier: Tier, subject: str, from_ms: int, to_ms: int) -> Samples:
    """Everything of a subject in [from, to) at one tier. Raises StoreError."""
    parts: list[Samples] = []
    for path in tier.between(folder, from_ms, to_ms):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
                summed = subject == SITE or subject.startswith(GROUPS)
                read = _totals if summed else _miner
                parts.append(read(connection, tier, subject, from_ms, to_ms))
        except sqlite3.Error as error:
            raise StoreError(f"{path}: expected telemetry of farmctl: {error}") from error
    return _joined(parts, SUM_COLUMNS if subject == SITE or subject.startswith(GROUPS) else tier.columns)


def _totals(connection: sqlite3.Connection, _tier: Tier, subject: str, from_ms: int, to_ms: int) -> Samples:
    rows = connection.execute(
        "SELECT ts, power_w, meter_w, target_w, hash_ths, running FROM total "
        "WHERE name = ? AND ts >= ? AND ts < ? ORDER BY ts",
        (subject, from_ms, to_ms),
    ).fetchall()
    matrix = np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), len(SUM_COLUMNS))
    at_ms = np.array([row[0] for row in rows], dtype=np.int64)
    return Samples(at_ms=at_ms, columns=dict(zip(SUM_COLUMNS, matrix.T, strict=True)))


def _miner(connection: sqlite3.Connection, tier: Tier, subject: str, from_ms: int, to_ms: int) -> Samples:
    times: list[IntColumn] = []
    values: list[ShortMatrix] = []
    for epoch, ids in connection.execute("SELECT epoch, ids FROM roster").fetchall():
        names = zlib.decompress(ids).decode().split("\n")
        row = _row_of(names, subject)
        if row is None:
            continue
        for at_ms, columns in _tiles(connection, tier, (epoch, row), from_ms, to_ms):
            times.append(at_ms)
            values.append(columns)
        at_ms, columns = _pages(connection, tier, (epoch, row), from_ms, to_ms)
        times.append(at_ms)
        values.append(columns)
    width = len(tier.columns)
    joined_ms = np.concatenate([np.zeros(0, dtype=np.int64), *times])
    joined = np.concatenate([np.zeros((width, 0), dtype=np.int16), *values], axis=1)
    order = np.argsort(joined_ms, kind="stable")
    inside = order[(joined_ms[order] >= from_ms) & (joined_ms[order] < to_ms)]
    units = {**MINER_COLUMNS, **_EXTREME_UNITS}
    return Samples(
        at_ms=joined_ms[inside],
        columns={name: _scaled(joined[index, inside], units[name]) for index, name in enumerate(tier.columns)},
    )


def _row_of(names: Sequence[str], subject: str) -> int | None:
    """Rosters are sorted by miner id."""
    index = int(np.searchsorted(np.array(names), subject))
    return index if index < len(names) and names[index] == subject else None


def _tiles(
    connection: sqlite3.Connection, tier: Tier, place: tuple[int, int], from_ms: int, to_ms: int
) -> list[tuple[IntColumn, ShortMatrix]]:
    epoch, row = place
    rows = connection.execute(
        "SELECT start, moments, z FROM tile WHERE epoch = ? AND tile = ? AND start > ? AND start < ? ORDER BY start",
        (epoch, row // TILE, from_ms - tier.span_ms, to_ms),
    )
    found: list[tuple[IntColumn, ShortMatrix]] = []
    for start, moments, z in rows:
        offsets = np.frombuffer(zlib.decompress(moments), dtype="<i4").astype(np.int64)
        found.append((start + offsets * 1000, one_of_tile(z, len(tier.columns), len(offsets), row % TILE)))
    return found


def _pages(
    connection: sqlite3.Connection, tier: Tier, place: tuple[int, int], from_ms: int, to_ms: int
) -> tuple[IntColumn, ShortMatrix]:
    epoch, row = place
    rows = connection.execute(
        "SELECT ts, z FROM page WHERE epoch = ? AND shard = ? AND ts >= ? AND ts < ? ORDER BY ts",
        (epoch, row // SHARD, from_ms, to_ms),
    ).fetchall()
    width = len(tier.columns)
    columns = [one_of_page(z, width, row % SHARD) for _, z in rows]
    matrix = np.array(columns, dtype=np.int16).reshape(len(rows), width).T
    return np.array([ts for ts, _ in rows], dtype=np.int64), matrix


def _scaled(values: ShortMatrix, unit: float) -> FloatColumn:
    scaled: FloatColumn = np.where(values == UNKNOWN_SHORT, np.nan, values * unit)
    return scaled


def _joined(parts: Sequence[Samples], names: Sequence[str]) -> Samples:
    nothing = np.zeros(0)
    return Samples(
        at_ms=np.concatenate([np.zeros(0, dtype=np.int64), *(part.at_ms for part in parts)]),
        columns={name: np.concatenate([nothing, *(part.columns[name] for part in parts)]) for name in names},
    )
