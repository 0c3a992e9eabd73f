"""What the inventory becomes after a scan: rows to put, rows to forget, and what is held back and why; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from farmctl.core.model import MinerId
from farmctl.engine.scan.compare import Diff, place_key
from farmctl.engine.scan.nouns import Found
from farmctl.ports.store import InventoryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A found miner that is not written."""

    found: Found
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """The change of the inventory; two miners never end up on one endpoint, which `run` would refuse."""

    added: tuple[InventoryRow, ...]
    moved: tuple[InventoryRow, ...]
    updated: tuple[InventoryRow, ...]
    """At their place, with another model, firmware, serial or driver than before."""
    removed: tuple[InventoryRow, ...]
    """Missing miners whose place another one has taken."""
    held: tuple[Held, ...]

    @property
    def put(self) -> tuple[InventoryRow, ...]:
        """Every row to insert or replace."""
        return (*self.added, *self.moved, *self.updated)


def take(changes: Diff, inventory: Sequence[InventoryRow], *, circuit: str | None, replace_lost: bool) -> Taking:
    """Turn a diff into rows.

    New miners go on `circuit`; None: they are held back; empty: a person fills it in later. Where a place was that of
    a miner that was found nowhere, its new occupant is held back, or, with `replace_lost`, takes its place, and a new
    one its location and circuit too.
    """
    known = {row.miner_id: row for row in inventory}
    lost = {place_key(row): row for row in changes.missing}
    taker = _Taker(lost if replace_lost else {}, circuit)
    held = [Held(found=each, why="its miner id was found at another place, too") for each in changes.doubled]
    wanted: dict[MinerId, tuple[Found, InventoryRow]] = {}
    for each in changes.new:
        row = taker.newcomer(each)
        if row.circuit or circuit is not None:
            wanted[row.miner_id] = each, row
        else:
            held.append(Held(found=each, why="it is on no circuit: name one with --circuit"))
    for move in (*changes.moved, *changes.swapped):
        row = _seen(move.known, move.found, moved=True)
        wanted[row.miner_id] = move.found, row
        taker.displace(move.found)
    stays = {
        each.identity.miner_id: _seen(known[each.identity.miner_id], each, moved=False) for each in changes.unchanged
    }
    removed = {row.miner_id: row for row in taker.displaced}
    held.extend(_keep_apart(wanted, {row.miner_id: row for row in inventory if row.miner_id not in removed}))
    rows = [row for _, row in wanted.values()]
    return Taking(
        added=tuple(row for row in rows if row.miner_id not in known),
        moved=tuple(row for row in rows if row.miner_id in known),
        updated=tuple(row for row in stays.values() if row != known[row.miner_id]),
        removed=tuple(removed.values()),
        held=tuple(held),
    )


class _Taker:
    """Makes rows of newcomers, and notes whom they replace."""

    def __init__(self, lost: dict[tuple[str, int], InventoryRow], circuit: str | None) -> None:
        self._lost = lost
        self._circuit = circuit
        self.displaced: list[InventoryRow] = []

    def displace(self, found: Found) -> InventoryRow | None:
        row = self._lost.get(place_key(found.endpoint))
        if row is not None:
            self.displaced.append(row)
        return row

    def newcomer(self, found: Found) -> InventoryRow:
        who, where = found.identity, found.endpoint
        row = InventoryRow(
            miner_id=who.miner_id,
            host=where.host,
            ports=dict(where.ports),
            driver=who.driver,
            model=who.model,
            firmware=who.firmware,
            serial=who.serial,
            circuit=self._circuit or "",
        )
        before = self.displace(found)
        if before is None:
            return row
        here = {
            name: getattr(before, name)
            for name in ("container", "rack", "slot", "phase", "tier", "protected", "tags", "owner")
        }
        return replace(row, **here, circuit=before.circuit or row.circuit)


def _seen(known: InventoryRow, found: Found, *, moved: bool) -> InventoryRow:
    """A known row with what the scan read; what it did not read stays."""
    who, where = found.identity, found.endpoint
    return replace(
        known,
        host=where.host if moved else known.host,
        ports=dict(where.ports) if moved else known.ports,
        driver=who.driver or known.driver,
        model=who.model or known.model,
        firmware=who.firmware or known.firmware,
        serial=who.serial or known.serial,
    )


def _keep_apart(wanted: dict[MinerId, tuple[Found, InventoryRow]], stays: dict[MinerId, InventoryRow]) -> list[Held]:
    """Take out of `wanted` whoever would share an endpoint; one held back may hold back another, hence the loop."""
    held: list[Held] = []
    while True:
        at_home = {place_key(row): row for row in stays.values() if row.miner_id not in wanted}
        clash = [miner for miner, (_, row) in wanted.items() if place_key(row) in at_home]
        if not clash:
            return held
        for miner in clash:
            found, row = wanted.pop(miner)
            other = at_home[place_key(row)].miner_id
            why = f"its place is that of {other}, which stays there; if that one is gone, --replace-lost takes it out"
            held.append(Held(found=found, why=why))
