"""The site of a virtual day: from its configuration and inventory, or made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from farmctl.config.build import circuit_tree, site_rules
from farmctl.config.schema import FarmConfig
from farmctl.config.shipped import shipped_profiles
from farmctl.core.fleet import NO_LADDER, CircuitTree, FleetTable, LadderBook, SiteRules
from farmctl.core.model import Ladder, MinerId
from farmctl.core.units import WATTS_PER_KW, IntColumn
from farmctl.errors import ConfigError
from farmctl.inventory.profiles import ladder_for, read_profiles
from farmctl.ports.store import InventoryRow

MIX: tuple[tuple[str, str, int], ...] = (
    ("luxos", "Antminer S19k Pro", 40),
    ("whatsminer", "M50S", 30),
    ("whatsminer", "M30S++", 15),
    ("antminer", "Antminer S19k Pro", 15),
)
"""Driver, model and share in percent of a made-up fleet."""
PER_CONTAINER = 240
CONTAINER_RESERVE = 1.10
SITE_RESERVE = 1.05
"""Rating of a made-up circuit over what its miners draw; cooling and losses need some of it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VirtualSite:
    """A fleet in columns, with nothing seen of it yet, and what its configuration says."""

    config: FarmConfig
    table: FleetTable
    book: LadderBook
    groups: tuple[str, ...]
    tree: CircuitTree
    rules: SiteRules
    inventory: tuple[InventoryRow, ...]
    """Empty for a made-up fleet."""

    def rows(self) -> tuple[InventoryRow, ...]:
        """The miners as an inventory lists them, in the order of the table."""
        return self.inventory or tuple(
            InventoryRow(
                miner_id=MinerId(str(miner)),
                host="",
                ports={},
                driver=MIX[kind][0],
                model=MIX[kind][1],
                circuit=self.tree.names[node],
                container=self.tree.names[node],
            )
            for miner, kind, node in zip(
                self.table.miner_id, self.table.group.tolist(), self.table.node.tolist(), strict=True
            )
        )


def configured(config: FarmConfig, inventory: Sequence[InventoryRow], miners: int, seed: int) -> VirtualSite:
    """The site as it is configured, with its inventory or with made-up miners on its outermost circuits."""
    tree = circuit_tree(config)
    rules = replace(site_rules(config), grid_expected=True)
    profiles = read_profiles(shipped_profiles())
    if not inventory:
        leaves = np.setdiff1d(np.arange(len(tree.names)), tree.parent)
        table, book, groups = _mixed(miners, leaves[np.arange(miners) % len(leaves)], seed)
        return VirtualSite(config=config, table=table, book=book, groups=groups, tree=tree, rules=rules, inventory=())
    node = {name: number for number, name in enumerate(tree.names)}
    rows = sorted(inventory, key=lambda row: row.miner_id)
    lost = sorted({row.circuit for row in rows if row.circuit and row.circuit not in node})
    if lost:
        raise ConfigError(f"inventory: unknown circuits {', '.join(lost)}; known: {', '.join(tree.names)}")
    found: dict[Ladder, int] = {}
    table = FleetTable.empty(len(rows))
    table.miner_id[:] = [row.miner_id for row in rows]
    groups = tuple(sorted({f"{row.model}\t{row.firmware or row.driver}" for row in rows}))
    for number, row in enumerate(rows):
        ladder = ladder_for(row.driver, row.model, row.firmware, profiles)
        table.ladder[number] = NO_LADDER if ladder is None else found.setdefault(ladder, len(found))
        table.node[number] = node.get(row.circuit, 0)
        table.group[number] = groups.index(f"{row.model}\t{row.firmware or row.driver}")
        table.tier[number], table.protected[number] = row.tier, row.protected
    book = LadderBook.of(list(found))
    return VirtualSite(
        config=config, table=table, book=book, groups=groups, tree=tree, rules=rules, inventory=tuple(rows)
    )


def made_up(miners: int, seed: int) -> VirtualSite:
    """A site of containers behind one meter, with the default rules of a configuration."""
    container = np.arange(miners) // PER_CONTAINER
    table, book, groups = _mixed(miners, container + 1, seed)
    full_w = book.power_w[table.ladder, book.steps[table.ladder] - 1]
    load_w = np.bincount(container, weights=full_w)
    rated_w = SITE_RESERVE * float(full_w.sum())
    names = ("site", *(f"C{number:04d}" for number in range(1, len(load_w) + 1)))
    tree = CircuitTree(
        names=names,
        parent=np.array([-1, *([0] * len(load_w))], dtype=np.int64),
        rating_w=np.concatenate([[rated_w], CONTAINER_RESERVE * load_w]),
        meter_w=np.full(len(names), np.nan),
    )
    site = {"name": "simulated", "rated_kw": rated_w / WATTS_PER_KW, "standing_kw": rated_w / WATTS_PER_KW}
    config = FarmConfig.model_validate({"site": {**site, "failsafe_limit_kw": 0.25 * rated_w / WATTS_PER_KW}})
    rules = replace(site_rules(config), grid_expected=True)
    return VirtualSite(config=config, table=table, book=book, groups=groups, tree=tree, rules=rules, inventory=())


def _mixed(miners: int, node: IntColumn, seed: int) -> tuple[FleetTable, LadderBook, tuple[str, ...]]:
    """A fleet of the default mix, spread over the circuits by chance; the same for the same seed."""
    profiles = read_profiles(shipped_profiles())
    ladders: list[Ladder] = []
    for driver, model, _ in MIX:
        ladder = ladder_for(driver, model, "", profiles)
        if ladder is None:
            raise ConfigError(f"profiles: no ladder for {driver} {model}")
        ladders.append(ladder)
    shares = np.array([share for _, _, share in MIX], dtype=np.float64)
    kind = np.random.default_rng(seed).choice(len(MIX), size=miners, p=shares / shares.sum())
    table = FleetTable.empty(miners)
    table.miner_id[:] = [
        f"02:5f:{n >> 24:02x}:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}" for n in range(miners)
    ]
    table.ladder[:] = kind
    table.group[:] = kind
    table.node[:] = node
    return table, LadderBook.of(ladders), tuple(f"{model}\t{driver}" for driver, model, _ in MIX)
