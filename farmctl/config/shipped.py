"""Files that ship with the program: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from farmctl.errors import AskHumanError

PACKAGED = "_configs"
"""Folder inside the package to which the wheel's build maps `configs/`."""
CHECKOUT = Path(__file__).resolve().parents[2] / "configs"


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
