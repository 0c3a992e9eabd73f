"""A recorded or made-up day as CSV: which order goes out when.

Columns (a header names them; all but `t_s` and `kind` may be missing or empty; lines starting with # are comments):

* `t_s`: seconds from the start of play at which the message is sent
* `kind`: create, update, delete, emergency or release
* `name`: the order's name within the trace; update, delete and release refer to it
* `target_kw` or `target_pu`, `limit_kw` or `limit_pu`: kW, or a fraction of the site's rated power
* `duration_s` (default 300), `lead_s`: length of the interval, and how long before its start it is sent
* `class`, `priority`, `respond_within_s`, `tolerance_kw`, `ramp_up_kw_per_min`, `ramp_down_kw_per_min`, `on_expiry`
"""

from __future__ import annotations

import asyncio
import csv
import re
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from simulators.grid.dispatcher import Dispatcher
from simulators.grid.ledger import Sent
from simulators.grid.orders import EventClass, Order

COLUMNS = frozenset(
    {"t_s", "kind", "name", "target_kw", "target_pu", "limit_kw", "limit_pu", "duration_s", "lead_s", "class"}
    | {"priority", "respond_within_s", "tolerance_kw", "ramp_up_kw_per_min", "ramp_down_kw_per_min", "on_expiry"}
)
NAME = re.compile(r"[a-zA-Z0-9_-]{0,64}")
"""A name becomes part of an OpenADR objectID, which allows no other characters."""

E = TypeVar("E", bound=StrEnum)


class Kind(StrEnum):
    """What a row does."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    EMERGENCY = "emergency"
    RELEASE = "release"


class TraceError(ValueError):
    """A trace cannot be read; names file, line and column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a trace; the numbers of `order` are kW, or fractions where the per-unit flags say so."""

    t_s: float
    kind: Kind
    order: Order
    target_is_pu: bool = False
    limit_is_pu: bool = False

    @property
    def end_s(self) -> float:
        """When the order ends, on the trace's clock."""
        if self.kind in {Kind.CREATE, Kind.UPDATE}:
            return self.t_s + self.order.lead_s + self.order.duration_s
        return self.t_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Rows in the order of their time."""

    name: str
    rows: tuple[Row, ...]

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read a CSV file; raises TraceError with every fault of the file."""
        with path.open(encoding="utf-8", newline="") as file:
            lines = [(number, line) for number, line in enumerate(file, start=1) if line.strip() and line[0] != "#"]
        reader = csv.DictReader(line for _, line in lines)
        header = set(reader.fieldnames or ())
        faults = [f"{path.name}: unknown column {column!r}" for column in sorted(header - COLUMNS)]
        faults += [f"{path.name}: column {column!r} is missing" for column in sorted({"t_s", "kind"} - header)]
        rows: list[Row] = []
        if not faults:
            for (number, _), cells in zip(lines[1:], reader, strict=True):
                try:
                    rows.append(_row(cells))
                except (ValueError, TypeError) as error:
                    faults.append(f"{path.name}:{number}: {error}")
        faults = faults or _dangling(path.name, rows)
        if faults:
            raise TraceError("\n".join(faults))
        return cls(name=path.stem, rows=tuple(sorted(rows, key=lambda row: row.t_s)))

    @property
    def length_s(self) -> float:
        """Until the last order has ended."""
        return max((row.end_s for row in self.rows), default=0.0)

    def scaled(self, *, rated_kw: float | None = None, factor: float = 1.0) -> Trace:
        """All numbers in kW: fractions times `rated_kw`, kW times `factor`; raises TraceError without a rating."""
        if rated_kw is None and any(row.target_is_pu or row.limit_is_pu for row in self.rows):
            raise TraceError(f"{self.name}: target_pu and limit_pu need the site's rated kW")
        return replace(self, rows=tuple(_scaled(row, rated_kw or 0.0, factor) for row in self.rows))

    def faster(self, speed: float) -> Trace:
        """The same day in 1/speed of the time; response times stay."""

        def quick(row: Row) -> Row:
            order = replace(row.order, duration_s=row.order.duration_s / speed, lead_s=row.order.lead_s / speed)
            return replace(row, t_s=row.t_s / speed, order=order)

        return replace(self, rows=tuple(quick(row) for row in self.rows))

    def until(self, end_s: float) -> Trace:
        """The rows sent before `end_s`."""
        return replace(self, rows=tuple(row for row in self.rows if row.t_s < end_s))


async def play(dispatcher: Dispatcher, trace: Trace, *, tail_s: float = 2.0) -> list[Sent]:
    """Send every row at its time, wait until the last order has ended and `tail_s` more for the last acks."""
    began_s = time.monotonic()
    ids: dict[str, str] = {}
    sent: list[Sent] = []
    for row in trace.rows:
        await asyncio.sleep(max(0.0, began_s + row.t_s - time.monotonic()))
        sent.append(await _send(dispatcher, row, ids))
    await asyncio.sleep(max(0.0, began_s + trace.length_s - time.monotonic()) + tail_s)
    return sent


async def _send(dispatcher: Dispatcher, row: Row, ids: dict[str, str]) -> Sent:
    name = row.order.name
    match row.kind:
        case Kind.CREATE:
            sent = await dispatcher.create_event(row.order)
        case Kind.UPDATE:
            sent = await dispatcher.update(ids[name], row.order)
        case Kind.DELETE:
            sent = await dispatcher.delete(ids[name])
        case Kind.EMERGENCY:
            sent = await dispatcher.emergency(limit_kw=row.order.limit_kw)
        case Kind.RELEASE:
            sent = await dispatcher.release(ids[name])
    ids[name] = sent.order_id
    return sent


def _row(cells: dict[str, str]) -> Row:
    def amount(column: str) -> float | None:
        text = (cells.get(column) or "").strip()
        try:
            return float(text) if text else None
        except ValueError as error:
            raise ValueError(f"{column} {text!r}: expected a number") from error

    def either(kw: str, per_unit: str) -> tuple[float | None, bool]:
        in_kw, in_pu = amount(kw), amount(per_unit)
        if in_kw is not None and in_pu is not None:
            raise ValueError(f"{kw} and {per_unit}: expected one of them")
        return (in_kw, False) if in_pu is None else (in_pu, True)

    t_s, within_s, priority = amount("t_s"), amount("respond_within_s"), amount("priority")
    if t_s is None or t_s < 0:
        raise ValueError("t_s: expected seconds from the start")
    kind = _choice(Kind, "kind", cells["kind"])
    target, target_is_pu = either("target_kw", "target_pu")
    limit, limit_is_pu = either("limit_kw", "limit_pu")
    if kind in {Kind.CREATE, Kind.UPDATE} and target is None and limit is None:
        raise ValueError(f"{kind}: expected a target or a limit")
    name = (cells.get("name") or "").strip()
    if not NAME.fullmatch(name):
        raise ValueError(f"name {name!r}: expected letters, digits, - and _")
    stated = (cells.get("class") or "").strip()
    order = Order(
        target_kw=target,
        limit_kw=limit,
        duration_s=amount("duration_s") or 300.0,
        lead_s=amount("lead_s") or 0.0,
        event_class=_choice(EventClass, "class", stated) if stated else None,
        name=name,
        priority=10 if priority is None else int(priority),
        respond_within_s=None if within_s is None else int(within_s),
        tolerance_kw=amount("tolerance_kw"),
        ramp_up_kw_per_min=amount("ramp_up_kw_per_min"),
        ramp_down_kw_per_min=amount("ramp_down_kw_per_min"),
        on_expiry=(cells.get("on_expiry") or "").strip() or None,
    )
    return Row(t_s=t_s, kind=kind, order=order, target_is_pu=target_is_pu, limit_is_pu=limit_is_pu)


def _choice(kind: type[E], column: str, text: str) -> E:
    try:
        return kind(text.strip())
    except ValueError as error:
        raise ValueError(f"{column} {text!r}: expected one of {', '.join(kind)}") from error


def _dangling(file: str, rows: list[Row]) -> list[str]:
    known: set[str] = set()
    faults: list[str] = []
    for row in sorted(rows, key=lambda row: row.t_s):
        if row.kind in {Kind.CREATE, Kind.EMERGENCY}:
            known.add(row.order.name)
        elif row.order.name not in known:
            faults.append(
                f"{file}: {row.kind} at t_s {row.t_s:g}: no order named {row.order.name!r} was created before"
            )
    return faults


def _scaled(row: Row, rated_kw: float, factor: float) -> Row:
    target_scale = rated_kw if row.target_is_pu else factor
    limit_scale = rated_kw if row.limit_is_pu else factor
    order = replace(
        row.order,
        target_kw=_times(row.order.target_kw, target_scale),
        limit_kw=_times(row.order.limit_kw, limit_scale),
    )
    return replace(row, order=order, target_is_pu=False, limit_is_pu=False)


def _times(kw: float | None, scale: float) -> float | None:
    return None if kw is None else round(kw * scale, 3)
