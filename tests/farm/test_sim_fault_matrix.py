"""Every fault on every family at once, seen by our own drivers: an error that says so, no power moved by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from farmctl.core.model import OperatingPoint, PointKind
from farmctl.errors import FarmError
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Endpoint
from farmctl.wiring.drivers import load_drivers
from simulators.faults import Fault
from simulators.personality import PERSONALITIES, Family
from simulators.plan import read_plan
from simulators.world import World, ports_of

NET = f"127.{110 + os.getpid() % 30}.{os.getpid() // 30 % 250}"
PORTS = "{ api = 14128, http = 18180, api3 = 14533, grpc = 50251 }"
MODELS = {family: next(key for key, p in PERSONALITIES.items() if p.family is family) for family in Family}
NO_SLEEP = {Family.BITAXE}
"""AxeOS has no command that stops a miner."""
SLEEP = OperatingPoint(kind=PointKind.SLEEP, setting="sleep", power_w=30.0, hash_rate_hs=0.0)
FULL = OperatingPoint(kind=PointKind.FULL, setting="full", power_w=3000.0, hash_rate_hs=1e14)


@dataclass(frozen=True, slots=True)
class Yard:
    world: World
    devices: dict[Family, Device]

    def fault(self, fault: Fault, **params: float | str) -> None:
        self.world.put_fault(range(len(self.world.miners)), fault, params=params)

    def clear(self) -> None:
        self.world.clear_faults(range(len(self.world.miners)))

    def true_w(self) -> dict[Family, float]:
        watts = self.world.fleet.power_w.tolist()
        return {miner.personality.family: watts[miner.row] for miner in self.world.miners}

    async def polls(self) -> dict[Family, str]:
        """Name of the error, or the state that was read."""
        return await self._all({family: _polled(device) for family, device in self.devices.items()})

    async def applies(self, point: OperatingPoint) -> dict[Family, str]:
        """Name of the error, or yes."""
        able = {f: d for f, d in self.devices.items() if isinstance(d, AppliesPoint) and f not in NO_SLEEP}
        return await self._all({family: _applied(device, point) for family, device in able.items()})

    @staticmethod
    async def _all(calls: dict[Family, object]) -> dict[Family, str]:
        done = await asyncio.gather(*calls.values())  # type: ignore[call-overload]  # coroutines of text
        return dict(zip(calls, done, strict=True))


async def _polled(device: Device) -> str:
    try:
        return (await device.poll()).state.name
    except FarmError as error:
        return type(error).__name__


async def _applied(device: AppliesPoint, point: OperatingPoint) -> str:
    try:
        await device.apply(point)
    except FarmError as error:
        return type(error).__name__
    return "yes"


@pytest_asyncio.fixture
async def yard() -> AsyncIterator[Yard]:
    groups = "".join(
        f'[[group]]\nname = "{model}"\nmodel = "{model}"\ncount = 1\naddress = "{NET}.{n + 1}"\nports = {PORTS}\n'
        for n, model in enumerate(MODELS.values())
    )
    world = World(read_plan(f"[farm]\nseed = 3\nambient_swing_c = 0.0\n{groups}"))
    drivers = load_drivers(sorted(Family))
    await world.start()
    devices = {
        miner.personality.family: drivers[miner.personality.family].device(
            Endpoint(host=miner.endpoint.host, ports=ports_of(miner)), Credentials()
        )
        for miner in world.miners
    }
    yield Yard(world, devices)
    for device in devices.values():
        await device.close()
    await world.stop()


@pytest.mark.parametrize(
    ("fault", "params"),
    [
        (Fault.UNPLUGGED, {}),
        (Fault.SILENT, {}),
        (Fault.SLOW, {"delay_s": 30.0}),
        (Fault.RESET, {}),
        (Fault.TRUNCATED, {"keep": 0.01}),
        (Fault.MALFORMED, {"how": "garbage"}),
    ],
)
async def test_a_poll_that_fails_says_so_in_every_family_and_the_next_one_is_right_again(
    yard: Yard, fault: Fault, params: dict[str, float | str]
) -> None:
    assert set((await yard.polls()).values()) == {"HASHING"}
    yard.fault(fault, **params)
    await yard.world.advance(0.1)
    said = await yard.polls()
    assert not {family: word for family, word in said.items() if not word.endswith("Error")}
    yard.clear()
    await yard.world.advance(0.1)
    assert set((await yard.polls()).values()) == {"HASHING"}


@pytest.mark.parametrize("fault", [Fault.REFUSES, Fault.IGNORES, Fault.UNAUTHORIZED])
async def test_a_command_without_effect_moves_nobody_and_only_who_ignores_says_yes(yard: Yard, fault: Fault) -> None:
    before_w, kept = yard.true_w(), [miner.fingerprint() for miner in yard.world.miners]
    yard.fault(fault)
    said = await yard.applies(SLEEP)
    await yard.world.advance(60)
    moved = {family for family, watts in yard.true_w().items() if watts < 0.9 * before_w[family]}
    if fault is Fault.UNAUTHORIZED:
        assert {f for f, word in said.items() if word == "yes"} == moved, "who knows no password obeys"
        assert moved <= {Family.AVALON}
    else:
        assert moved == set()
        yes = {family for family, word in said.items() if word == "yes"}
        assert yes == (set(said) if fault is Fault.IGNORES else set())
    assert [miner.fingerprint() for miner in yard.world.miners] == kept


async def test_logins_that_were_voided_are_renewed_by_the_next_command(yard: Yard) -> None:
    assert set((await yard.applies(FULL)).values()) == {"yes"}
    yard.fault(Fault.EXPIRED)
    assert set((await yard.applies(SLEEP)).values()) == {"yes"}
    await yard.world.advance(120)
    standby = {family: PERSONALITIES[model].standby_w for family, model in MODELS.items() if family not in NO_SLEEP}
    true_w = yard.true_w()
    assert {family: true_w[family] for family in standby} == pytest.approx(standby)


async def test_a_stuck_miner_says_yes_to_a_resume_and_draws_nothing(yard: Yard) -> None:
    await yard.applies(SLEEP)
    await yard.world.advance(120)
    asleep_w = yard.true_w()
    yard.fault(Fault.STUCK)
    await yard.applies(FULL)
    await yard.world.advance(1200)
    assert {f: w for f, w in yard.true_w().items() if f not in NO_SLEEP} == pytest.approx(
        {f: w for f, w in asleep_w.items() if f not in NO_SLEEP}, rel=0.05
    )
