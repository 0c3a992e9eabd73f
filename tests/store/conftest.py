"""Stores to try things on, one fixture for both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farmctl.store.memory import MemoryStore
from farmctl.store.sqlite import SqliteStore, open_sqlite

Engine = MemoryStore | SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    engine: Engine = MemoryStore() if request.param == "memory" else await open_sqlite(tmp_path / "journal.db")
    yield engine
    await engine.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    engine = await open_sqlite(tmp_path / "journal.db")
    yield engine
    await engine.close()
