"""`farmctl simulate`: a site from its configuration and inventory, or a made-up one, played through a day."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from farmctl import __version__
from farmctl.config.build import circuit_tree, site_rules
from farmctl.config.schema import FarmConfig
from farmctl.config.shipped import shipped_profiles
from farmctl.core.fleet import NO_LADDER, CircuitTree, FleetTable, LadderBook, SiteRules
from farmctl.core.model import Ladder
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, WATTS_PER_KW, IntColumn
from farmctl.engine.virtual.day import Paces, Site, Turn, VirtualDay
from farmctl.engine.virtual.daybook import Entry, read_daybook
from farmctl.engine.virtual.devices import World
from farmctl.engine.virtual.signals import Script
from farmctl.errors import ConfigError
from farmctl.inventory.profiles import ladder_for, read_profiles
from farmctl.ports.store import InventoryRow
from farmctl.wiring.virtual_journal import DayJournal

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
J_PER_KWH = 3.6e6
S_PER_HOUR = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPlan:
    """What to play, and where to write it."""

    signals: Path
    config: FarmConfig | None
    """None: a made-up site of `miners`."""
    inventory: tuple[InventoryRow, ...]
    miners: int
    """Used where there is no inventory."""
    start_ms: int
    for_s: float | None
    """None: a little longer than the last order."""
    seed: int
    policy: str
    world: World
    folder: Path | None
    """Journal and recording go here; None: only the report is made."""
    record: bool
    """Keep every cycle's inputs, so that the day can be replayed."""
    tell: Callable[[Turn, float], None]
    """Told each cycle and the share of the day that is over."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Fleet:
    table: FleetTable
    book: LadderBook
    groups: tuple[str, ...]
    tree: CircuitTree
    rules: SiteRules


async def simulate(plan: SimulationPlan) -> dict[str, Any]:
    """Play the day and return its report; raises ConfigError or DaybookError before anything is written."""
    started = time.monotonic()
    fleet = _configured(plan.config, plan) if plan.config is not None else _made_up(plan)
    entries = read_daybook(plan.signals, fleet.rules.rated_w)
    end_ms = plan.start_ms + round((plan.for_s if plan.for_s is not None else _length_s(entries)) * MS_PER_S)
    day = VirtualDay(
        site=Site(
            table=fleet.table,
            book=fleet.book,
            groups=fleet.groups,
            circuits=fleet.tree,
            rules=fleet.rules,
            policy=plan.policy,
            seed=plan.seed,
            world=plan.world,
            poll_ms=round((plan.config.poll.interval_s if plan.config else 5.0) * MS_PER_S),
        ),
        script=Script(start_ms=plan.start_ms, entries=entries),
        end_ms=end_ms,
        paces=Paces.of(len(fleet.table)),
        keep_views=plan.record,
    )
    async with DayJournal.opened(plan.folder, day, record=plan.record) as journal:
        await journal.begin(miners=len(fleet.table), version=__version__, signals=plan.signals.name)
        for turn in day.play():
            await journal.take(turn)
            plan.tell(turn, (turn.decision.at_ms - plan.start_ms) / max(end_ms - plan.start_ms, 1))
        await journal.end()
    kept = await journal.verdict()
    return _report(day, entries, kept, time.monotonic() - started)


def _length_s(entries: tuple[Entry, ...]) -> float:
    return max((entry.end_s for entry in entries), default=0.0) + 60.0


def _report(day: VirtualDay, entries: tuple[Entry, ...], kept: dict[str, object], wall_s: float) -> dict[str, Any]:
    ledger = day.ledger
    return {
        "miners": len(day.site.table),
        "rated_kw": round(day.site.rules.rated_w / WATTS_PER_KW, 1),
        "policy": day.site.policy,
        "seed": day.site.seed,
        "virtual_s": round(ledger.seconds, 1),
        "cycles": ledger.cycles,
        "signals": len(entries),
        "events": ledger.events(),
        "commands": {
            "sent": ledger.sent,
            "confirmed": ledger.confirmed,
            "failed": ledger.given_up,
            "retried": ledger.retried,
        },
        "tracking": ledger.tracking(),
        "limit_violations": ledger.violations,
        "energy_mwh": round(ledger.joules / J_PER_KWH / WATTS_PER_KW, 3),
        "peak_kw": round(ledger.peak_w / WATTS_PER_KW, 1),
        "mean_hash_rate_ths": round(ledger.hashes / HASHES_PER_TERAHASH / max(ledger.seconds, 1.0), 1),
        "journal": kept,
        "wall_s": round(wall_s, 1),
    }


def _configured(config: FarmConfig, plan: SimulationPlan) -> _Fleet:
    """The site as it is configured, with its inventory or with made-up miners on its outermost circuits."""
    tree = circuit_tree(config)
    rules = replace(site_rules(config), grid_expected=True)
    profiles = read_profiles(shipped_profiles())
    if not plan.inventory:
        leaves = np.setdiff1d(np.arange(len(tree.names)), tree.parent)
        table, book, groups = _mixed(plan.miners, leaves[np.arange(plan.miners) % len(leaves)], plan.seed)
        return _Fleet(table=table, book=book, groups=groups, tree=tree, rules=rules)
    node = {name: number for number, name in enumerate(tree.names)}
    rows = sorted(plan.inventory, key=lambda row: row.miner_id)
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
    return _Fleet(table=table, book=LadderBook.of(list(found)), groups=groups, tree=tree, rules=rules)


def _made_up(plan: SimulationPlan) -> _Fleet:
    """A site of containers behind one meter, with the default rules of a configuration."""
    container = np.arange(plan.miners) // PER_CONTAINER
    table, book, groups = _mixed(plan.miners, container + 1, plan.seed)
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
    return _Fleet(table=table, book=book, groups=groups, tree=tree, rules=rules)


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
