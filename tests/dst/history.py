"""One seed, one history: a site, a grid and a controller over some minutes, and what went wrong on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from random import Random

import numpy as np
from typing_extensions import override

from farmctl.core.fleet import CircuitTree, MeterSample, SiteRules
from farmctl.core.model import MinerId, OperatingPoint, Quality
from farmctl.ports.site import Meter
from tests.dst.broker import SimBroker
from tests.dst.disk import Disk
from tests.dst.grid import Grid
from tests.dst.life import Life
from tests.dst.machines import Machine, ladders
from tests.dst.virtual import LeapingLoop, WallClock
from tests.scenarios.site import rules

FEEDERS = 3
AUX_W = 900.0
FEEDER_SPARE = 0.9
"""Rating of a feeder over what its miners draw at full: the limit tree binds too."""


class TrueMeter(Meter):
    """Reads what truly flows, while it is well."""

    name = "main"

    def __init__(self, world: World) -> None:
        self._world = world
        self.is_lost = False

    @override
    async def read(self) -> MeterSample:
        await asyncio.sleep(0.01)
        now_ms = self._world.clock.now_ms()
        if self.is_lost:
            return MeterSample(power_w=float("nan"), at_ms=now_ms, quality=Quality.MISSING)
        return MeterSample(power_w=self._world.power_w(), at_ms=now_ms, quality=Quality.OK)

    @override
    async def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True, kw_only=True)
class Broken:
    """A law that did not hold."""

    at_s: float
    law: str
    what: str


@dataclass(slots=True)
class World:
    """Everything there is, and what the laws saw of it."""

    loop: LeapingLoop
    dice: Random
    miners: int
    clock: WallClock = field(init=False)
    machines: list[Machine] = field(init=False)
    nodes: list[int] = field(init=False)
    tree: CircuitTree = field(init=False)
    rules: SiteRules = field(init=False)
    disk: Disk = field(init=False)
    broker: SimBroker = field(init=False)
    grid: Grid = field(init=False)
    meter: TrueMeter = field(init=False)
    life: Life | None = None
    faults: int = 0
    broken: list[Broken] = field(default_factory=list)
    applied: list[tuple[float, Machine, OperatingPoint, OperatingPoint]] = field(default_factory=list)
    """(s, machine, point before, point) of every command that reached a machine since the laws last looked."""
    shown_w: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=12))
    stopped_s: float | None = None
    """Since when an operator has stopped the site."""
    over_since: dict[int, float] = field(default_factory=dict)
    upset_s: float = 0.0
    """When the controller last came back from a kill or a wrong clock: it needs a response window again."""

    def __post_init__(self) -> None:
        """Build the site."""
        fast, slow = ladders()
        self.clock = WallClock(self.loop)
        self.machines = [
            Machine(
                miner_id=MinerId(f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"),
                ladder=slow if n % 4 == 3 else fast,
                now_s=lambda: self.loop.now_s,
                scale=self.dice.uniform(0.96, 1.04),
            )
            for n in range(self.miners)
        ]
        self.nodes = [1 + n % FEEDERS for n in range(self.miners)]
        full_w = sum(m.full_w for m in self.machines)
        feeder_w = [
            FEEDER_SPARE * sum(m.full_w for m, node in zip(self.machines, self.nodes, strict=True) if node == 1 + f)
            for f in range(FEEDERS)
        ]
        rated_w = round(full_w + AUX_W, -2)
        self.tree = CircuitTree(
            names=("site", *(f"F{n}" for n in range(FEEDERS))),
            parent=np.array([-1] + [0] * FEEDERS, dtype=np.int64),
            rating_w=np.array([rated_w, *feeder_w]),
            meter_w=np.full(FEEDERS + 1, np.nan),
        )
        self.rules = rules(rated_w, ramp_up_w_per_s=rated_w / 60.0, min_on_s=20.0, min_off_s=20.0)
        self.disk = Disk()
        self.broker = SimBroker(Random(self.dice.random()))  # noqa: S311 - a story, not a secret
        self.grid = Grid(self.broker, lambda: self.loop.now_s)
        self.meter = TrueMeter(self)

    def power_w(self) -> float:
        """What truly flows into the site."""
        return AUX_W + sum(machine.power_w() for machine in self.machines)

    async def start_controller(self) -> None:
        """A new life begins."""
        self.life = Life(self)
        await self.life.start()

    async def kill_controller(self) -> None:
        """The life ends in the middle of whatever it does."""
        if self.life is not None:
            await self.life.kill()
            self.life = None

    def breaks(self, law: str, what: str) -> None:
        """A law did not hold; told once per law."""
        if all(b.law != law for b in self.broken):
            self.broken.append(Broken(at_s=round(self.loop.now_s, 1), law=law, what=what))

    @property
    def site_meter(self) -> Meter:
        """The revenue point."""
        return self.meter

    def on_apply(self, machine: Machine, point: OperatingPoint) -> None:
        """A command reached a machine."""
        self.applied.append((self.loop.now_s, machine, machine.point, point))
