"""From the running parts to /metrics: counters as they happen, a snapshot of each cycle."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np

from farmctl import __version__
from farmctl.config.schema import FarmConfig
from farmctl.core.events import LIVE
from farmctl.core.fleet import NO_LADDER
from farmctl.core.grid import SiteMode
from farmctl.core.model import Command, Fate
from farmctl.core.units import MS_PER_S, FloatColumn, IntColumn
from farmctl.engine.cycle import Picture
from farmctl.metrics.controller import ControllerMetrics
from farmctl.metrics.server import MetricsConfig, MetricsServer
from farmctl.metrics.snapshot import (
    ActiveAlarm,
    AlarmCount,
    EventCount,
    Identity,
    MetricsSnapshot,
    NamedMeter,
    PowerOrigin,
    SourceStatus,
    Topology,
)
from farmctl.ports.site import Clock
from farmctl.wiring.fleet import Fleet

LAG_PROBE_S = 0.25
_CURTAILED = frozenset({SiteMode.FOLLOWING, SiteMode.LIMITED, SiteMode.EMERGENCY, SiteMode.FAILSAFE})


class MetricsWatch:
    """Hears the engine and publishes to the endpoint."""

    def __init__(self, config: FarmConfig, clock: Clock) -> None:
        """Make the endpoint; `start` listens."""
        host, _, port = config.metrics.listen.rpartition(":")
        self._config = config
        self.controller = ControllerMetrics(config.site.name, __version__)
        wanted = MetricsConfig(host=host.strip("[]"), port=int(port), miners=config.metrics.per_miner)
        self.server = MetricsServer(wanted, self.controller, clock)
        self._topology: Topology | None = None
        self._identity: Identity | None = None
        self._firmware: dict[str, str] = {}
        self._known_alarms: set[str] = set()
        self._unsigned = any(getattr(table, "auth", "").startswith("unsigned") for table in config.signal)

    def seat(self, fleet: Fleet) -> None:
        """Learn where every row stands; called once per indexing of the fleet."""
        rows = [fleet.keeper.seat_of(row).row for row in range(len(fleet.keeper.table))]
        containers = tuple(sorted({row.container for row in rows if row.container}))
        racks = tuple(sorted({row.rack for row in rows if row.rack}))
        models, firmwares = (
            zip(*(group.split("\t") for group in fleet.groups), strict=True) if fleet.groups else ((), ())
        )
        self._topology = Topology(
            site=self._config.site.name,
            containers=containers,
            container_of=_places([row.container for row in rows], containers),
            racks=racks,
            rack_of=_places([row.rack for row in rows], racks),
            models=tuple(models),
            firmwares=tuple(firmwares),
        )
        self._identity = Identity(
            mac=tuple(str(row.miner_id) for row in rows),
            ip=tuple(row.host for row in rows),
            serial=tuple(row.serial for row in rows),
        )
        self._firmware = {str(row.miner_id): row.firmware or row.driver for row in rows}

    async def run(self) -> None:
        """Serve until cancelled, and measure how late the loop wakes."""
        await self.server.start()
        try:
            loop = asyncio.get_running_loop()
            while True:
                due = loop.time() + LAG_PROBE_S
                await asyncio.sleep(LAG_PROBE_S)
                self.controller.observe_lag(max(loop.time() - due, 0.0))
        finally:
            await self.server.stop()

    def see(self, picture: Picture) -> None:
        """Publish one cycle."""
        self.controller.observe_cycle(max(time.time() - picture.decision.at_ms / MS_PER_S, 0.0))
        self.controller.set_store_free(_free_bytes(self._config.store.dir))
        names = {alarm.alarm for alarm in picture.alarms}
        for alarm in picture.alarms:
            if alarm.alarm not in self._known_alarms:
                self.controller.count_alarm(str(alarm.priority))
        self._known_alarms = names
        if self._topology is not None:
            self.server.publish(self._snapshot(picture, self._topology))

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended; a failed one is told by its deadline's length."""
        del ok
        self.controller.observe_poll(seconds)

    def overrun(self) -> None:
        """A due poll had to wait."""
        self.controller.count_overrun()

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """A command reached a new fate."""
        firmware = self._firmware.get(str(command.miner), "unknown")
        self.controller.count_command(command.point.kind.name.lower(), firmware, fate.value)
        if fate is Fate.ACKNOWLEDGED:
            self.controller.observe_command(seconds)

    def responded(self, seconds: float) -> None:
        """A signal led to its first command."""
        self.controller.observe_response(seconds)

    def _snapshot(self, picture: Picture, topology: Topology) -> MetricsSnapshot:
        view, decision = picture.view, picture.decision
        budget, site = decision.budget, decision.site
        states = Counter(track.state for track in picture.memory.tracks)
        meter = next((table.name for table in self._config.meter if table.site), None)
        priorities = Counter(str(alarm.priority) for alarm in picture.alarms)
        return MetricsSnapshot(
            at_ms=decision.at_ms,
            view=view,
            topology=topology,
            wanted_hash_rate_hs=_wanted_hash_rate(picture),
            power_w=site.power_w,
            power_origin=PowerOrigin.METER if site.metered else PowerOrigin.ESTIMATED,
            mode=decision.mode,
            curtailment_active=decision.mode in _CURTAILED and any(t.state in LIVE for t in picture.memory.tracks),
            leader=True,
            auth_unsigned=self._unsigned,
            target_w=budget.target_w,
            limit_w=budget.ceiling_w,
            unconfirmed_w=decision.unconfirmed_w,
            sources=tuple(
                SourceStatus(name=link.source, armed=True, last_valid_ms=link.last_valid_ms) for link in view.links
            ),
            events=tuple(EventCount(state=state, count=count) for state, count in states.items()),
            meters=(NamedMeter(name=meter, sample=view.meter),) if meter else (),
            alarms=tuple(AlarmCount(priority=p, state="unack", count=n) for p, n in sorted(priorities.items())),
            active_alarms=tuple(
                ActiveAlarm(alarm=alarm.alarm, container=alarm.where, priority=str(alarm.priority))
                for alarm in picture.alarms
            ),
            identity=self._identity,
        )


def _wanted_hash_rate(picture: Picture) -> FloatColumn:
    """Hash rate of every row at its wanted step, NaN where none is known."""
    table, book = picture.view.table, picture.view.ladders
    wanted = picture.memory.rows.wanted
    known = (table.ladder != NO_LADDER) & (wanted >= 0)
    hash_rate_hs = np.full(len(table), np.nan)
    hash_rate_hs[known] = book.hash_rate_hs[table.ladder[known], wanted[known]] * table.power_scale[known]
    return hash_rate_hs


def _places(names: list[str], known: tuple[str, ...]) -> IntColumn:
    number = {name: index for index, name in enumerate(known)}
    return np.array([number.get(name, -1) for name in names], dtype=np.int64)


def _free_bytes(folder: Path) -> float:
    return float(shutil.disk_usage(folder).free)
