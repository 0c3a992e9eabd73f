"""A small site on real sockets: simulated miners, a Modbus meter, a broker and a dispatcher, and its farm.toml."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from farmctl.config.load import Loaded, load
from farmctl.ports.devices import Endpoint
from farmctl.ports.store import RecordKind, StoredRecord
from farmctl.store.journal import Intact
from farmctl.store.places import open_reader
from farmctl.wiring.demo.site import identified, stocked
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.stores import place_of
from simulators.broker import Broker, broker, free_port
from simulators.faults import Fault
from simulators.grid.dispatcher import Dispatcher
from simulators.grid.orders import Order
from simulators.meter.server import Electrical, SimMeter
from simulators.meter.site import Auxiliary
from simulators.miner import SimMiner
from simulators.plan import read_plan
from simulators.world import World, inventory_rows
from tests.farm.setting import SITE, Setting, farm_text, world_text

QUIET_S = 30.0
BEAT_S = 3.0
HEADROOM = 1.1
NATIVE = ("whatsminer", "antminer", "luxos")


@dataclass(slots=True, kw_only=True)
class Site:
    """Everything around the controller; what the meter saw is `shown_kw`."""

    folder: Path
    world: World
    meter: SimMeter
    grid: Dispatcher
    rated_kw: float
    broker_port: int
    _stack: AsyncExitStack
    broker: Broker | None = None
    before: dict[str, str] = field(default_factory=dict)
    """Fingerprint of every miner's pools, passwords and fan settings when the story began."""

    @property
    def config_path(self) -> Path:
        return self.folder / "farm.toml"

    @property
    def loaded(self) -> Loaded:
        return load(self.config_path, environment={})

    @property
    def full_kw(self) -> float:
        """What all miners draw when nothing holds them back."""
        fleet = self.world.fleet
        return float((fleet.full_w * fleet.efficiency * fleet.drift()).sum()) / 1e3

    @property
    def shown_kw(self) -> float:
        """Mean of what the meter showed in the last two seconds."""
        return statistics.fmean(self.shown_since(time.monotonic() - 2.0))

    def shown_since(self, since_s: float) -> list[float]:
        """What the meter showed since a monotonic time, kW, five a second."""
        return [power_w / 1e3 for at_s, power_w in self.meter.history if at_s >= since_s] or [float("nan")]

    def near(self, target_kw: float, share: float = 0.03) -> bool:
        """The meter has shown this power for two seconds, within a share of it."""
        recent = self.shown_since(time.monotonic() - 2.0)
        return all(abs(shown_kw - target_kw) <= share * target_kw for shown_kw in recent)

    def fault(self, rows: list[int], fault: Fault, **params: float | str) -> list[SimMiner]:
        """Switch a fault on for these miners."""
        self.world.put_fault(rows, fault, params=params)
        return [self.world.miners[row] for row in rows]

    def commands(self) -> int:
        """Control commands that have reached any miner."""
        return sum(miner.commands for miner in self.world.miners)

    def fingerprints(self) -> dict[str, str]:
        return {miner.identity.mac: sha256(miner.fingerprint()).hexdigest() for miner in self.world.miners}

    async def open_broker(self) -> Broker:
        """Start the broker at the address that the configuration names."""
        running = broker(port=self.broker_port, kind="mosquitto", persistent=True)
        self.broker = await self._stack.enter_async_context(running)
        return self.broker

    async def until(self, true: Callable[[], bool], what: str, *, within_s: float = 45.0) -> None:
        """Wait until something holds; fails naming it and what the meter shows."""
        try:
            async with asyncio.timeout(within_s):
                while not true():  # noqa: ASYNC110 - what is waited for is power and journals, nobody sets an event
                    await asyncio.sleep(0.1)
        except TimeoutError:
            states = sorted(miner.state for miner in self.world.miners)
            message = (
                f"{what}: not within {within_s:.0f} s; meter {self.shown_kw:.1f} kW of {self.full_kw:.1f}; {states}"
            )
            raise AssertionError(message) from None

    async def ask(self, target_kw: float, *, duration_s: float = 120.0, name: str = "") -> str:
        """Order a set-point with a band of 3 %; the event's id."""
        order = Order(
            target_kw=round(target_kw, 1),
            duration_s=duration_s,
            tolerance_kw=round(0.03 * target_kw, 1),
            respond_within_s=30,
            name=name,
        )
        return (await self.grid.create_event(order)).order_id

    def states(self, order_id: str) -> tuple[str, ...]:
        """States that the site has told the dispatcher about an order."""
        return self.grid.uplink.states(self.grid.ledger.wire_ids(order_id))

    async def journal(self, *kinds: RecordKind) -> list[StoredRecord]:
        """The records of these kinds, or all; the chain must be intact."""
        reader = await open_reader(place_of(self.loaded.config))
        try:
            assert isinstance(await reader.verify(), Intact)
            return [record async for record in reader.records(kinds=frozenset(kinds) or None)]
        finally:
            await reader.close()


@asynccontextmanager
async def site(folder: Path, setting: Setting) -> AsyncIterator[Site]:
    """Bring the surroundings up; on leaving, pools, passwords and fans must be as they were."""
    async with AsyncExitStack() as stack:
        world = World(read_plan(world_text(setting)))
        await world.start()
        stack.push_async_callback(world.stop)
        rated_w = HEADROOM * world.total_power_w()
        meter = SimMeter(
            source=world.total_power_w, aux=Auxiliary(base_w=0.01 * rated_w), electrical=Electrical(rated_w=rated_w)
        )
        await meter.start()
        stack.push_async_callback(meter.stop)
        port = free_port()
        grid = await stack.enter_async_context(Dispatcher("127.0.0.1", port, op="grid-op", site=SITE))
        there = Site(
            folder=folder,
            world=world,
            meter=meter,
            grid=grid,
            rated_kw=rated_w / 1e3,
            broker_port=port,
            _stack=stack,
            before={},
        )
        there.before = there.fingerprints()
        if setting.broker:
            await there.open_broker()
            await grid.wait_online()
        text = farm_text(setting, folder=folder, rated_kw=rated_w / 1e3, meter_port=meter.port, broker_port=port)
        there.config_path.write_text(text, encoding="utf-8")
        if setting.dsn:
            (folder / "dsn").write_text(setting.dsn, encoding="utf-8")
            (folder / "dsn").chmod(0o600)
        await _stocked(there)
        async with _beating(grid) if setting.lost_s < QUIET_S else AsyncExitStack():
            yield there
        assert there.fingerprints() == there.before


@asynccontextmanager
async def _beating(grid: Dispatcher) -> AsyncIterator[None]:
    """Snapshots and heartbeats more often than the dispatcher's own 10 s: one late beat must not be a loss."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            with suppress(TimeoutError):
                await grid.send_snapshot()

    beating = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        while not beating.done():  # a cancel that meets the broker's receipt is lost in asyncio.wait_for
            beating.cancel()
            await asyncio.wait([beating], timeout=1.0)


async def _stocked(there: Site) -> None:
    known = inventory_rows(there.world)
    drivers = load_drivers(NATIVE)
    places = [Endpoint(host=place["host"], ports=place["ports"]) for place in known]
    found = await identified(places, list(drivers.values()))
    assert len(found) == len(known)
    await stocked(place_of(there.loaded.config), known, found)
