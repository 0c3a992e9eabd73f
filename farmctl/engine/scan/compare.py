"""A scan laid beside the inventory: new, moved, swapped, missing, doubled, unchanged; pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from farmctl.core.model import MinerId
from farmctl.engine.scan.nouns import STANDARD_PORTS, Found
from farmctl.ports.devices import Endpoint
from farmctl.ports.store import InventoryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A known miner at another place than the inventory says."""

    found: Found
    known: InventoryRow
    owner: InventoryRow | None = None
    """Whom the inventory has at the new place: a command sent by address would reach the wrong machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What has changed; every found miner is in exactly one of new, moved, swapped, doubled and unchanged."""

    new: tuple[Found, ...]
    moved: tuple[Move, ...]
    """To a place that was nobody's."""
    swapped: tuple[Move, ...]
    """To a place that the inventory gives to another miner."""
    missing: tuple[InventoryRow, ...]
    """Expected among the scanned addresses, and found nowhere."""
    doubled: tuple[Found, ...]
    """A second place that answers with the id of a miner found already: a clone, or a move during the scan."""
    unchanged: tuple[Found, ...]

    @property
    def is_empty(self) -> bool:
        """True where the inventory is right about everything that was scanned."""
        return not (self.new or self.moved or self.swapped or self.missing or self.doubled)


def diff(found: Sequence[Found], inventory: Sequence[InventoryRow], within: Container[str] | None = None) -> Diff:
    """Compare by miner id; only rows whose host is in `within` can be missing, None: all of them."""
    known = {row.miner_id: row for row in inventory}
    owners = {place_key(row): row for row in inventory}
    new: list[Found] = []
    moves: list[Move] = []
    unchanged: list[Found] = []
    chosen, doubled = _one_each(found, known)
    for each in chosen:
        row = known.get(each.identity.miner_id)
        if row is None:
            new.append(each)
        elif same_place(row, each.endpoint):
            unchanged.append(each)
        else:
            owner = owners.get(place_key(each.endpoint))
            moves.append(Move(found=each, known=row, owner=None if owner is row else owner))
    seen = {each.identity.miner_id for each in chosen}
    return Diff(
        new=tuple(new),
        moved=tuple(move for move in moves if move.owner is None),
        swapped=tuple(move for move in moves if move.owner is not None),
        missing=tuple(row for row in inventory if row.miner_id not in seen and (within is None or row.host in within)),
        doubled=tuple(doubled),
        unchanged=tuple(unchanged),
    )


def place_key(place: Endpoint | InventoryRow) -> tuple[str, int]:
    """Host and API port: what tells two machines apart; an absent port is the standard one."""
    return place.host, place.ports.get("api", STANDARD_PORTS["api"])


def same_place(known: Endpoint | InventoryRow, seen: Endpoint) -> bool:
    """Whether two descriptions mean one place; they may name different ports of it, but not contradict."""
    shared = known.ports.keys() & seen.ports.keys()
    return place_key(known) == place_key(seen) and all(known.ports[name] == seen.ports[name] for name in shared)


def _one_each(found: Sequence[Found], known: Mapping[MinerId, InventoryRow]) -> tuple[list[Found], list[Found]]:
    """One place for each miner: the one the inventory knows, else the first."""
    chosen: dict[MinerId, Found] = {}
    doubled: list[Found] = []
    for each in found:
        miner = each.identity.miner_id
        if miner not in chosen:
            chosen[miner] = each
        elif miner in known and same_place(known[miner], each.endpoint):
            doubled.append(chosen[miner])
            chosen[miner] = each
        else:
            doubled.append(each)
    return list(chosen.values()), doubled
