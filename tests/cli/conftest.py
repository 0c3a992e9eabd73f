"""A controller of 60 miners on a real socket and a shell whose verbs talk to it; a folder for verbs without one."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from farmctl.cli import main
from farmctl.cli.exits import Exit
from tests.cli.shell import Shell
from tests.control.glasshouse import Glasshouse
from tests.scenarios.day import farm, ladder

Verb = Callable[..., tuple[int, str, str]]


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


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Verb:
    """Run farmctl in a folder of its own: exit code, stdout, stderr."""
    for name in [name for name in os.environ if name.startswith("FARMCTL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["farmctl", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, out.out, out.err

    return run


@pytest.fixture
def site(verb: Verb, tmp_path: Path) -> Path:
    """A configured site whose store is in the same folder."""
    assert verb("init", "--name", "north-1", "--rated-kw", "100")[0] == Exit.OK
    with (tmp_path / "farm.toml").open("a", encoding="utf-8") as file:
        file.write('\n[store]\ndir = "state"\n')
    return tmp_path
