"""One life of the controller: the real cycle, poller, actuator, desk, alarms and MQTT source on virtual time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Protocol, cast

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.alarms.desk import AlarmDesk
from farmctl.core.fleet import CircuitTree, SiteRules
from farmctl.core.memory import Memory
from farmctl.core.model import OperatingPoint
from farmctl.engine import checkpoint
from farmctl.engine.actuator import Actuator, ActuatorRules
from farmctl.engine.cycle import HEARD_STATE, MEMORY_STATE, Cycle, CycleParts
from farmctl.engine.desk import Desk
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.engine.inbox import GridInbox
from farmctl.engine.link import Link
from farmctl.engine.metering import CircuitMeters, SiteMeter
from farmctl.engine.poller import Poller, PollRules
from farmctl.engine.tally import Tally
from farmctl.ports.site import Meter
from farmctl.ports.store import InventoryRow, RecordKind
from farmctl.signals.mqtt import MqttSource
from farmctl.signals.mqtt.config import MqttSourceConfig
from tests.dst.broker import SimBroker, SimConnector
from tests.dst.disk import Disk, Handle
from tests.dst.machines import Line, Machine
from tests.dst.virtual import WallClock
from tests.signals.dispatcher import config as mqtt_config

POLL = PollRules(
    interval_s=5.0, in_flight=100, fast_interval_s=1.5, backoff_max_s=20.0, facts_interval_s=120.0, deadline_s=8.0
)
COMMANDS = ActuatorRules(urgent_in_flight=100, normal_in_flight=20, deadline_s=10.0)


class Around(Protocol):
    """What a controller finds when it starts; it outlives every controller."""

    machines: list[Machine]
    nodes: list[int]
    tree: CircuitTree
    rules: SiteRules
    disk: Disk
    broker: SimBroker
    clock: WallClock
    dice: Random

    @property
    def site_meter(self) -> Meter:
        """The revenue point."""
        ...

    def on_apply(self, machine: Machine, point: OperatingPoint) -> None:
        """A command reached a machine."""
        ...


class Life:
    """From start to kill."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._tasks: list[asyncio.Task[None]] = []
        self.store = Handle(around.disk)
        self.lines: list[Line] = []
        self.crashes: list[BaseException] = []
        self.cycle: Cycle | None = None
        self.desk: Desk | None = None

    async def start(self) -> None:
        """Make every part as the wiring does, and run them."""
        clock, wake, tally = self._around.clock, asyncio.Event(), Tally()
        keeper, links = self._fleet()
        poller = Poller(keeper, clock, POLL, tally)
        poller.take(links.values())
        actuator = Actuator(keeper, poller, clock, COMMANDS, tally)
        actuator.take(links)
        inbox = GridInbox(self.store, clock, wake)
        desk = self.desk = Desk(self.store, clock, wake, armed=True)
        await desk.restore()
        alarms = AlarmDesk(self.store, clock, CATALOGUE, wake.set)
        await alarms.restore()
        meter = SiteMeter(self._around.site_meter, clock, 1.0, wake)
        source = self._source()
        parts = CycleParts(
            keeper=keeper,
            actuator=actuator,
            inbox=inbox,
            desk=desk,
            alarms=alarms,
            yard=None,
            meter=meter,
            circuit_meters=CircuitMeters([], len(self._around.tree.names)),
            store=self.store,
            clock=clock,
            wake=wake,
            links=links,
            circuits=self._around.tree,
            rules=self._around.rules,
            groups=("sim",),
            policy="efficiency_first",
            seed=1,
            period_s=1.0,
            signed=False,
            uplinks=(source,),
        )
        cycle = self.cycle = Cycle(parts, await self._memory(keeper, inbox))
        jobs = (cycle.run(), poller.run(), actuator.run(), meter.run(), source.run(inbox))
        self._tasks = [asyncio.ensure_future(self._kept(job)) for job in jobs]

    async def kill(self) -> None:
        """As kill -9: from this moment on nothing that it does reaches anything."""
        self.store.cut = True
        for line in self.lines:
            line.cut = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _kept(self, job: Any) -> None:
        try:
            await job
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.crashes.append(error)
            raise

    def _fleet(self) -> tuple[FleetKeeper, dict[Any, Link]]:
        keeper, links = FleetKeeper(), {}
        keeper.seat(
            [
                Seat(
                    row=InventoryRow(miner_id=m.miner_id, host="127.0.0.1", ports={}, driver="sim", model="sim"),
                    ladder=m.ladder,
                    node=node,
                    group=0,
                    commandable=True,
                )
                for m, node in zip(self._around.machines, self._around.nodes, strict=True)
            ]
        )
        for machine in self._around.machines:
            line = Line(machine, self._around.dice.uniform(0.004, 0.03), self._around.on_apply)
            self.lines.append(line)
            link = Link(miner_id=machine.miner_id, row=keeper.row_of[machine.miner_id], device=line)
            links[machine.miner_id] = link
            keeper.allow(link.row, commandable=False)
        return keeper, links

    def _source(self) -> MqttSource:
        rated_w = self._around.rules.rated_w
        config: MqttSourceConfig = mqtt_config(1883, rating_w=rated_w, emergency_w=0.1 * rated_w)
        source = MqttSource(config, self._around.clock, dice=self._around.dice)
        connector = SimConnector(self._around.broker, "site/v1/site-07/status")
        source._connector = cast("Any", connector)
        return source

    async def _memory(self, keeper: FleetKeeper, inbox: GridInbox) -> Memory:
        now_ms = self._around.clock.now_ms()
        data = await self.store.state(MEMORY_STATE)
        if data is None:
            return Memory.at_boot(keeper.table.miner_id.copy(), now_ms)
        heard = int(await self.store.state(HEARD_STATE) or b"0")
        late = [r async for r in self.store.records(after_seq=heard, kinds=frozenset({RecordKind.SIGNAL}))]
        inbox.recall(late)
        return checkpoint.load(data).rebooted(now_ms)
