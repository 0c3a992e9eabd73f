"""Urgent commands take the firmware's fast way where it has one; others never do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from drivers.braiins.driver import BraiinsDriver
from drivers.luxos.driver import LuxosDriver
from farmctl.core.model import Command, Fate, Lane, MinerId, OperatingPoint
from farmctl.core.reasons import Reason
from farmctl.engine.actuator import Actuator, ActuatorRules
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.engine.journey import Journey
from farmctl.engine.link import Link
from farmctl.ports.devices import AppliesFast, AppliesPoint, Device, Driver, Facts, Reading
from farmctl.ports.store import InventoryRow
from simulators.faults import Fault
from tests.drivers.fixtures.rest.simulated import devices, farm, point, try_under

MINER = MinerId("02:01")


async def plain(device: Device, setting: str) -> None:
    assert isinstance(device, AppliesPoint)
    await device.apply(point(setting))


async def fast(device: Device, setting: str) -> None:
    assert isinstance(device, AppliesFast)
    await device.apply_fast(point(setting))


async def test_an_urgent_wake_of_luxos_is_the_fast_one_and_the_plain_one_where_that_is_refused() -> None:
    async with (
        farm("luxos-s19kpro", ports="ports = { api = 14028, http = 0 }") as world,
        devices(LuxosDriver(), world) as (device,),
    ):
        miner = world.miners[0]
        assert isinstance(device, AppliesPoint)
        miner.wakes_since_boot = 0
        for wake, expected in ((fast, "wakeup"), (fast, "wakeup,mode=unsafe"), (plain, "wakeup")):
            await device.apply(point("sleep"))
            await wake(device, "full")
            woken = [told.text for told in miner.log if "wakeup" in told.text]
            assert woken[-1] == expected
            assert miner.wakes_since_boot > 0


@pytest.mark.parametrize(
    ("driver", "model", "settings"),
    [
        (LuxosDriver, "luxos-s19kpro", ("sleep", "full", "profile:440MHz", "watts:2000")),
        (BraiinsDriver, "braiins-s19xp", ("sleep", "full", "watts:2500", "percent:70")),
        (BraiinsDriver, "braiins-s19jpro", ("sleep", "full", "watts:2500")),
    ],
)
async def test_the_fast_way_leaves_pools_passwords_and_fans_byte_identical(
    driver: type[Driver], model: str, settings: tuple[str, ...]
) -> None:
    async with farm(model) as world, devices(driver(), world) as (device,):
        miner = world.miners[0]
        before = miner.fingerprint()
        for setting in settings:
            await fast(device, setting)
        await try_under(world, Hurried(device), 0, Fault.REFUSES, settings)
        await try_under(world, Hurried(device), 0, Fault.MALFORMED, settings)
        assert miner.fingerprint() == before


class Hurried(Device):
    """A device whose every command is an urgent one."""

    serial_only = False

    def __init__(self, device: Device) -> None:
        self.device = device

    async def apply(self, point: OperatingPoint) -> None:
        assert isinstance(self.device, AppliesFast)
        await self.device.apply_fast(point)

    @override
    async def poll(self) -> Reading:
        return await self.device.poll()

    @override
    async def facts(self) -> Facts:
        return await self.device.facts()

    @override
    async def close(self) -> None:
        await self.device.close()


@dataclass
class Noted(Device):
    """A device that writes down which way it was commanded."""

    serial_only: bool = False
    ways: list[str] = field(default_factory=list)

    async def apply(self, point: OperatingPoint) -> None:
        self.ways.append(f"apply {point.setting}")

    async def apply_fast(self, point: OperatingPoint) -> None:
        self.ways.append(f"fast {point.setting}")

    @override
    async def poll(self) -> Reading:
        raise AssertionError("nobody asks")

    @override
    async def facts(self) -> Facts:
        raise AssertionError("nobody asks")

    @override
    async def close(self) -> None:
        return


class Clock:
    def now_ms(self) -> int:
        return 1_000

    def monotonic_s(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Watch:
    def __init__(self) -> None:
        self.fates: list[Fate] = []

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        del command, seconds
        self.fates.append(fate)


class Patient:
    def hasten(self, link: Link, within_s: float | None = None) -> None:
        del link, within_s

    def follow(self, link: Link, way: Journey) -> None:
        del link, way


def command(lane: Lane) -> Command:
    return Command(
        miner=MINER,
        step=0,
        point=point("sleep"),
        lane=lane,
        deadline_ms=9_000,
        reason=Reason.CURTAILED,
        attempt=1,
        cycle=1,
    )


@pytest.mark.parametrize(("lane", "way"), [(Lane.URGENT, "fast sleep"), (Lane.NORMAL, "apply sleep")])
async def test_only_the_urgent_lane_takes_the_fast_way(lane: Lane, way: str) -> None:
    device, keeper, watch = Noted(), FleetKeeper(), Watch()
    row = InventoryRow(miner_id=MINER, host="127.0.0.1", ports={}, driver="luxos")
    keeper.seat([Seat(row=row, ladder=None, node=0, group=0, commandable=True)])
    rules = ActuatorRules(urgent_in_flight=1, normal_in_flight=1, deadline_s=5.0)
    actuator = Actuator(keeper, Patient(), Clock(), rules, watch)
    actuator.take({MINER: Link(miner_id=MINER, row=keeper.row_of[MINER], device=device)})
    running = asyncio.create_task(actuator.run())
    actuator.submit([command(lane)])
    for _ in range(200):
        if Fate.ACKNOWLEDGED in watch.fates:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert device.ways == [way]
