"""From the running parts to /metrics: counters as they happen, a snapshot of each cycle."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from farmctl import __version__
from farmctl.config.credentials import read_secret
from farmctl.config.schema import FarmConfig
from farmctl.config.schema.kinds import split_endpoint
from farmctl.config.shipped import runbook
from farmctl.config.unsigned import takes_unsigned
from farmctl.control.server import ControlServer
from farmctl.core.fleet import NO_LADDER, MeterSample
from farmctl.core.grid import EventState
from farmctl.core.model import Command, Fate, PointKind, Quality
from farmctl.core.units import MS_PER_S, IntColumn
from farmctl.engine.cycle import Picture
from farmctl.engine.inbox import GridInbox
from farmctl.engine.poller import Poller
from farmctl.engine.summed import SumMeter
from farmctl.errors import StoreError
from farmctl.meters.modbus import ModbusMeter
from farmctl.metrics.controller import ControllerMetrics
from farmctl.metrics.door import Login, Tls
from farmctl.metrics.energy import EnergyCount
from farmctl.metrics.server import MetricsConfig, MetricsServer
from farmctl.metrics.sidelines import Sidelines
from farmctl.metrics.snapshot import Identity, NamedMeter, Topology
from farmctl.ports.site import Clock
from farmctl.ports.store import Store
from farmctl.wiring.fleet import Fleet
from farmctl.wiring.sight import Sight, snapshot_of

LAG_PROBE_S = 0.25
SLOW_PROBE_S = 1.0
ENDED = frozenset({Fate.FAILED, Fate.EXPIRED, Fate.SUPERSEDED})
"""Ends on the wire; the good end is told by telemetry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """Parts that are asked now and then."""

    poller: Poller
    inbox: GridInbox
    store: Store
    control: ControlServer
    meter: ModbusMeter | SumMeter | None


class MetricsWatch:
    """Hears the engine and publishes to the endpoint."""

    def __init__(
        self, config: FarmConfig, clock: Clock, counts: ControllerMetrics | None = None, *, decides: bool = True
    ) -> None:
        """Make the endpoint; `run` listens. Raises SecretFileError.

        `counts` are those of a process that counts on whether it decides or stands by.
        """
        self._config = config
        self.controller = counts or counts_of(config)
        self.server = MetricsServer(_server_config(config), self.controller, clock, decides=decides)
        self._topology: Topology | None = None
        self._identity: Identity | None = None
        self._firmware: dict[str, str] = {}
        self._sidelines = Sidelines(())
        self._raised: set[tuple[str, int]] = set()
        self._reached: set[str] = set()
        self._probed: Probed | None = None
        self._refused: Counter[tuple[str, str]] = Counter()
        self._records = 0
        self._energy = EnergyCount()

    def seat(self, fleet: Fleet) -> None:
        """Learn where every row stands; called once per indexing of the fleet."""
        rows = [fleet.keeper.seat_of(row).row for row in range(len(fleet.keeper.table))]
        containers = tuple(sorted({row.container for row in rows if row.container}))
        racks = tuple(sorted({row.rack for row in rows if row.rack}))
        groups = [group.split("\t") for group in fleet.groups]
        self._topology = Topology(
            site=self._config.site.name,
            containers=containers,
            container_of=_places([row.container for row in rows], containers),
            racks=racks,
            rack_of=_places([row.rack for row in rows], racks),
            models=tuple(model for model, _ in groups),
            firmwares=tuple(firmware for _, firmware in groups),
        )
        self._identity = Identity(
            mac=tuple(str(row.miner_id) for row in rows),
            ip=tuple(row.host for row in rows),
            serial=tuple(row.serial for row in rows),
        )
        self._firmware = {str(row.miner_id): row.firmware or row.driver for row in rows}
        for firmware in sorted(set(self._firmware.values())):
            self.controller.know(firmware)
        self._sidelines = Sidelines([row.model or "unknown" for row in rows])
        if self._probed is not None:
            self.probe(self._probed)

    def probe(self, probed: Probed) -> None:
        """Know the parts that are asked now and then, and hear what the poller hears."""
        self._probed = probed
        probed.poller.on_reading = self._sidelines.heard
        probed.poller.on_facts = self._sidelines.told

    @property
    def sidelines(self) -> Sidelines:
        """What stands beside the columns."""
        return self._sidelines

    async def run(self) -> None:
        """Serve until cancelled; measure how late the loop wakes, and ask the parts."""
        await self.server.start()
        try:
            loop = asyncio.get_running_loop()
            asked_s = 0.0
            while True:
                due = loop.time() + LAG_PROBE_S
                await asyncio.sleep(LAG_PROBE_S)
                self.controller.observe_lag(max(loop.time() - due, 0.0))
                if self._probed is not None and loop.time() - asked_s >= SLOW_PROBE_S:
                    asked_s = loop.time()
                    await self._ask(self._probed)
        finally:
            await self.server.stop()

    def see(self, picture: Picture) -> None:
        """Publish one cycle."""
        decision = picture.decision
        self.controller.observe_cycle(max(time.time() - decision.at_ms / MS_PER_S, 0.0))
        self._count_alarms(picture)
        self._count_ends(picture)
        self._observe_events(picture)
        self._count_energy(picture)
        if self._topology is not None:
            sight = Sight(
                picture=picture,
                topology=self._topology,
                identity=self._identity,
                sidelines=self._sidelines,
                pools=self._sidelines.pools(),
                meters=self._meters(picture),
                frequency_hz=self._frequency_hz(picture),
                energy_j=self._energy.joules if self._probed and self._probed.meter else float("nan"),
                unsigned=takes_unsigned(self._config),
            )
            self.server.publish(decision.at_ms, partial(snapshot_of, sight))

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended; a failed one is told by its deadline's length."""
        self.controller.observe_poll(seconds, ok=ok)

    def overrun(self) -> None:
        """A due poll had to wait."""
        self.controller.count_overrun()

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """A command reached a new fate."""
        firmware = self._firmware.get(str(command.miner), "unknown")
        if fate in ENDED:
            self.controller.count_command(command.point.kind.name.lower(), firmware, fate.value)
        if fate is Fate.ACKNOWLEDGED:
            self.controller.observe_command(firmware, seconds)

    def responded(self, seconds: float) -> None:
        """A signal led to its first command."""
        self.controller.observe_response(seconds)

    async def _ask(self, probed: Probed) -> None:
        """What nobody tells by himself: polls in flight, clients, refusals, records, space."""
        self.controller.set_in_flight(probed.poller.in_flight)
        self.controller.set_api_clients(probed.control.streamer.watchers)
        for (source, reason), count in (probed.inbox.refused - self._refused).items():
            self.controller.count_refused(source, reason, count)
        self._refused = probed.inbox.refused.copy()
        free_bytes = await asyncio.to_thread(_free_bytes, self._config.store.dir)
        if free_bytes is not None:
            self.controller.set_store_free(free_bytes)
        try:
            head = await probed.store.head()
        except StoreError:
            return  # the cycle says it, with an alarm
        if head is not None and head.seq > self._records:
            self.controller.count_journal(head.seq - self._records)
            self._records = head.seq

    def _count_alarms(self, picture: Picture) -> None:
        raised = {(alarm.key, alarm.at_ms) for alarm in picture.board.raised}
        for alarm in picture.board.raised:
            if (alarm.key, alarm.at_ms) not in self._raised:
                self.controller.count_alarm(str(alarm.priority))
        self._raised = raised

    def _count_ends(self, picture: Picture) -> None:
        """Commands that telemetry proved, and those that were given up, by kind and firmware."""
        seen, topology = picture.decision.seen, self._topology
        if topology is None:
            return
        for result, mask in (("confirmed", seen.confirmed), ("unfollowed", seen.gave_up)):
            rows = np.flatnonzero(mask)
            if not len(rows):
                continue
            table, book = picture.view.table, picture.view.ladders
            wanted, ladder = seen.rows.wanted[rows], table.ladder[rows]
            top = np.where(ladder != NO_LADDER, book.steps[ladder] - 1, -1)
            kind = np.where(wanted == 0, PointKind.SLEEP, np.where(wanted == top, PointKind.FULL, PointKind.THROTTLE))
            pairs, counts = np.unique(np.stack([kind, table.group[rows]]), axis=1, return_counts=True)
            for code, group, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
                verb = PointKind(code).name.lower()
                self.controller.count_command(verb, topology.firmwares[group], result, count)

    def _observe_events(self, picture: Picture) -> None:
        """How long each event took from its start to its target, once per event."""
        for move in picture.decision.transitions:
            event_id = move.track.event.event_id
            if move.track.state is EventState.REACHED and event_id not in self._reached:
                self._reached.add(event_id)
                self.controller.observe_event(max(picture.decision.at_ms - move.track.active_ms, 0) / MS_PER_S)
        self._reached &= {track.event.event_id for track in picture.memory.tracks}

    def _count_energy(self, picture: Picture) -> None:
        meter, sample = self._probed.meter if self._probed else None, picture.view.meter
        if meter is not None and sample.quality is Quality.OK:
            counter_j = meter.reading.energy_j if isinstance(meter, ModbusMeter) else float("nan")
            self._energy.sample(sample.at_ms, sample.power_w, counter_j)

    def _meters(self, picture: Picture) -> tuple[NamedMeter, ...]:
        """The revenue meter as it was judged, and the circuits' meters as far as they are believed."""
        view, site = picture.view, self._probed.meter if self._probed else None
        found = [NamedMeter(name=site.name, sample=view.meter)] if site is not None else []
        node = {name: number for number, name in enumerate(view.circuits.names)}
        for circuit in self._config.circuit:
            if circuit.meter and circuit.name in node and (site is None or circuit.meter != site.name):
                power_w = float(view.circuits.meter_w[node[circuit.name]])
                sample = MeterSample(power_w=power_w, at_ms=picture.decision.at_ms, quality=Quality.OK)
                found.append(NamedMeter(name=circuit.meter, sample=sample))
        return tuple(found)

    def _frequency_hz(self, picture: Picture) -> float:
        meter = self._probed.meter if self._probed else None
        good = isinstance(meter, ModbusMeter) and picture.view.meter.quality is Quality.OK
        return meter.reading.frequency_hz if isinstance(meter, ModbusMeter) and good else float("nan")


def counts_of(config: FarmConfig) -> ControllerMetrics:
    """What one process counts of itself, from nothing."""
    return ControllerMetrics(config.site.name, __version__)


def _server_config(config: FarmConfig) -> MetricsConfig:
    table = config.metrics
    host, port = split_endpoint(table.listen)
    tls = Tls(cert=table.cert_file, key=table.key_file) if table.cert_file and table.key_file else None
    login = None
    if table.user and table.password_file:
        login = Login(user=table.user, password=read_secret(table.password_file))
    return MetricsConfig(host=host, port=port, miners=table.per_miner, tls=tls, login=login, page=runbook)


def _places(names: list[str], known: tuple[str, ...]) -> IntColumn:
    number = {name: index for index, name in enumerate(known)}
    return np.array([number.get(name, -1) for name in names], dtype=np.int64)


def _free_bytes(folder: Path) -> float | None:
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return None
