"""Files that ship with the program: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from farmctl.errors import AskHumanError

PACKAGED = "_configs"
"""Folder inside the package to which the wheel's build maps `configs/`."""
BOOKS_AT = "http://127.0.0.1:9108/runbooks/"
"""Where the shipped rules link to: the controller beside the Prometheus that reads them."""
PACKAGED_BOOKS = "_runbooks"
ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = ROOT / "configs"
_BOOK = re.compile(r"[a-z][a-z0-9_]{0,63}")


class NotShippedError(AskHumanError):
    """A file that ships with farmctl is not there: the installation is broken."""


def shipped(name: str) -> Traversable:
    """A file or folder of `configs/`, such as `profiles/luxos.toml`; raises NotShippedError."""
    for root in (resources.files("farmctl") / PACKAGED, CHECKOUT):
        found = root.joinpath(*name.split("/"))
        if found.is_file() or found.is_dir():
            return found
    raise NotShippedError(f"{name}: expected in farmctl/{PACKAGED} of the installation or in {CHECKOUT}")


def shipped_profiles() -> tuple[tuple[str, str], ...]:
    """(name, text) of every shipped ladder profile, by name."""
    files = sorted(shipped("profiles").iterdir(), key=lambda file: file.name)
    return tuple((file.name, file.read_text(encoding="utf-8")) for file in files if file.name.endswith(".toml"))


@cache
def runbook(name: str) -> str | None:
    """The page of one alarm, Markdown; None where there is none of that name."""
    if not _BOOK.fullmatch(name):
        return None
    for root in (resources.files("farmctl") / PACKAGED_BOOKS, ROOT / "docs" / "runbooks"):
        page = root.joinpath(f"{name}.md")
        if page.is_file():
            return page.read_text(encoding="utf-8")
    return None


def runbooks() -> tuple[str, ...]:
    """The names of all pages, sorted."""
    for root in (resources.files("farmctl") / PACKAGED_BOOKS, ROOT / "docs" / "runbooks"):
        if root.is_dir():
            return tuple(sorted(file.name.removesuffix(".md") for file in root.iterdir() if file.name.endswith(".md")))
    return ()
