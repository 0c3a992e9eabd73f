"""A whole site: every part made from the configuration, run together, stopped in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import numpy as np
import structlog

from farmctl import __version__
from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.desk import AlarmDesk
from farmctl.alarms.notify.post import Post
from farmctl.alarms.watches.rounds import Rounds
from farmctl.alarms.watches.stall import StallWatch
from farmctl.config.build import circuit_tree, site_rules
from farmctl.config.load import Loaded
from farmctl.config.schema import FarmConfig, MqttTable
from farmctl.config.unsigned import takes_unsigned
from farmctl.control.server import ControlServer
from farmctl.core.fleet import CircuitTree
from farmctl.core.memory import Memory
from farmctl.engine import checkpoint
from farmctl.engine.asides import HeatLimits, Spells
from farmctl.engine.clock import SystemClock
from farmctl.engine.cycle import HEARD_STATE, MEMORY_STATE, Cycle, CycleParts, Picture
from farmctl.engine.desk import Desk
from farmctl.engine.hands import SiteHands
from farmctl.engine.historian import Historian
from farmctl.engine.inbox import GridInbox
from farmctl.engine.metering import CircuitMeters, SiteMeter
from farmctl.engine.nursery import Nursery, keep_arenas_few
from farmctl.engine.poller import Poller
from farmctl.engine.scan.follow import Follower
from farmctl.engine.settlement import SettlementSeries
from farmctl.engine.supervisor import supervise
from farmctl.engine.tally import Tally, Watch
from farmctl.engine.vitals import Vitals
from farmctl.engine.watchdog import Watchdog
from farmctl.errors import StoreError
from farmctl.ports.grid import SignalSource
from farmctl.ports.recording import Recording
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, RecordKind, Store
from farmctl.store.places import open_store
from farmctl.store.recording import DayFiles
from farmctl.store.telemetry.files import TelemetryFiles
from farmctl.wiring.control import FarmGlass, control_server
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.fleet import Fleet, follower, gather, yard_of
from farmctl.wiring.headquarters import ProgrammeParts, programme_parts
from farmctl.wiring.history import grouping_of, history_tiers
from farmctl.wiring.meters import circuit_meters, site_meter
from farmctl.wiring.metrics import MetricsWatch, Probed
from farmctl.wiring.notify import post
from farmctl.wiring.settlement import settlement_facts
from farmctl.wiring.signals import decline, rivals_of, signal_sources
from farmctl.wiring.stores import keep_copy, place_of
from farmctl.wiring.system import SystemFacts, vitals_of
from farmctl.wiring.watches import SiteWatches
from farmctl.wiring.wire import Lead, Wire, own_wire, poll_rules

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who hears of what happens; called on the loop, must not wait."""

    pictures: tuple[Callable[[Picture], None], ...] = ()
    watches: tuple[Watch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """The running parts, for whoever shows or steers them."""

    config: FarmConfig
    fleet: Fleet
    cycle: Cycle
    poller: Poller
    wire: Wire
    inbox: GridInbox
    desk: Desk
    alarms: AlarmDesk
    meter: SiteMeter
    circuit_meters: CircuitMeters
    store: Store
    tally: Tally
    sources: tuple[SignalSource, ...]
    metrics: MetricsWatch
    vitals: Vitals
    control: ControlServer
    hands: SiteHands
    rounds: Rounds
    post: Post
    recording: Recording
    series: SettlementSeries
    historian: Historian | None
    follower: Follower | None
    programme: ProgrammeParts | None
    stop: asyncio.Event
    led: bool
    """Another part of this process tells systemd that it is well."""

    def last_cycle_ms(self) -> int:
        """When the last decision was made; 0: none yet."""
        return self.cycle.last_cycle_ms

    async def run(self) -> None:
        """Run every part until `stop` is set."""
        await supervise(
            {
                "cycle": self.cycle.run,
                **self.wire.parts,
                "meter": self.meter.run,
                "circuit meters": self.circuit_meters.run,
                "metrics": self.metrics.run,
                "vitals": self.vitals.run,
                "control": self.control.run,
                "hands": self.hands.run,
                "watches": self.rounds.run,
                "stall": self._stall().run,
                "post": self.post.run,
                "recording": self.recording.run,
                "series": self.series.run,
                "nursery": Nursery(SystemClock()).run,
                **({} if self.led else {"systemd": Watchdog(SystemClock(), self.last_cycle_ms, os.environ).run}),
                **({"historian": self.historian.run} if self.historian is not None else {}),
                **({"follower": self.follower.run} if self.follower is not None else {}),
                **({"programme": self.programme.headquarters.run} if self.programme is not None else {}),
                **{f"signal:{source.name}": _listening(source, self.inbox) for source in self.sources},
            },
            self.stop,
        )

    def _stall(self) -> StallWatch:
        return StallWatch(
            clock=SystemClock(),
            last_cycle_ms=lambda: self.cycle.last_cycle_ms,
            late_s=lambda: self.poller.late_s,
            interval_s=self.config.poll.interval_s,
            observe=self.alarms.observe,
            alone=self.alarms.alone,
        )


@asynccontextmanager
async def built(
    loaded: Loaded,
    *,
    stop: asyncio.Event,
    listeners: Listeners | None = None,
    lead: Lead | None = None,
) -> AsyncIterator[Farm]:
    """Make the farm; on leaving, the fleet stays as it is and the journal says so.

    With a lead the miners are polled and commanded by the site's workers, and the store is the lead's.

    Raises ConfigError with every fault before anything is sent.
    """
    keep_arenas_few()
    config, clock = loaded.config, SystemClock()
    async with AsyncExitStack() as stack:
        if lead is None:
            opened = await open_store(place_of(config))
            stack.push_async_callback(opened.close)
        store = opened if lead is None else lead.store
        rows = await store.inventory()
        await keep_copy(config, rows)
        tree = circuit_tree(config)
        fleet = gather(config, rows, tree, load_drivers(sorted({row.driver for row in rows})))
        stack.push_async_callback(_close_devices, fleet)
        farm = await _assembled(loaded, store, fleet, tree, (listeners or Listeners(), lead), stop)
        await _journal(store, clock.now_ms(), RecordKind.START, miners=len(rows), version=__version__, pid=os.getpid())
        try:
            yield farm
        finally:
            await farm.cycle.stop("asked to")
            last = farm.cycle.latest.decision.cycle if farm.cycle.latest else 0
            await _journal(store, clock.now_ms(), RecordKind.STOP, fleet="left as it is", cycle=last)


async def _assembled(
    loaded: Loaded,
    store: Store,
    fleet: Fleet,
    tree: CircuitTree,
    told_and_lead: tuple[Listeners, Lead | None],
    stop: asyncio.Event,
) -> Farm:
    listeners, lead = told_and_lead
    config, clock, wake = loaded.config, SystemClock(), asyncio.Event()
    metrics = MetricsWatch(config, clock, lead.counts if lead is not None else None)
    metrics.seat(fleet)
    vitals = vitals_of(fleet)
    tally = Tally(metrics, vitals, *listeners.watches)
    poller = Poller(fleet.keeper, clock, poll_rules(config), tally)
    wire = lead.hands(fleet, tally, poller) if lead is not None else own_wire(config, fleet, poller, tally)
    inbox = GridInbox(store, clock, wake)
    told = post(config, clock)
    hands = SiteHands(fleet.links, inbox, wire.nudge)
    desk = Desk(store, clock, wake, armed=not config.control.observe)
    watches = SiteWatches(config, fleet, poller, desk, place_of(config))
    await desk.restore()
    alarms = AlarmDesk(store, clock, CATALOGUE, wake.set)
    await alarms.restore()
    programme = programme_parts(config, store, clock, inbox)
    metered = site_meter(config, clock, lambda: _fleet_w(fleet)) if programme is None else programme.meter()
    meter = SiteMeter(metered[0] if metered else None, clock, metered[1] if metered else 1.0, wake)
    sources = signal_sources(config, clock, fleet)
    watches.rivals = rivals_of(sources)
    if programme is not None:
        sources = programme.above(sources)
        watches.programme = programme.picture
    recording, rules = DayFiles(config.store.dir), site_rules(config)
    series = SettlementSeries(store, clock, settlement_facts(config, fleet, tree, rules))
    historian = _historian(config, fleet, clock)
    on_circuits = circuit_meters(config, clock, tree, fleet)
    spells = Spells(len(fleet.keeper.table))
    limits = HeatLimits(fleet.limit_c, poller.facts.of)
    parts = CycleParts(
        keeper=fleet.keeper,
        actuator=wire.sender,
        inbox=inbox,
        desk=desk,
        alarms=alarms,
        yard=yard_of(fleet, tree),
        limits=limits,
        meter=meter,
        circuit_meters=on_circuits,
        store=store,
        clock=clock,
        wake=wake,
        links=fleet.links,
        circuits=tree,
        rules=rules,
        groups=fleet.groups,
        policy=config.control.policy,
        seed=config.control.seed,
        period_s=config.control.cycle_s,
        signed=not takes_unsigned(config),
        uplinks=sources,
        telemetry_s=min((s.telemetry_period_s for s in config.signal if isinstance(s, MqttTable)), default=2.0),
        recording=recording,
        on_picture=(
            spells.see,
            metrics.see,
            watches.see,
            told.see,
            _sampled(series, historian),
            *(() if programme is None else (programme.headquarters.see,)),
            *wire.pictures,
            *listeners.pictures,
        ),
        may_raise=wire.may_raise,
        on_response=tally.responded,
    )
    memory = await _remembered(store, fleet, inbox, clock.now_ms())
    await decline(config, memory, inbox)
    cycle = Cycle(parts, memory)
    pressed = poller.gives_way
    poller.gives_way = lambda: cycle.hurries or pressed()
    rows = tuple(fleet.keeper.seat_of(row).row for row in range(len(fleet.keeper.table)))
    system = SystemFacts(config=config, poller=poller, sender=wire.sender, inbox=inbox, tally=tally, vitals=vitals)
    hq = None if programme is None else programme.headquarters
    glass = FarmGlass(cycle, rows, spells, limits, lambda: metrics.sidelines, system, wire.crew, hq)
    control = control_server(loaded, glass, desk, alarms, hands, store, clock)
    metrics.probe(
        Probed(poller=poller, inbox=inbox, store=store, control=control, meter=metered[0] if metered else None)
    )
    return Farm(
        config=config,
        fleet=fleet,
        cycle=cycle,
        poller=poller,
        wire=wire,
        inbox=inbox,
        desk=desk,
        alarms=alarms,
        meter=meter,
        circuit_meters=on_circuits,
        store=store,
        tally=tally,
        sources=sources,
        metrics=metrics,
        vitals=vitals,
        hands=hands,
        post=told,
        rounds=await watches.rounds(cycle, alarms, told, store, clock),
        control=control,
        recording=recording,
        series=series,
        historian=historian,
        follower=follower(config, fleet, poller, store, clock) if lead is None else None,
        programme=programme,
        stop=stop,
        led=lead is not None,
    )


async def _remembered(store: Store, fleet: Fleet, inbox: GridInbox, now_ms: int) -> Memory:
    """What the last run knew, with the signals that it had taken but not yet decided on."""
    data = await store.state(MEMORY_STATE)
    if data is None:
        return Memory.at_boot(fleet.keeper.table.miner_id.copy(), now_ms)
    heard = int(await store.state(HEARD_STATE) or b"0")
    late = [r async for r in store.records(after_seq=heard, kinds=frozenset({RecordKind.SIGNAL}))]
    inbox.recall(late)
    return checkpoint.load(data).rebooted(now_ms)


def _fleet_w(fleet: Fleet) -> float:
    """Sum of what the miners say; NaN before anything was heard."""
    power_w = fleet.keeper.table.power_w
    return float(np.nansum(power_w)) if np.isfinite(power_w).any() else float("nan")


async def _close_devices(fleet: Fleet) -> None:
    """Give back sessions and sockets, all at once: a session that must be logged off costs a round trip."""
    async with asyncio.TaskGroup() as tasks:
        for link in fleet.links.values():
            tasks.create_task(link.device.close())


async def _journal(store: Store, now_ms: int, kind: RecordKind, **body: str | int) -> None:
    try:
        await asyncio.shield(store.append([JournalRecord(kind=kind, at_ms=now_ms, body=body)]))
    except StoreError as error:
        log.warning("not_journalled", kind=kind.value, error=str(error))


def _historian(config: FarmConfig, fleet: Fleet, clock: Clock) -> Historian | None:
    if not config.history.enabled:
        return None
    files = TelemetryFiles(config.store.dir, history_tiers(config))
    return Historian(files, clock, config.history.step_s, grouping_of(fleet))


def _sampled(series: SettlementSeries, historian: Historian | None) -> Callable[[Picture], None]:
    """What is kept of every picture besides the journal's decisions."""

    def see(picture: Picture) -> None:
        live = any(track.live for track in picture.memory.tracks)
        series.see(picture.view, picture.decision, live=live)
        if historian is not None:
            historian.see(picture.view, picture.decision)

    return see


def _listening(source: SignalSource, inbox: GridInbox) -> Callable[[], Awaitable[None]]:
    return lambda: source.run(inbox)
