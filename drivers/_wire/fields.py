"""Reads single fields of a miner's reply: one that does not parse is one missing field, never a lost poll."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

MOST_W = 100_000.0
"""Ten times the largest machine on sale (some 11 kW)."""
MOST_HS = 1e17
"""A hundred times the fastest (some 1.2 PH/s)."""
LEAST_C, MOST_C = -60.0, 250.0
"""-64 and 255 are what a sensor that is not there reads as."""
MOST_RPM = 100_000.0
MOST_S = 1e9
"""Thirty years: longer is a clock, not an age."""
MOST_WHOLE = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The head of a cgminer reply."""

    letter: str
    """S success, I info, W warning, E error, F fatal; empty: none was sent."""
    code: int
    """-1: none was sent."""
    message: str
    description: str

    @property
    def is_refusal(self) -> bool:
        """Whether the miner said no."""
        return self.letter in ("E", "F")


def status(reply: Mapping[str, Any]) -> Status:
    """Read the head, whether it is a list of one (cgminer) or flat (Whatsminer's own commands)."""
    head = reply.get("STATUS")
    if isinstance(head, list) and head and isinstance(head[0], dict):
        row: Mapping[str, Any] = head[0]
    elif isinstance(head, dict):
        row = head
    else:
        row = reply
    code = number(row.get("Code"))
    return Status(
        letter=text(row.get("STATUS")),
        code=-1 if (found := whole(code)) is None else found,
        message=text(row.get("Msg")),
        description=text(row.get("Description")),
    )


def rows(reply: Mapping[str, Any], section: str) -> list[dict[str, Any]]:
    """Rows of one section that are objects; empty where the section is missing or of another shape."""
    found = reply.get(section)
    if isinstance(found, list):
        return [row for row in found if type(row) is dict]
    if type(found) is not dict or not found:
        return []
    # Firmware that numbers its rows, or leaves the list around a single one away.
    numbered = [row for row in found.values() if type(row) is dict]
    return numbered if len(numbered) == len(found) else [found]


def row(reply: Mapping[str, Any], section: str) -> dict[str, Any]:
    """First row of one section; empty where there is none."""
    found = reply.get(section)
    if type(found) is list and found and type(found[0]) is dict:
        return found[0]
    return next(iter(rows(reply, section)), {})


def table(found: object, *path: str) -> Mapping[str, Any]:
    """Object at a path; empty where there is none."""
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def number(value: object) -> float:
    """Make a float of a number or of text that says one; NaN for everything else, infinities included."""
    if type(value) is float or type(value) is int:
        return float(value)
    if isinstance(value, str):
        try:
            parsed = float(value)
        except ValueError:
            return nan
        return parsed if isfinite(parsed) else nan
    return nan


def within(value: object, low: float, high: float) -> float:
    """A number that can be true; NaN for one that cannot: -1 for unknown, or 9e18 W, which would empty a site."""
    found = number(value)
    return found if low <= found <= high else nan


def watts(value: object) -> float:
    """Draw of one machine, W."""
    found = number(value)
    return found if 0.0 <= found <= MOST_W else nan


def hashes(value: object, unit: float) -> float:
    """Hash rate in H/s of a number in `unit`s."""
    found = number(value) * unit
    return found if 0.0 <= found <= MOST_HS else nan


def degrees(value: object) -> float:
    """Temperature, °C."""
    found = number(value)
    return found if LEAST_C <= found <= MOST_C else nan


def rpm(value: object) -> float:
    """Speed of a fan."""
    return within(value, 0.0, MOST_RPM)


def seconds(value: object) -> float:
    """How long something lasts, s."""
    return within(value, 0.0, MOST_S)


def whole(value: float) -> int | None:
    """A figure as a whole number; None where it is unknown, or no counter."""
    return int(value) if abs(value) <= MOST_WHOLE else None


def first_number(fields: Mapping[str, Any], *names: str) -> float:
    """Read the first of these fields that holds a number; NaN where none does."""
    for name in names:
        if name in fields:
            parsed = number(fields[name])
            if parsed == parsed:  # noqa: PLR0124 - NaN is the one value that differs from itself; isnan costs a call
                return parsed
    return nan


def text(value: object) -> str:
    """Text of a scalar, without the quotes that some firmware puts inside its strings; empty for the rest."""
    if isinstance(value, str):
        return value.strip().strip("'")
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def flag(value: object) -> bool | None:
    """Read true and false as JSON or as text; None for everything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def mac(value: object) -> str:
    """MAC in lower case with colons; empty for what is none."""
    digits = text(value).lower().replace(":", "").replace("-", "")
    if len(digits) != 12 or any(digit not in "0123456789abcdef" for digit in digits):  # noqa: PLR2004 - 6 bytes
        return ""
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
