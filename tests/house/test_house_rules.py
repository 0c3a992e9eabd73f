"""What we say about the house is checked: sizes, errors, reasons, the lock, and what must never be committed."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

import farmctl
from farmctl.core.reasons import HELP, ORDER, Reason
from farmctl.errors import AskHumanError, BackOffError, FarmError, RefusedError, TryAgainError

ROOT = Path(__file__).parents[2]
LONGEST = 400


def tracked(pattern: str) -> list[Path]:
    """Files that git knows, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def test_no_file_is_longer_than_a_person_can_hold() -> None:
    long = {str(f.relative_to(ROOT)): n for f in tracked("*.py") if (n := len(f.read_text().splitlines())) > LONGEST}
    assert long == {}


def test_every_error_hangs_on_the_one_root_and_in_one_group() -> None:
    for module in pkgutil.walk_packages(farmctl.__path__, "farmctl."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    groups = (TryAgainError, BackOffError, AskHumanError, RefusedError)
    ours = [
        cls
        for cls in _subclasses(Exception)
        if cls.__module__.startswith("farmctl.") and cls not in (FarmError, *groups)
    ]
    assert len(ours) > 10
    assert [cls.__qualname__ for cls in ours if not issubclass(cls, (*groups, click.ClickException))] == []


def _subclasses(cls: type[Exception]) -> set[type[Exception]]:
    return set(cls.__subclasses__()).union(*(_subclasses(sub) for sub in cls.__subclasses__()))


def test_every_reason_is_explained_and_named_like_its_word() -> None:
    assert set(HELP) == set(Reason)
    assert all(reason.name == reason.value for reason in Reason)
    assert len(ORDER) == len(set(ORDER)) == len(Reason)


def test_the_lock_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[A-Za-z0-9_.\-\[\]]+==[^ \\]+", lock, flags=re.MULTILINE)
    assert len(pins) > 50
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock
    assert not (ROOT / "uv.lock").exists()


def test_every_dependency_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    names = {re.split(r"[<>=;\[ ]", line)[0].lower().replace("_", "-") for line in wanted}
    locked = set(re.findall(r"^([a-z0-9.\-]+)==", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    assert names - locked == set()


FORBIDDEN = {
    "an address of a package index": r"p[y]pi\.org|python[h]osted|npm[j]s\.org|deb\.debian\.[o]rg",
    "a home or work folder of a machine": r"(?<![\w.~-])/(?:wor[k]|hom[e]/\w+|roo[t])/[\w.-]+",
    "a private key": r"BEGIN (?:EC |RSA |)PRIVATE KE[Y]",
    "unfinished business": r"\b(?:TOD[O]|FIXM[E])\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_that_must_not_be_committed_is_in_the_tree(what: str) -> None:
    found = []
    for file in tracked("*"):
        if file.suffix in {".png", ".svg", ".lock"} or file.stat().st_size > 2_000_000:
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(ROOT)}: {match.group(0)}" for match in re.finditer(FORBIDDEN[what], text)]
    assert found == []
