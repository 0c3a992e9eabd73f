"""`farmctl simulate`: a site from its configuration and inventory, or a made-up one, played through a day."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farmctl import __version__
from farmctl.config.schema import FarmConfig
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, WATTS_PER_KW
from farmctl.engine.virtual.day import Paces, Site, Turn, VirtualDay
from farmctl.engine.virtual.daybook import Entry, read_daybook
from farmctl.engine.virtual.devices import World
from farmctl.engine.virtual.signals import Script
from farmctl.ports.store import InventoryRow
from farmctl.wiring.virtual_journal import DayJournal
from farmctl.wiring.virtual_site import configured, made_up

SERIES_UP_TO = 20_000
"""Miners up to which the journal gets the settlement series: it needs a cycle every few seconds."""
LONGEST_STEP_S = 5.0
"""A report counts no energy between samples further apart."""
J_PER_KWH = 3.6e6


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


async def simulate(plan: SimulationPlan) -> dict[str, Any]:
    """Play the day and return its report; raises ConfigError or DaybookError before anything is written."""
    started = time.monotonic()
    if plan.config is not None:
        fleet = configured(plan.config, plan.inventory, plan.miners, plan.seed)
    else:
        fleet = made_up(plan.miners, plan.seed)
    entries = read_daybook(plan.signals, fleet.rules.rated_w)
    end_ms = plan.start_ms + round((plan.for_s if plan.for_s is not None else _length_s(entries)) * MS_PER_S)
    series = plan.folder is not None and len(fleet.table) <= SERIES_UP_TO
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
            poll_ms=round(fleet.config.poll.interval_s * MS_PER_S),
        ),
        script=Script(start_ms=plan.start_ms, entries=entries),
        end_ms=end_ms,
        paces=Paces.of(len(fleet.table)).within(LONGEST_STEP_S if series else math.inf),
        keep_views=plan.record or series,
    )
    async with DayJournal.opened(plan.folder, day, fleet, record=plan.record, settled=series) as journal:
        await journal.begin(miners=len(fleet.table), version=__version__, signals=plan.signals.name)
        for turn in day.play():
            await journal.take(turn)
            plan.tell(turn, (turn.decision.at_ms - plan.start_ms) / max(end_ms - plan.start_ms, 1))
        await journal.end()
    kept = await journal.verdict()
    return _report(day, entries, sorted(journal.rang), kept, time.monotonic() - started)


def _length_s(entries: tuple[Entry, ...]) -> float:
    return max((entry.end_s for entry in entries), default=0.0) + 60.0


def _report(
    day: VirtualDay, entries: tuple[Entry, ...], alarms: list[str], kept: dict[str, object], wall_s: float
) -> dict[str, Any]:
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
        "alarms": alarms,
        "energy_mwh": round(ledger.joules / J_PER_KWH / WATTS_PER_KW, 3),
        "peak_kw": round(ledger.peak_w / WATTS_PER_KW, 1),
        "mean_hash_rate_ths": round(ledger.hashes / HASHES_PER_TERAHASH / max(ledger.seconds, 1.0), 1),
        "journal": kept,
        "wall_s": round(wall_s, 1),
    }
