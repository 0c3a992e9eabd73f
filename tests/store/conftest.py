"""Stores to try things on, one fixture for both engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farmctl.store.memory import MemoryStore
from farmctl.store.sqlite import SqliteStore, open_sqlite

Engine = MemoryStore | SqliteStore


@pytest.fixture(scope="session", autouse=True)
def no_loop_made_in_passing() -> None:
    # looptime 0.9 asks the policy for a loop around synchronous tests, too; until somebody has set one (None counts),
    # the policy makes one on the spot, which nobody closes: a ResourceWarning in whichever test runs next.
    asyncio.set_event_loop(None)


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
