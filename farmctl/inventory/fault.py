"""A fault in the inventory or a profile, and the error that lists all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from farmctl.errors import ConfigError


class Severity(StrEnum):
    """Whether a fault keeps the file from being used."""

    FAULT = "fault"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, and what was expected."""

    file: str
    line: int
    """1 is the first line; 0 where no line can be told."""
    key: str
    """Column or key; the miner's id before a colon where a row is meant."""
    expected: str
    severity: Severity = Severity.FAULT

    @override
    def __str__(self) -> str:
        """`file:line: key: expectation`, without the parts that are unknown."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.expected) if part)


class InventoryFaultsError(ConfigError):
    """The inventory has faults; all of them are listed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.key, fault.expected)))
        count = f"{len(self.faults)} fault{'' if len(self.faults) == 1 else 's'} in the inventory"
        super().__init__("\n".join((count, *(f"  {fault}" for fault in self.faults))))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest known word, else nothing."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
