"""One SQLite file of telemetry: sweeps go in as pages, and an hour that is over is packed into tiles."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from farmctl.core.units import IdColumn
from farmctl.errors import StoreError
from farmctl.ports.history import SUM_COLUMNS, ShortMatrix
from farmctl.store.telemetry.codec import Tile, pack, unpack_page
from farmctl.store.telemetry.layout import SHARD, TILE, Tier

BUSY_S = 5.0
CACHE_KIB = 512
"""Pages a file keeps for itself; the kernel keeps them too."""
VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS roster (epoch INTEGER PRIMARY KEY, ids BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS page (
  ts INTEGER NOT NULL, shard INTEGER NOT NULL, epoch INTEGER NOT NULL, z BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS page_by_shard ON page (epoch, shard, ts);
CREATE TABLE IF NOT EXISTS tile (
  epoch INTEGER NOT NULL, tile INTEGER NOT NULL, start INTEGER NOT NULL, moments BLOB NOT NULL, z BLOB NOT NULL,
  UNIQUE (epoch, tile, start)) STRICT;
CREATE TABLE IF NOT EXISTS total (
  name TEXT NOT NULL, ts INTEGER NOT NULL, power_w REAL, meter_w REAL, target_w REAL, hash_ths REAL, running REAL,
  PRIMARY KEY (name, ts)) STRICT, WITHOUT ROWID;
"""
_ADD_TOTAL = f"INSERT OR REPLACE INTO total VALUES (?, ?{', ?' * len(SUM_COLUMNS)})"  # noqa: S608 - our own names


class DayFile:
    """Writes one file; opened by one thread at a time. Raises StoreError for what the disk refuses."""

    def __init__(self, path: Path, tier: Tier) -> None:
        """Open it, or make it."""
        self.path = path
        self._tier = tier
        self._epoch = -1
        self._ids: IdColumn | None = None
        self._packed_ms = -1
        """Everything before this moment is packed."""
        try:
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: telemetry cannot be kept here: {error}") from error

    def put(
        self, at_ms: int, miner_id: IdColumn, columns: ShortMatrix, sums: Mapping[str, Sequence[float | None]]
    ) -> None:
        """One sweep, whole or not at all."""
        pages = [
            (at_ms, shard, pack(columns[:, begin : begin + SHARD]))
            for shard, begin in enumerate(range(0, columns.shape[1], SHARD))
        ]
        with self._transaction("a sweep"):
            epoch = self._epoch_of(miner_id)
            self._connection.executemany(
                "INSERT INTO page VALUES (?, ?, ?, ?)", [(ts, shard, epoch, z) for ts, shard, z in pages]
            )
            self._connection.executemany(_ADD_TOTAL, [(name, at_ms, *values) for name, values in sums.items()])

    def pack_some(self, before_ms: int, most: int) -> int:
        """Turn pages of spans that ended before a moment into tiles, at most so many shards; how many were done."""
        span_ms = self._tier.span_ms
        edge_ms = before_ms // span_ms * span_ms
        if edge_ms == self._packed_ms:
            return 0
        with self._guarded("looking for pages"):
            due = self._connection.execute(
                "SELECT epoch, shard, min(ts) FROM page WHERE ts < ? GROUP BY epoch, shard LIMIT ?", (edge_ms, most)
            ).fetchall()
        if not due:
            self._packed_ms = edge_ms
        for epoch, shard, ts in due:
            self._pack(epoch, shard, ts // span_ms * span_ms, span_ms)
        return len(due)

    def close(self) -> None:
        """Write the WAL back and let go."""
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    def _pack(self, epoch: int, shard: int, start_ms: int, span_ms: int) -> None:
        where = (epoch, shard, start_ms, start_ms + span_ms)
        with self._guarded("packing"):
            rows = self._connection.execute(
                "SELECT ts, z FROM page WHERE epoch = ? AND shard = ? AND ts >= ? AND ts < ? ORDER BY ts", where
            ).fetchall()
        columns = len(self._tier.columns)
        whole: Tile = np.stack([unpack_page(z, columns) for _, z in rows], axis=2)
        # A tile is named by its first moment: pages that come late, after a clock was set back, make one of their own.
        first_ms = rows[0][0]
        moments = zlib.compress(np.array([(ts - first_ms) // 1000 for ts, _ in rows], dtype="<i4").tobytes())
        tiles = [
            (epoch, shard * (SHARD // TILE) + number, first_ms, moments, pack(whole[:, begin : begin + TILE, :]))
            for number, begin in enumerate(range(0, whole.shape[1], TILE))
        ]
        with self._transaction("packing"):
            self._connection.executemany("INSERT OR REPLACE INTO tile VALUES (?, ?, ?, ?, ?)", tiles)
            self._connection.execute("DELETE FROM page WHERE epoch = ? AND shard = ? AND ts >= ? AND ts < ?", where)

    def _epoch_of(self, miner_id: IdColumn) -> int:
        """Number of this list of miners; a new one where it changed."""
        if self._ids is not None and (miner_id is self._ids or np.array_equal(miner_id, self._ids)):
            return self._epoch
        ids = zlib.compress("\n".join(miner_id.tolist()).encode())
        found = self._connection.execute("SELECT epoch FROM roster WHERE ids = ?", (ids,)).fetchone()
        if found is None:
            cursor = self._connection.execute("INSERT INTO roster (ids) VALUES (?)", (ids,))
            self._epoch = int(cursor.lastrowid or 0)
        else:
            self._epoch = int(found[0])
        self._ids = miner_id
        return self._epoch

    def _transaction(self, doing: str) -> _Transaction:
        return _Transaction(self, doing)

    def _guarded(self, doing: str) -> _Guard:
        return _Guard(self.path, doing)

    def begin(self) -> None:
        """Start a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self, *, good: bool) -> None:
        """Commit, or leave no trace; an epoch that was not written is forgotten."""
        if good:
            self._connection.execute("COMMIT")
            return
        self._ids = None
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class _Guard:
    """Turns what sqlite3 raises into StoreError."""

    def __init__(self, path: Path, doing: str) -> None:
        self._path = path
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"{self._path}: {self._doing} failed: {error}") from error


class _Transaction:
    """All of it or nothing."""

    def __init__(self, file: DayFile, doing: str) -> None:
        self._file = file
        self._guard = _Guard(file.path, doing)

    def __enter__(self) -> None:
        with self._guard:
            self._file.begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            try:
                self._file.end(good=True)
            except sqlite3.Error as failed:
                error = failed
        if error is not None:
            with self._guard:
                self._file.end(good=False)
            self._guard.__exit__(kind, error, trace)
