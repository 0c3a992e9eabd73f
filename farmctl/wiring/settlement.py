"""What settlement must know of the site: its parts, its prices, and the firmware of every miner."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence

import numpy as np

from farmctl import __version__
from farmctl.config.schema import FarmConfig
from farmctl.core.confirm import nominal_w, top_step
from farmctl.core.fleet import CircuitTree, FleetTable, FleetView, LadderBook, MeterSample, SiteRules
from farmctl.core.model import Quality
from farmctl.core.units import CodeColumn, IntColumn
from farmctl.engine.settlement import Facts
from farmctl.ports.store import InventoryRow, JsonValue
from farmctl.wiring.fleet import Fleet


def settlement_facts(config: FarmConfig, fleet: Fleet, tree: CircuitTree, rules: SiteRules) -> Facts:
    """The facts of this run; the blob maps a miner to [firmware group, part, full draw in W]."""
    table = fleet.keeper.freeze()
    rows = [fleet.keeper.seat_of(number).row for number in range(len(table))]
    return facts_of(config, rows, table, fleet.keeper.book, fleet.groups, tree, rules)


def facts_of(
    config: FarmConfig,
    rows: Sequence[InventoryRow],
    table: FleetTable,
    book: LadderBook,
    groups: tuple[str, ...],
    tree: CircuitTree,
    rules: SiteRules,
) -> Facts:
    """The same of a fleet that stands in columns; `rows` in their order."""
    keys = [(row.container or row.circuit or "-", row.owner or "-") for row in rows]
    parts = sorted(set(keys)) or [("-", "-")]
    number = {key: index for index, key in enumerate(parts)}
    part_of = np.array([number[key] for key in keys], dtype=np.int16)
    full_w = _full_w(table, book, groups, tree, rules)
    miners = {
        row.miner_id: [int(table.group[index]), int(part_of[index]), round(float(full_w[index]))]
        for index, row in enumerate(rows)
    }
    prices = config.settlement.model_dump(mode="json")
    body: dict[str, JsonValue] = {
        "site": config.site.name,
        "timezone": config.site.timezone,
        "version": __version__,
        "config_sha256": hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
        "rated_w": round(rules.rated_w),
        "firm_w": round(rules.failsafe_limit_w),
        "free_w": round(_free_w(rules)),
        "prices": prices,
        "groups": [group.replace("\t", " ") for group in groups],
        "parts": [{"container": container, "owner": owner} for container, owner in parts],
        "meter": [meter.name for meter in config.meter if meter.site],
        "meter_period_s": next((meter.period_s for meter in config.meter if meter.site), None),
    }
    blob = zlib.compress(json.dumps(miners, sort_keys=True, separators=(",", ":")).encode(), 6)
    containers = sorted({container for container, _ in parts})
    container_of = np.array([containers.index(container) for container, _ in parts], dtype=np.int16)
    nodes = _metered_nodes(config, tree, table, container_of[part_of], len(containers))
    return Facts(
        body=body,
        blob=blob,
        part_of=part_of,
        parts=len(parts),
        meter_node=nodes[container_of],
        container_of=container_of,
    )


def _metered_nodes(
    config: FarmConfig, tree: CircuitTree, table: FleetTable, container_of_row: CodeColumn, containers: int
) -> IntColumn:
    """For every container the circuit with a meter that feeds all its miners and no others; -1 for none."""
    metered = {circuit.name for circuit in config.circuit if circuit.meter is not None}
    found = np.full(containers, -1, dtype=np.int64)
    whole = np.bincount(container_of_row, minlength=containers)
    for node, name in enumerate(tree.names):
        if name not in metered or tree.parent[node] < 0:
            continue
        below = np.zeros(len(tree.names), dtype=np.bool_)
        below[node] = True
        for child in range(node + 1, len(tree.names)):  # parents come before children
            below[child] = below[tree.parent[child]]
        fed = np.bincount(container_of_row[below[table.node]], minlength=containers)
        only = np.flatnonzero(fed)
        if len(only) == 1 and fed[only[0]] == whole[only[0]]:
            found[only[0]] = node
    return found


def _free_w(rules: SiteRules) -> float:
    """What the site may draw while the grid orders nothing: that bounds what it would have drawn without an event."""
    if rules.standing_w is not None:
        return rules.standing_w
    return rules.failsafe_limit_w if rules.grid_expected else rules.rated_w


def _full_w(
    table: FleetTable, book: LadderBook, groups: tuple[str, ...], tree: CircuitTree, rules: SiteRules
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    nothing = MeterSample(power_w=float("nan"), at_ms=-1, quality=Quality.MISSING)
    view = FleetView(
        table=table,
        ladders=book,
        groups=groups,
        circuits=tree,
        rules=rules,
        meter=nothing,
    )
    full_w: np.ndarray[tuple[int], np.dtype[np.float64]] = nominal_w(view, top_step(view))
    return full_w
