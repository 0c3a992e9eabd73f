"""Recorded cycles in one SQLite file a day beside the journal; retention is unlinking old days."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from typing_extensions import override

from farmctl.errors import StoreError
from farmctl.ports.recording import Frame, Recorded, Recording

log = structlog.get_logger(__name__)

FLUSH_S = 2.0
KEEP_DAYS = 2
"""10,000 miners make about 1 GB a day; the journal keeps what settlement needs for ever."""
MOST_WAITING = 600
_GLOB = "recording-????????.db"
_CREATE = """
CREATE TABLE IF NOT EXISTS frame (
  run INTEGER NOT NULL, cycle INTEGER NOT NULL, at_ms INTEGER NOT NULL, policy TEXT NOT NULL,
  inputs BLOB NOT NULL, decision_sha256 TEXT NOT NULL, memory BLOB NOT NULL, PRIMARY KEY (run, cycle)
) STRICT, WITHOUT ROWID
"""
_INSERT = "INSERT OR REPLACE INTO frame VALUES (?, ?, ?, ?, ?, ?, ?)"
_LAST_KEY = "SELECT max(at_ms) FROM frame WHERE at_ms <= ? AND length(memory) > 0"
_FIRST_KEY = "SELECT min(at_ms) FROM frame WHERE length(memory) > 0"
_LAST = "SELECT max(at_ms) FROM frame"
_SELECT = "SELECT * FROM frame WHERE at_ms BETWEEN ? AND ? ORDER BY run, cycle"


class DayFiles(Recording, Recorded):
    """Frames by UTC day; the writer works in a thread, batch by batch."""

    def __init__(self, folder: Path, keep_days: int = KEEP_DAYS) -> None:
        """Nothing is opened yet."""
        self._folder = folder
        self._keep_days = keep_days
        self._waiting: list[Frame] = []
        self.lost = 0
        """Frames given up because the disk was too slow or full."""

    @override
    def add(self, frame: Frame) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.lost += len(self._waiting)
            self._waiting.clear()
        self._waiting.append(frame)

    @override
    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                await self.flush()
        finally:
            await asyncio.shield(self.flush())

    @override
    def frames(self, *, since_ms: int | None = None, until_ms: int | None = None) -> Iterator[Frame]:
        for path in sorted(self._folder.glob(_GLOB)):
            yield from _read(path, since_ms or 0, until_ms if until_ms is not None else 2**62)

    def last_key_ms(self, at_ms: int) -> int | None:
        """Time of the last frame up to a moment from which a replay can begin; None where there is none."""
        for path in sorted(self._folder.glob(_GLOB), reverse=True):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as connection:
                found = connection.execute(_LAST_KEY, (at_ms,)).fetchone()[0]
            if found is not None:
                return int(found)
        return None

    def span_ms(self) -> tuple[int, int] | None:
        """The first moment from which a replay can begin, and the last one recorded; None where there is none."""
        paths = sorted(self._folder.glob(_GLOB))
        first = next((ms for path in paths if (ms := _one(path, _FIRST_KEY)) is not None), None)
        last = next((ms for path in reversed(paths) if (ms := _one(path, _LAST)) is not None), None)
        return None if first is None or last is None else (first, last)

    async def flush(self) -> None:
        """Write what waits now."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            await asyncio.to_thread(self._write, batch)
        except (sqlite3.Error, OSError) as error:
            if not self.lost:
                log.warning("recording_failed", error=str(error), effect="this stretch cannot be replayed")
            self.lost += len(batch)

    def _write(self, batch: list[Frame]) -> None:
        by_day: dict[str, list[Frame]] = {}
        for frame in batch:
            by_day.setdefault(datetime.fromtimestamp(frame.at_ms / 1000, tz=UTC).strftime("%Y%m%d"), []).append(frame)
        for day, frames in by_day.items():
            path = self._folder / f"recording-{day}.db"
            fresh = not path.exists()
            with closing(sqlite3.connect(path, timeout=5.0)) as connection, connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_CREATE)
                connection.executemany(_INSERT, [_values(frame) for frame in frames])
            if fresh:
                self._unlink_before(day)

    def _unlink_before(self, day: str) -> None:
        oldest = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) - timedelta(days=self._keep_days)
        for path in self._folder.glob(_GLOB):
            if path.stem < f"recording-{oldest:%Y%m%d}":
                for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                    file.unlink(missing_ok=True)


def _one(path: Path, query: str) -> int | None:
    """One number of one day. Raises StoreError where the file is no recording."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as connection:
            found = connection.execute(query).fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"{path}: expected a recording of farmctl: {error}") from error
    return None if found is None else int(found)


def _values(frame: Frame) -> tuple[int, int, int, str, bytes, str, bytes]:
    return (
        frame.run, frame.cycle, frame.at_ms, frame.policy, frame.inputs, frame.decision_sha256, frame.memory,
    )  # fmt: skip


def _read(path: Path, since_ms: int, until_ms: int) -> Iterator[Frame]:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as connection:
            for run, cycle, at_ms, policy, inputs, decision, memory in connection.execute(
                _SELECT, (since_ms, until_ms)
            ):
                yield Frame(
                    run=run,
                    cycle=cycle,
                    at_ms=at_ms,
                    policy=policy,
                    inputs=inputs,
                    decision_sha256=decision,
                    memory=memory,
                )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: expected a recording of farmctl: {error}") from error
