"""A glasshouse of 60 miners whose server answers on a socket in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from farmctl.control.client import ControlClient
from tests.control.glasshouse import Asker, Glasshouse
from tests.scenarios.day import farm, ladder


@pytest.fixture
def house() -> Glasshouse:
    ladders = (ladder("good", j_per_th=17.0), ladder("old", j_per_th=29.0))
    return Glasshouse(farm(60, ladders=ladders, feeders=2)).run(5)


@pytest.fixture
def door() -> Iterator[Path]:
    """Where a socket may be; a path of pytest's own may be longer than the 107 bytes of unix(7)."""
    with tempfile.TemporaryDirectory(prefix="farmctl") as folder:
        yield Path(folder) / "run" / "farmctl.sock"


@pytest.fixture
async def ask(house: Glasshouse, door: Path) -> AsyncIterator[Asker]:
    async with house.server(door).listening():
        yield Asker(ControlClient(str(door), timeout_s=20))
