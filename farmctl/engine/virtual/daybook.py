"""A day of orders and mishaps as CSV, the same form that the simulated dispatcher plays.

Columns (a header names them; all but `t_s` and `kind` may be missing or empty; lines starting with # are comments):

* `t_s`: seconds from the start of the day at which it is sent or happens
* `kind`: create, update, delete, emergency, release; or a mishap: link_lost, link_back, meter_lost, meter_back
* `name`: the order's name; update, delete and release refer to it
* `target_kw` or `target_pu`, `limit_kw` or `limit_pu`: kW, or a fraction of the site's rated power
* `duration_s` (default 300), `lead_s`: length of the interval, and how long before its start it is sent
* `class`, `priority`, `respond_within_s`, `tolerance_kw`, `ramp_up_kw_per_min`, `ramp_down_kw_per_min`, `on_expiry`
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from farmctl.core.grid import EventClass, OnExpiry
from farmctl.errors import AskHumanError

COLUMNS = frozenset(
    {"t_s", "kind", "name", "target_kw", "target_pu", "limit_kw", "limit_pu", "duration_s", "lead_s", "class"}
    | {"priority", "respond_within_s", "tolerance_kw", "ramp_up_kw_per_min", "ramp_down_kw_per_min", "on_expiry"}
)
INTERVAL_S = 300.0
PRIORITY = 10
W_PER_KW = 1_000.0
S_PER_MIN = 60.0

E = TypeVar("E", bound=StrEnum)


class DaybookError(AskHumanError):
    """A day of signals cannot be read; every fault of the file is listed."""


class Kind(StrEnum):
    """What a row does."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    EMERGENCY = "emergency"
    RELEASE = "release"
    LINK_LOST = "link_lost"
    LINK_BACK = "link_back"
    METER_LOST = "meter_lost"
    METER_BACK = "meter_back"


ORDERS = frozenset({Kind.CREATE, Kind.UPDATE, Kind.EMERGENCY})
REFERENCES = frozenset({Kind.UPDATE, Kind.DELETE, Kind.RELEASE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the day; powers in W."""

    at_s: float
    kind: Kind
    name: str = ""
    target_w: float | None = None
    limit_w: float | None = None
    duration_s: float = INTERVAL_S
    lead_s: float = 0.0
    event_class: EventClass | None = None
    priority: int = PRIORITY
    respond_within_s: float | None = None
    tolerance_w: float | None = None
    ramp_up_w_per_s: float | None = None
    ramp_down_w_per_s: float | None = None
    on_expiry: OnExpiry | None = None

    @property
    def end_s(self) -> float:
        """When the order ends, or the mishap happens."""
        return self.at_s + (self.lead_s + self.duration_s if self.kind in ORDERS else 0.0)


def read_daybook(path: Path, rated_w: float) -> tuple[Entry, ...]:
    """Every line in the order of its time; fractions are of `rated_w`. Raises DaybookError with every fault."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return parse_daybook(file, path.name, rated_w)


def parse_daybook(file: Iterable[str], name: str, rated_w: float) -> tuple[Entry, ...]:
    """The same from lines of text."""
    lines = [(number, line) for number, line in enumerate(file, start=1) if line.strip() and line[0] != "#"]
    reader = csv.DictReader(line for _, line in lines)
    header = set(reader.fieldnames or ())
    faults = [f"{name}: unknown column {column!r}" for column in sorted(header - COLUMNS)]
    faults += [f"{name}: column {column!r} is missing" for column in sorted({"t_s", "kind"} - header)]
    entries: list[Entry] = []
    if not faults:
        for (number, _), cells in zip(lines[1:], reader, strict=True):
            try:
                entries.append(_entry(cells, rated_w))
            except (ValueError, TypeError) as error:
                faults.append(f"{name}:{number}: {error}")
    entries.sort(key=lambda entry: entry.at_s)
    faults = faults or _dangling(name, entries)
    if faults:
        raise DaybookError("\n".join(faults))
    return tuple(entries)


def _entry(cells: Mapping[str, str | None], rated_w: float) -> Entry:
    at_s = _amount(cells, "t_s")
    if at_s is None:
        raise ValueError("t_s: expected seconds from the start of the day")
    kind = _choice(Kind, "kind", cells["kind"] or "")
    target_w, limit_w = _power_w(cells, "target", rated_w), _power_w(cells, "limit", rated_w)
    if kind in (Kind.CREATE, Kind.UPDATE) and target_w is None and limit_w is None:
        raise ValueError(f"{kind}: expected a target or a limit")
    stated, expiry, priority = _text(cells, "class"), _text(cells, "on_expiry"), _amount(cells, "priority")
    duration_s = _amount(cells, "duration_s")
    return Entry(
        at_s=at_s,
        kind=kind,
        name=_text(cells, "name"),
        target_w=target_w,
        limit_w=0.0 if kind is Kind.EMERGENCY and limit_w is None else limit_w,
        duration_s=INTERVAL_S if duration_s is None else duration_s,
        lead_s=_amount(cells, "lead_s") or 0.0,
        event_class=EventClass.EMERGENCY if kind is Kind.EMERGENCY else _class(stated),
        priority=PRIORITY if priority is None else int(priority),
        respond_within_s=_amount(cells, "respond_within_s"),
        tolerance_w=_times(_amount(cells, "tolerance_kw"), W_PER_KW),
        ramp_up_w_per_s=_times(_amount(cells, "ramp_up_kw_per_min"), W_PER_KW / S_PER_MIN),
        ramp_down_w_per_s=_times(_amount(cells, "ramp_down_kw_per_min"), W_PER_KW / S_PER_MIN),
        on_expiry=_choice(OnExpiry, "on_expiry", expiry) if expiry else None,
    )


def _text(cells: Mapping[str, str | None], column: str) -> str:
    return (cells.get(column) or "").strip()


def _amount(cells: Mapping[str, str | None], column: str) -> float | None:
    text = _text(cells, column)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{column} {text!r}: expected a number") from error
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{column} {text!r}: expected a number that is not negative")
    return value


def _power_w(cells: Mapping[str, str | None], what: str, rated_w: float) -> float | None:
    in_kw, in_pu = _amount(cells, f"{what}_kw"), _amount(cells, f"{what}_pu")
    if in_kw is not None and in_pu is not None:
        raise ValueError(f"{what}_kw and {what}_pu: expected one of them")
    return _times(in_kw, W_PER_KW) if in_pu is None else in_pu * rated_w


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _class(text: str) -> EventClass | None:
    return _choice(EventClass, "class", text) if text else None


def _choice(kind: type[E], column: str, text: str) -> E:
    try:
        return kind(text.strip())
    except ValueError as error:
        raise ValueError(f"{column} {text!r}: expected one of {', '.join(kind)}") from error


def _dangling(file: str, entries: Iterable[Entry]) -> list[str]:
    known: set[str] = set()
    faults: list[str] = []
    for entry in entries:
        if entry.kind in REFERENCES and entry.name not in known:
            faults.append(f"{file}: {entry.kind} at t_s {entry.at_s:g}: no order named {entry.name!r} came before")
        if entry.kind in ORDERS:
            known.add(entry.name)
    return faults
