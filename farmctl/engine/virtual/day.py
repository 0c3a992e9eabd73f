"""The virtual day itself: one cycle after another, close together while something moves and far apart while not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np

from farmctl.core.fleet import (
    NO_METER,
    CircuitTree,
    FleetTable,
    FleetView,
    LadderBook,
    MeterSample,
    SiteRules,
)
from farmctl.core.grid import SignalMessage
from farmctl.core.memory import Memory, Standing
from farmctl.core.model import Quality
from farmctl.core.step import Decision, step
from farmctl.core.units import MS_PER_S, IntColumn
from farmctl.engine.virtual.devices import Devices, World
from farmctl.engine.virtual.ledger import Ledger
from farmctl.engine.virtual.signals import Script

LEARN_EVERY_MS = 60_000
SETTLED_S = 30.0
CALM_CYCLES = 4
"""After a disturbance so many cycles stay close enough for the meter loop to see a settled load."""
SMALL_FLEET, LARGE_FLEET = 2_000, 50_000
FEW_SHARE = 0.002
"""Fewer rows than this share on their way decide nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paces:
    """Seconds between two cycles."""

    busy_s: float
    """While commands go out or the ramp moves."""
    moving_s: float
    """While devices follow."""
    economic_s: float
    """While they only change places at the same power."""
    calm_s: float
    """Soon after."""
    quiet_s: float
    """While nothing happens; ambient drift is followed at this pace."""

    @classmethod
    def of(cls, miners: int) -> Paces:
        """A large fleet thinks longer, and its start packets are paced by 5 s anyway."""
        if miners <= SMALL_FLEET:
            return cls(busy_s=1.0, moving_s=2.0, economic_s=2.0, calm_s=5.0, quiet_s=10.0)
        if miners <= LARGE_FLEET:
            return cls(busy_s=2.0, moving_s=5.0, economic_s=5.0, calm_s=5.0, quiet_s=20.0)
        return cls(busy_s=5.0, moving_s=30.0, economic_s=60.0, calm_s=30.0, quiet_s=60.0)

    def within(self, longest_s: float) -> Paces:
        """No pause longer than this."""
        return Paces(
            busy_s=min(self.busy_s, longest_s),
            moving_s=min(self.moving_s, longest_s),
            economic_s=min(self.economic_s, longest_s),
            calm_s=min(self.calm_s, longest_s),
            quiet_s=min(self.quiet_s, longest_s),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Site:
    """What the day is played on."""

    table: FleetTable
    """Seated, nothing seen; the day owns it from here on."""
    book: LadderBook
    groups: tuple[str, ...]
    circuits: CircuitTree
    rules: SiteRules
    policy: str
    seed: int
    world: World
    poll_ms: int = 5_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Turn:
    """One cycle."""

    view: FleetView
    before: Memory
    """What the core remembered when it began."""
    decision: Decision
    memory: Memory
    inbox: tuple[SignalMessage, ...]
    power_w: float
    """True power of the site when the cycle began."""


@dataclass(slots=True, eq=False)
class VirtualDay:
    """Plays a script; a generator of its cycles."""

    site: Site
    script: Script
    end_ms: int
    paces: Paces
    keep_views: bool = False
    """True: every view owns its columns, for a recorder."""
    ledger: Ledger = field(default_factory=Ledger)

    def play(self) -> Iterator[Turn]:
        """Every cycle from the script's start to the end of the day."""
        site, now_ms = self.site, self.script.start_ms
        devices = Devices(site.book, site.table.ladder, site.world, np.random.default_rng(site.seed))
        memory = Memory.at_boot(site.table.miner_id, now_ms)
        learned_ms, heard_ms, quiet = now_ms, now_ms, 0
        while now_ms <= self.end_ms:
            waiting = (memory.rows.standing == Standing.PENDING) | (site.table.seen_ms < 0)
            devices.answer(site.table, devices.due(heard_ms, now_ms, site.poll_ms, waiting), now_ms)
            heard_ms = now_ms
            if now_ms - learned_ms >= LEARN_EVERY_MS:
                devices.teach(site.table, now_ms, SETTLED_S)
                learned_ms = now_ms
            inbox = self.script.due(now_ms)
            view = self._view(devices, inbox, now_ms)
            before = memory
            memory, decision = step(before, view, now_ms, site.policy)
            devices.obey(site.table, *_ordered(memory, decision, now_ms), now_ms)
            self.ledger.decided(memory, decision)
            yield Turn(
                view=view,
                before=before,
                decision=decision,
                memory=memory,
                inbox=inbox,
                power_w=devices.meter_w(),
            )
            quiet = 0 if self._moving(devices, memory) or _busy(decision, memory) else quiet + 1
            then_ms = self._next_ms(now_ms, decision, memory, devices, quiet)
            dt_s = (then_ms - now_ms) / MS_PER_S
            start_w, start_hs = devices.meter_w(), devices.hash_rate_hs()
            devices.advance(dt_s, then_ms)
            self.ledger.hashes += 0.5 * (start_hs + devices.hash_rate_hs()) * dt_s
            self.ledger.stretch(memory, decision, 0.5 * (start_w + devices.meter_w()), dt_s)
            now_ms = then_ms

    def _next_ms(self, now_ms: int, decision: Decision, memory: Memory, devices: Devices, quiet: int) -> int:
        paces = self.paces
        if _busy(decision, memory):
            pause_s = paces.busy_s
        elif decision.allocation.refined:
            pause_s = paces.economic_s
        elif self._moving(devices, memory):
            pause_s = paces.moving_s
        else:
            pause_s = paces.calm_s if quiet <= CALM_CYCLES else paces.quiet_s
        edges = [
            edge
            for track in memory.tracks
            for interval in track.event.intervals
            for edge in (interval.start_ms, interval.end_ms)
        ]
        upcoming = self.script.next_ms()
        edges += [] if upcoming is None else [upcoming]
        until = [edge for edge in edges if edge > now_ms]
        return min([now_ms + round(pause_s * MS_PER_S), *until])

    def _moving(self, devices: Devices, memory: Memory) -> bool:
        few = FEW_SHARE * len(self.site.table)
        return devices.moving > few or int((memory.rows.standing == Standing.PENDING).sum()) > few

    def _view(self, devices: Devices, inbox: tuple[SignalMessage, ...], now_ms: int) -> FleetView:
        site, script = self.site, self.script
        meter = MeterSample(power_w=devices.reading_w(), at_ms=now_ms, quality=Quality.OK)
        table = site.table
        if self.keep_views:
            table = FleetTable(**{column.name: getattr(table, column.name).copy() for column in fields(FleetTable)})
        return FleetView(
            table=table,
            ladders=site.book,
            groups=site.groups,
            circuits=site.circuits,
            rules=site.rules,
            meter=meter if script.meter_alive else NO_METER,
            links=(script.link(),) if site.rules.grid_expected else (),
            inbox=inbox,
            seed=site.seed,
        )


def _ordered(memory: Memory, decision: Decision, now_ms: int) -> tuple[IntColumn, IntColumn]:
    """Rows and steps of the commands of a cycle."""
    if not decision.commands:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows = np.flatnonzero(memory.rows.commanded_ms == now_ms)
    return rows, memory.rows.wanted[rows].astype(np.int64)


def _busy(decision: Decision, memory: Memory) -> bool:
    """The next cycle may decide something: commands went out, the ramp climbs, or the site is off its number."""
    budget, allocation = decision.budget, decision.allocation
    few = max(2.0, FEW_SHARE * len(memory.rows.miner_id))
    climbing = (memory.pace.ramp_w or 0.0) < budget.target_w and allocation.room_left_w > 0
    ordered = len(decision.commands) > few and not allocation.refined
    return ordered or climbing or decision.cycle <= CALM_CYCLES
