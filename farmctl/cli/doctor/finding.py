"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    check: str
    level: Level
    found: str
    fix: str = ""
    """What to do; empty where nothing is to be done."""


def ok(check: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level="ok", found=found)


def warn(check: str, found: str, fix: str) -> Finding:
    """It works, and will not for ever."""
    return Finding(check=check, level="warn", found=found, fix=fix)


def fail(check: str, found: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(check=check, level="fail", found=found, fix=fix)
