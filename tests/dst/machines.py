"""Miners that are not there: what each truly draws at any moment, what it says, and how it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import nan

from typing_extensions import override

from farmctl.core.model import Ladder, MinerId, MinerState, OperatingPoint, PointKind, PowerSource
from farmctl.errors import RefusedError, SilentPeerError
from farmctl.ports.devices import AppliesPoint, Device, Facts, Identity, Reading

BOOT_S = 20.0
"""A rebooting control board is silent for so long, then runs at full whatever it was told."""
DEADLINE_S = 2.0
ASLEEP_SHARE = 0.05
MHS_PER_W = 5e10


class Ill(StrEnum):
    """What can be wrong with a machine for a while."""

    SILENT = "silent"
    REFUSES = "refuses"
    SLOW = "slow"
    DEAF = "deaf"
    LIES = "lies"
    HALF = "half"
    STRANGER = "stranger"


TRUTHFUL = frozenset({Ill.SILENT, Ill.REFUSES, Ill.SLOW, Ill.STRANGER})
"""Faults by which a machine hides or refuses, but says nothing false."""


@dataclass(slots=True, kw_only=True)
class Machine:
    """One miner's physics and faults; `now_s` is the loop's time."""

    miner_id: MinerId
    ladder: Ladder
    now_s: Callable[[], float]
    scale: float = 1.0
    point: OperatingPoint = field(init=False)
    from_w: float = 0.0
    since_s: float = -1e9
    woke_s: float = -1e9
    silent_until_s: float = -1e9
    ills: dict[Ill, float] = field(default_factory=dict)
    """Fault -> when it ends."""
    doubted_s: float = -1e9
    """Until when it had said something false."""
    applied: int = 0

    def __post_init__(self) -> None:
        """It runs at full."""
        self.point = self.ladder.points[-1]
        self.from_w = self.full_w

    @property
    def full_w(self) -> float:
        """Draw at full."""
        return self.ladder.points[-1].power_w * self.scale

    def goal_w(self) -> float:
        """Where its draw is going."""
        return self.point.power_w * (self.scale if self.point.hash_rate_hs else 1.0)

    def power_w(self) -> float:
        """What it truly draws now: a straight line from where it was to where it goes."""
        ramp_s = self._ramp_s()
        left = max(1.0 - (self.now_s() - self.since_s) / ramp_s, 0.0)
        return self.goal_w() + (self.from_w - self.goal_w()) * left

    def fails(self, ill: Ill, for_s: float) -> None:
        """Be ill for a while."""
        self.ills[ill] = self.now_s() + for_s
        if ill not in TRUTHFUL:
            self.doubted_s = max(self.doubted_s, self.ills[ill])

    def has(self, ill: Ill) -> bool:
        """Whether it is ill in this way now."""
        return self.ills.get(ill, -1e9) > self.now_s()

    def reboot(self) -> None:
        """Come back at full after a silence."""
        self.silent_until_s = self.now_s() + BOOT_S
        self._go(self.ladder.points[-1])

    def obey(self, point: OperatingPoint) -> None:
        """Go to a point; half of a machine goes half of the way."""
        self.applied += 1
        if self.has(Ill.DEAF):
            return
        if self.has(Ill.HALF) and point.hash_rate_hs == 0.0:
            point = self.ladder.points[len(self.ladder.points) // 2]
        self._go(point)

    def _go(self, point: OperatingPoint) -> None:
        was_asleep = self.point.hash_rate_hs == 0.0
        if point.setting == self.point.setting:
            return
        self.from_w, self.since_s = self.power_w(), self.now_s()
        self.point = point
        if was_asleep:
            self.woke_s = self.now_s()

    def _ramp_s(self) -> float:
        if self.point.hash_rate_hs == 0.0:
            return self.ladder.down_s
        return self.ladder.up_s if self.woke_s >= self.since_s else self.ladder.trim_s

    def reading(self) -> Reading:
        """What it says of itself."""
        true_w = self.power_w()
        settled = self.now_s() - self.since_s >= self._ramp_s()
        asleep = self.point.hash_rate_hs == 0.0
        booting = not asleep and self.woke_s >= self.since_s and not settled
        state = MinerState.HASHING
        if booting:
            state = MinerState.BOOTING
        elif asleep and true_w < ASLEEP_SHARE * self.full_w:
            state = MinerState.CURTAILED
        hashing = state is MinerState.HASHING and not asleep
        return Reading(
            state=state,
            power_w=true_w * (0.8 if self.has(Ill.LIES) else 1.0),
            power_source=PowerSource.DEVICE,
            hash_rate_hs=self.point.hash_rate_hs * self.scale if hashing else 0.0,
            temperature_c=60.0,
            uptime_s=max(self.now_s() - self.silent_until_s, 0.0) if self.silent_until_s > 0 else 1e6 + self.now_s(),
            setting=self.point.setting,
        )


class Line(Device, AppliesPoint):
    """The device object of one machine in one life of the controller; a dead controller reaches nobody."""

    serial_only = False

    def __init__(self, machine: Machine, latency_s: float, on_apply: Callable[[Machine, OperatingPoint], None]) -> None:
        self.machine = machine
        self.cut = False
        self._latency_s = latency_s
        self._on_apply = on_apply

    @override
    async def poll(self) -> Reading:
        await self._answer()
        return self.machine.reading()

    @override
    async def facts(self) -> Facts:
        await self._answer()
        who = self.machine.miner_id
        if self.machine.has(Ill.STRANGER):
            who = MinerId("02:ff:ff:ff:ff:ff")
        identity = Identity(miner_id=who, driver="sim", model="sim", firmware="1")
        return Facts(identity=identity, pools=(), boards=3, nominal_hash_rate_hs=nan, nominal_power_w=nan)

    @override
    async def apply(self, point: OperatingPoint) -> None:
        await self._answer()
        if self.machine.has(Ill.REFUSES):
            raise RefusedError(f"{self.machine.miner_id} refuses {point.setting}")
        self._on_apply(self.machine, point)
        self.machine.obey(point)
        await asyncio.sleep(self._latency_s)

    @override
    async def close(self) -> None:
        """Nothing is open."""

    async def _answer(self) -> None:
        machine = self.machine
        if self.cut or machine.has(Ill.SILENT) or machine.now_s() < machine.silent_until_s:
            await asyncio.sleep(DEADLINE_S)
            raise SilentPeerError(f"{machine.miner_id} is silent")
        await asyncio.sleep(self._latency_s * (40 if machine.has(Ill.SLOW) else 1))


def ladders() -> tuple[Ladder, Ladder]:
    """A firmware that throttles in seconds, and one that only knows sleep and full."""
    fast = _ladder("fast", 3_400.0, tuple(range(40, 100, 10)), down_s=5.0, up_s=30.0)
    slow = _ladder("slow", 3_000.0, (), down_s=20.0, up_s=60.0)
    return fast, slow


def _ladder(name: str, full_w: float, percents: tuple[int, ...], *, down_s: float, up_s: float) -> Ladder:
    full = OperatingPoint(kind=PointKind.FULL, power_w=full_w, hash_rate_hs=full_w * MHS_PER_W, setting="full")
    sleep = OperatingPoint(kind=PointKind.SLEEP, power_w=40.0, hash_rate_hs=0.0, setting="sleep")
    between = [
        replace(
            full,
            kind=PointKind.THROTTLE,
            power_w=full_w * share,
            hash_rate_hs=full.hash_rate_hs * share**0.8,
            setting=f"percent:{share * 100:.0f}",
        )
        for share in (percent / 100 for percent in percents)
    ]
    return Ladder(name=name, points=(sleep, *between, full), down_s=down_s, up_s=up_s, trim_s=3.0)
