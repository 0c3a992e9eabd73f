"""From inventory rows to seats in the columns and links to the machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from farmctl.config.credentials import credentials_for, read_secret
from farmctl.config.schema import CredentialsTable, FarmConfig
from farmctl.config.shipped import shipped_profiles
from farmctl.core.alarms import Yard
from farmctl.core.fleet import CircuitTree
from farmctl.core.model import Ladder, MinerId
from farmctl.core.units import FloatColumn
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.engine.link import Link
from farmctl.engine.poller import Poller
from farmctl.engine.scan.follow import Follower
from farmctl.inventory.check import check_rows
from farmctl.inventory.fault import InventoryFaultsError
from farmctl.inventory.profiles import Profiles, ladder_for, limit_for, read_profiles
from farmctl.ports.devices import AppliesPoint, Credentials, Driver, Endpoint
from farmctl.ports.site import Clock
from farmctl.ports.store import InventoryRow, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The machines of a site, ready to be polled."""

    keeper: FleetKeeper
    links: dict[MinerId, Link]
    groups: tuple[str, ...]
    """Model and firmware of each group code."""
    drivers: Mapping[str, Driver]
    limit_c: FloatColumn
    """Heat at which each row protects itself by the table of models, shape (rows,), NaN unknown."""


def shard_of(by: str, row: InventoryRow) -> str:
    """The shard of a miner: its container, else its circuit; or its rack in there."""
    container = row.container or row.circuit
    return f"{container}/{row.rack or '-'}" if by == "rack" else container


def gather(config: FarmConfig, rows: Sequence[InventoryRow], tree: CircuitTree, drivers: Mapping[str, Driver]) -> Fleet:
    """Seat every miner and make its device. Raises InventoryFaultsError with every fault of the inventory."""
    faults = check_rows(rows, tree=tree, drivers=drivers)
    if faults:
        raise InventoryFaultsError(faults)
    ladders = Ladders(read_profiles(shipped_profiles()))
    nodes = {name: number for number, name in enumerate(tree.names)}
    groups = tuple(sorted({_group(row) for row in rows}))
    code = {group: number for number, group in enumerate(groups)}
    keeper = FleetKeeper()
    devices = {row.miner_id: drivers[row.driver].device(endpoint_of(row), _login(config, row)) for row in rows}
    keeper.seat(
        [
            Seat(
                row=row,
                ladder=ladders.of(row),
                node=nodes[row.circuit],
                group=code[_group(row)],
                commandable=isinstance(devices[row.miner_id], AppliesPoint),
            )
            for row in rows
        ]
    )
    links = {miner: Link(miner_id=miner, row=keeper.row_of[miner], device=device) for miner, device in devices.items()}
    for link in links.values():
        # Nobody is commanded before its identity was read: two miners may have swapped addresses.
        keeper.allow(link.row, commandable=False)
    limits = (ladders.limit_c(keeper.seat_of(row).row) for row in range(len(keeper.table)))
    limit_c = np.fromiter(limits, dtype=np.float64, count=len(keeper.table))
    return Fleet(keeper=keeper, links=links, groups=groups, drivers=drivers, limit_c=limit_c)


def follower(config: FarmConfig, fleet: Fleet, poller: Poller, store: Store, clock: Clock) -> Follower | None:
    """Who follows miners that moved; None where the site does not want it."""
    if not config.poll.follow_moves:
        return None
    return Follower(
        fleet.links,
        fleet.keeper,
        poller,
        store,
        clock,
        drivers=fleet.drivers,
        login=lambda row: login_of(config.credentials, row),
    )


def yard_of(fleet: Fleet, tree: CircuitTree) -> Yard:
    """How the site divides, for the common causes of alarms."""
    table = fleet.keeper.table
    rows = [fleet.keeper.seat_of(number).row for number in range(len(table))]
    return Yard.of(tree, table.node, [row.container for row in rows], [row.rack for row in rows])


def endpoint_of(row: InventoryRow) -> Endpoint:
    """Where a miner of the inventory answers."""
    return Endpoint(host=row.host, ports=row.ports)


def login_of(entries: Iterable[CredentialsTable], row: InventoryRow) -> Credentials:
    """The first entry of the configuration that fits a miner, its secret read from its file."""
    about = {
        "host": row.host,
        "id": row.miner_id,
        "model": row.model,
        "circuit": row.circuit,
        "container": row.container,
        "rack": row.rack,
    }
    entry = credentials_for(entries, row.driver, about)
    if entry is None:
        return Credentials()
    return Credentials(user=entry.user or "", password=read_secret(entry.password_file))


def _login(config: FarmConfig, row: InventoryRow) -> Credentials:
    return login_of(config.credentials, row)


def _group(row: InventoryRow) -> str:
    return f"{row.model or 'unknown'}\t{row.firmware or row.driver}"


class Ladders:
    """Ladders by model, each looked up once."""

    def __init__(self, profiles: Profiles) -> None:
        """`profiles`: the shipped ones."""
        self._profiles = profiles
        self._known: dict[tuple[str, str, str], Ladder | None] = {}
        self._limit_c: dict[tuple[str, str], float] = {}

    def of(self, row: InventoryRow) -> Ladder | None:
        """The ladder of a miner's model and firmware, None where nothing is known of it."""
        key = (row.driver, row.model, row.firmware)
        if key not in self._known:
            self._known[key] = ladder_for(*key, self._profiles)
        return self._known[key]

    def limit_c(self, row: InventoryRow) -> float:
        """Heat at which a miner's model protects itself, °C, NaN unknown."""
        key = (row.driver, row.model)
        if key not in self._limit_c:
            self._limit_c[key] = limit_for(*key, self._profiles)
        return self._limit_c[key]
