"""The miners as CSV: read with every fault and its line, written back, merged by miner."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from farmctl.core.model import MinerId
from farmctl.inventory.cells import (
    SEPARATOR,
    read_host,
    read_miner_id,
    read_phase,
    read_ports,
    read_switch,
    read_tags,
    read_tier,
    write_ports,
)
from farmctl.inventory.fault import Fault, InventoryFaultsError, did_you_mean
from farmctl.ports.store import InventoryRow

ROW_COLUMNS = tuple(column.name for column in fields(InventoryRow))
COLUMNS = (*ROW_COLUMNS, "site")
"""What a file may have; `site` is checked and not kept, since an inventory is that of one site."""
REQUIRED = ("miner_id", "host", "driver")
SCANNED = frozenset({"host", "ports", "driver", "model", "firmware", "serial"})
"""What a scan finds out by itself."""

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True, kw_only=True)
class MinersFile:
    """What a file said, and on which line."""

    rows: tuple[InventoryRow, ...]
    """In the order of the file."""
    lines: Mapping[MinerId, int] = field(default_factory=dict)
    columns: frozenset[str] = frozenset(ROW_COLUMNS)
    """Columns of a row that the file has; about the others it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Two inventories laid over each other."""

    rows: tuple[InventoryRow, ...]
    """All miners, by miner id."""
    added: tuple[MinerId, ...]
    changed: tuple[MinerId, ...]
    moved: tuple[MinerId, ...]
    """Those of `changed` whose address is another."""


def read_miners(
    text: str,
    file: str = "miners.csv",
    *,
    drivers: frozenset[str] | None = None,
    circuits: frozenset[str] | None = None,
    site: str | None = None,
) -> MinersFile:
    """Read the CSV; raises InventoryFaultsError with every fault.

    Names of drivers, circuits and the site are compared with those given; None: not compared. A miner may have no
    circuit yet, and a file need not name the site.
    """
    known = {
        "driver": drivers,
        "circuit": None if circuits is None else circuits | {""},
        "site": None if site is None else frozenset({site, ""}),
    }
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    faults: list[Fault] = []
    rows: dict[MinerId, InventoryRow] = {}
    lines: dict[MinerId, int] = {}
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        faults.extend(_header_faults(header, file))
        for cells in reader if not faults else ():
            if not any(cell.strip() for cell in cells):
                continue
            line = reader.line_num
            row, wrong = _read_row(header, cells)
            wrong.extend(_strangers(dict(zip(header, cells, strict=False)), known))
            if row is not None and row.miner_id in rows:
                wrong.append(("miner_id", f"{row.miner_id} is also on line {lines[row.miner_id]}"))
            faults.extend(Fault(file=file, line=line, key=key, expected=text) for key, text in wrong)
            if row is not None and not wrong:
                rows[row.miner_id], lines[row.miner_id] = row, line
    except csv.Error as error:
        faults.append(Fault(file=file, line=reader.line_num, key="", expected=f"expected CSV: {error}"))
    if faults:
        raise InventoryFaultsError(faults)
    return MinersFile(rows=tuple(rows.values()), lines=lines, columns=frozenset(header) & frozenset(ROW_COLUMNS))


def write_miners(rows: Sequence[InventoryRow], site: str = "") -> str:
    """The CSV of some miners of a site, by miner id; `read_miners` gives the same rows back."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.miner_id):
        cells: dict[str, object] = {name: getattr(row, name) for name in ROW_COLUMNS}
        cells["ports"] = write_ports(row.ports)
        cells["tags"] = SEPARATOR.join(row.tags)
        cells["protected"] = "true" if row.protected else "false"
        cells["site"] = site
        writer.writerow([cells[name] for name in COLUMNS])
    return out.getvalue()


def merge(known: Sequence[InventoryRow], seen: Sequence[InventoryRow], columns: Collection[str] = SCANNED) -> Merged:
    """Lay newer rows over known ones by miner id; only `columns` are taken, the others stay as they are known.

    A scan knows no rack and no owner, and must not wipe them.
    """
    rows = {row.miner_id: row for row in known}
    added: list[MinerId] = []
    changed: list[MinerId] = []
    moved: list[MinerId] = []
    for new in seen:
        old = rows.get(new.miner_id)
        rows[new.miner_id] = new if old is None else replace(old, **{c: getattr(new, c) for c in columns})
        if old is None:
            added.append(new.miner_id)
        elif rows[new.miner_id] != old:
            changed.append(new.miner_id)
            if (old.host, dict(old.ports)) != (rows[new.miner_id].host, dict(rows[new.miner_id].ports)):
                moved.append(new.miner_id)
    ordered = tuple(rows[miner] for miner in sorted(rows))
    return Merged(rows=ordered, added=tuple(added), changed=tuple(changed), moved=tuple(moved))


def _strangers(cells: Mapping[str, str], known: Mapping[str, frozenset[str] | None]) -> Iterator[tuple[str, str]]:
    for column, names in known.items():
        name = cells.get(column, "").strip()
        if names is not None and column in cells and name not in names and not (column in REQUIRED and not name):
            hint = did_you_mean(name, names) or f"; known: {', '.join(sorted(names - {''})) or 'none'}"
            yield column, f'expected a known {column}, got "{name}"{hint}'


def _header_faults(header: Sequence[str], file: str) -> Iterator[Fault]:
    for number, name in enumerate(header):
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS) or f"; known: {', '.join(COLUMNS)}"
            yield Fault(file=file, line=1, key=name, expected=f"unknown column{hint}")
        elif name in header[:number]:
            yield Fault(file=file, line=1, key=name, expected="expected each column once")
    for name in REQUIRED:
        if name not in header:
            yield Fault(file=file, line=1, key=name, expected="missing column")


def _read_row(header: Sequence[str], cells: Sequence[str]) -> tuple[InventoryRow | None, list[tuple[str, str]]]:
    """One row and what is wrong with it: (column, expectation)."""
    if len(cells) != len(header):
        return None, [("", f"expected {len(header)} cells, got {len(cells)}")]
    row = _Row(dict(zip(header, (cell.strip() for cell in cells), strict=True)))
    miner_id = row.take("miner_id", read_miner_id)
    host = row.take("host", read_host)
    driver = row.take("driver", str)
    ports = row.take("ports", read_ports)
    tier = row.take("tier", read_tier)
    phase = row.take("phase", read_phase)
    protected = row.take("protected", read_switch)
    tags = row.take("tags", read_tags)
    if miner_id is None or host is None or driver is None:
        return None, row.wrong
    made = InventoryRow(
        miner_id=miner_id,
        host=host,
        ports=ports or {},
        driver=driver,
        model=row.text("model"),
        firmware=row.text("firmware"),
        serial=row.text("serial"),
        circuit=row.text("circuit"),
        container=row.text("container"),
        rack=row.text("rack"),
        slot=row.text("slot"),
        phase=phase or "",
        tier=tier or 0,
        protected=bool(protected),
        tags=tags or (),
        owner=row.text("owner"),
    )
    return made, row.wrong


class _Row:
    """One row's cells, and what was wrong with those taken so far."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self.wrong: list[tuple[str, str]] = []
        self._cells = cells

    def text(self, column: str) -> str:
        return self._cells.get(column, "")

    def take(self, column: str, read: Callable[[str], ValueT]) -> ValueT | None:
        text = self.text(column)
        if not text and column in REQUIRED:
            self.wrong.append((column, "missing"))
            return None
        try:
            return read(text)
        except ValueError as error:
            self.wrong.append((column, str(error)))
            return None
