"""Bulk edits of the inventory: `rack=C001-R02 tags+=hot protected=yes` laid over some rows; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from farmctl.core.model import MinerId
from farmctl.inventory.cells import read_phase, read_switch, read_tags, read_tier
from farmctl.inventory.fault import did_you_mean
from farmctl.ports.store import InventoryRow

_READERS: Mapping[str, Callable[[str], object]] = {
    "circuit": str,
    "container": str,
    "rack": str,
    "slot": str,
    "phase": read_phase,
    "tier": read_tier,
    "protected": read_switch,
    "tags": read_tags,
    "owner": str,
}
EDITABLE = tuple(_READERS)
"""Where a miner stands and whose it is; who it is and where it answers, a scan or an import says."""

_CHANGE = re.compile(r"([a-z_]+)(\+=|-=|=)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One column's new value; tags can also be added to and taken from."""

    column: str
    sign: str
    """`=`, or `+=` and `-=` for tags."""
    value: object

    def of(self, row: InventoryRow) -> object:
        """What the column holds afterwards."""
        if self.sign == "=":
            return self.value
        given = self.value if isinstance(self.value, tuple) else ()
        kept = tuple(tag for tag in row.tags if tag not in given)
        return (*kept, *given) if self.sign == "+=" else kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """An inventory after an edit."""

    rows: tuple[InventoryRow, ...]
    """All miners, by miner id."""
    matched: tuple[MinerId, ...]
    before: tuple[InventoryRow, ...]
    """Those that the edit changes, as they were."""
    after: tuple[InventoryRow, ...]
    """The same ones, as they become."""

    def differences(self) -> list[dict[str, object]]:
        """For each changed miner its id and, by column, what it was and what it becomes."""
        return [
            {
                "miner_id": new.miner_id,
                **{name: [getattr(old, name), getattr(new, name)] for name in EDITABLE if _differ(old, new, name)},
            }
            for old, new in zip(self.before, self.after, strict=True)
        ]


def read_changes(texts: Sequence[str]) -> tuple[Change, ...]:
    """Read `column=value`, `tags+=a;b`, `tags-=a`; an empty value empties. Raises ValueError with every fault."""
    changes: list[Change] = []
    faults: list[str] = []
    for text in texts:
        try:
            changes.append(_read(text))
        except ValueError as error:
            faults.append(str(error))
    columns = [change.column for change in changes]
    faults += [f"{name}: expected each column once" for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(changes)


def edit(rows: Sequence[InventoryRow], chosen: frozenset[MinerId], changes: Sequence[Change]) -> Edited:
    """Lay the changes over the chosen miners."""
    ordered = sorted(rows, key=lambda row: row.miner_id)
    picked = [row for row in ordered if row.miner_id in chosen]
    new = {row.miner_id: _changed(row, changes) for row in picked}
    touched = [row for row in picked if new[row.miner_id] != row]
    return Edited(
        rows=tuple(new.get(row.miner_id, row) for row in ordered),
        matched=tuple(row.miner_id for row in picked),
        before=tuple(touched),
        after=tuple(new[row.miner_id] for row in touched),
    )


def _changed(row: InventoryRow, changes: Sequence[Change]) -> InventoryRow:
    values = {change.column: change.of(row) for change in changes}
    return replace(row, **values)  # type: ignore[arg-type]  # each column's reader gives the type of its field


def _read(text: str) -> Change:
    match = _CHANGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: expected column=value, such as rack=C001-R02")
    column, sign, value = match.groups()
    if column not in _READERS:
        hint = did_you_mean(column, EDITABLE) or f"; known: {', '.join(EDITABLE)}"
        raise ValueError(f"{column}: expected a column that can be edited{hint}")
    if sign != "=" and column != "tags":
        raise ValueError(f"{column}{sign}: expected =; only tags can be added to and taken from")
    try:
        return Change(column=column, sign=sign, value=_READERS[column](value.strip()))
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from None


def _differ(old: InventoryRow, new: InventoryRow, column: str) -> bool:
    return bool(getattr(old, column) != getattr(new, column))
