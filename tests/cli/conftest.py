"""A controller of 60 miners on a real socket, and a shell whose verbs talk to it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.cli.shell import Shell
from tests.control.glasshouse import Glasshouse
from tests.scenarios.day import farm, ladder


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The controller of these tests shares its stdout with the verbs; a real one does not."""
    with capture_logs():
        yield


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="farmctl") as name:
        yield Path(name)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Glasshouse:
    monkeypatch.setattr("tests.scenarios.day.START_MS", int(time.time()) * 1000)
    ladders = (ladder("good", j_per_th=17.0), ladder("old", j_per_th=29.0))
    return Glasshouse(farm(60, ladders=ladders, feeders=2)).run(5)


@pytest.fixture
async def shell(house: Glasshouse, folder: Path) -> AsyncIterator[Shell]:
    async with house.server(folder / "farmctl.sock").listening():
        yield Shell(folder / "farmctl.sock")
