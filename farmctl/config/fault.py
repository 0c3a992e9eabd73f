"""A fault in the configuration, and the error that lists all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import override

from farmctl.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys of tables and numbers of list items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, and what was expected."""

    file: str
    line: int
    """1 is the first line; 0 where no line can be told."""
    key: str
    """Key path such as circuit[2].rating_kw; empty where the whole file is meant."""
    expected: str

    @override
    def __str__(self) -> str:
        """`file:line: key: expectation`, without the parts that are unknown."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.expected) if part)


class ConfigFaultsError(ConfigError):
    """The configuration has faults; all of them are listed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.key, fault.expected)))
        count = f"{len(self.faults)} fault{'' if len(self.faults) == 1 else 's'} in the configuration"
        super().__init__("\n".join((count, *(f"  {fault}" for fault in self.faults))))


def dotted(path: KeyPath) -> str:
    """`("circuit", 2, "rating_kw")` as `circuit[2].rating_kw`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text
