"""What happens in a history: orders of the grid and faults of everything, drawn from the seed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from farmctl.errors import FarmError
from farmctl.ports.control import By
from tests.dst.history import World
from tests.dst.machines import Ill

Act = Callable[[World], Awaitable[None]]
OPERATOR = By(owner="shift", uid=1000, reason="a story")
ORDER_EVERY_S = (20.0, 70.0)
FAULT_EVERY_S = (1.0, 6.0)
CALM_S = 330.0
"""At the end nothing fails any more and no order is live: what is wanted must come true."""
HOUR_MS = 3_600_000
PATIENCE_S = 5.0


async def orders(world: World, until_s: float) -> None:
    """The grid changes its mind until then."""
    dice, grid, rated_w = world.dice, world.grid, world.rules.rated_w
    while world.loop.now_s < until_s:
        await asyncio.sleep(dice.uniform(*ORDER_EVERY_S))
        for_s = dice.uniform(40.0, 150.0)
        lead_s = dice.choice((0.0, 0.0, 5.0, 30.0))
        kind = dice.choice(("TARGET", "TARGET", "LIMIT", "LIMIT", "BOTH", "EMERGENCY", "WITHDRAW"))
        power_w = round(rated_w * dice.uniform(0.15, 0.95), -2)
        if kind == "TARGET":
            grid.order("TARGET", setpoint_w=power_w, lead_s=lead_s, for_s=for_s)
        elif kind == "LIMIT":
            grid.order("LIMIT", limit_w=power_w, lead_s=lead_s, for_s=for_s)
        elif kind == "BOTH":
            grid.order("LIMIT", limit_w=power_w, setpoint_w=0.9 * power_w, lead_s=lead_s, for_s=for_s)
        elif kind == "EMERGENCY":
            order = grid.order("EMERGENCY", limit_w=round(0.1 * rated_w, -2), lead_s=0.0, for_s=0.3 * for_s)
            await asyncio.sleep(dice.uniform(20.0, 100.0))
            grid.delete(order)
        elif live := [o for o in grid.orders.values() if not o.is_over and o.deleted_s is None]:
            grid.delete(dice.choice(live))
    for order in grid.orders.values():
        if order.event_class == "EMERGENCY" and order.deleted_s is None:
            grid.delete(order)


async def faults(world: World, until_s: float, spawn: Callable[[Awaitable[None]], None]) -> None:
    """Something fails every few seconds until then."""
    while world.loop.now_s < until_s:
        await asyncio.sleep(world.dice.uniform(*FAULT_EVERY_S))
        world.faults += 1
        spawn(world.dice.choices(ACTS, WEIGHTS)[0](world))


async def machine(world: World) -> None:
    """One miner is ill for a while."""
    dice = world.dice
    one = dice.choice(world.machines)
    one.fails(dice.choice(list(Ill)), dice.uniform(10.0, 60.0))
    one.doubted_s = max(one.doubted_s, world.loop.now_s)


async def reboot(world: World) -> None:
    """One miner reboots and comes back at full."""
    one = world.dice.choice(world.machines)
    one.reboot()
    one.doubted_s = world.loop.now_s + 20.0


async def weather(world: World) -> None:
    """Messages are lost, repeated and swapped for a while."""
    dice, now = world.dice, world.broker.weather
    now.lose, now.repeat, now.swap = dice.uniform(0, 0.3), dice.uniform(0, 0.5), dice.uniform(0, 0.5)
    await asyncio.sleep(dice.uniform(10.0, 60.0))
    now.lose = now.repeat = now.swap = 0.0


async def broker(world: World) -> None:
    """The broker dies and comes back."""
    world.broker.is_down = True
    world.broker.restart()
    await asyncio.sleep(world.dice.uniform(0.5, 30.0))
    world.broker.is_down = False


async def silence(world: World) -> None:
    """The dispatcher says nothing for a while."""
    world.grid.is_silent = True
    await asyncio.sleep(world.dice.choice((world.dice.uniform(15.0, 110.0), 200.0)))
    world.grid.is_silent = False
    world.grid.lists()
    world.grid.beats()


async def meter(world: World) -> None:
    """The meter is lost for a while."""
    world.meter.is_lost = True
    await asyncio.sleep(world.dice.uniform(3.0, 40.0))
    world.meter.is_lost = False


async def disk(world: World) -> None:
    """The disk is full, or as slow as a dying one."""
    full = world.dice.random() < 0.5
    before_s, world.disk.write_s = world.disk.write_s, world.disk.write_s if full else world.dice.uniform(0.2, 1.5)
    world.disk.is_full = full
    await asyncio.sleep(world.dice.uniform(3.0, 20.0))
    world.disk.is_full, world.disk.write_s = False, min(before_s, 0.01)


async def crash(world: World) -> None:
    """The controller is killed and started again."""
    if world.life is None:
        return
    await world.kill_controller()
    await asyncio.sleep(world.dice.uniform(0.5, 12.0))
    await world.start_controller()
    world.upset_s = max(world.upset_s, world.loop.now_s)


async def clock(world: World) -> None:
    """The host's clock jumps, and is put right later."""
    step_ms = world.dice.choice((-HOUR_MS, HOUR_MS, -3_000, 3_000, -40_000, 40_000))
    if world.clock.shift_ms:
        return
    world.clock.shift_ms = step_ms
    await asyncio.sleep(world.dice.uniform(5.0, 40.0))
    world.clock.shift_ms = 0
    world.upset_s = max(world.upset_s, world.loop.now_s + 10.0)


async def operator(world: World) -> None:
    """Somebody stops the site, and lets it go again."""
    if world.stopped_s is not None:
        return
    if await _ordered(world, on=True):
        world.stopped_s = world.loop.now_s
    # A stop whose answer never came may be in force all the same: it is let go as well.
    await asyncio.sleep(world.dice.uniform(5.0, 40.0))
    for wait_s in count(1):
        if await _ordered(world, on=False):
            break
        await asyncio.sleep(wait_s)
    world.stopped_s = None


async def _ordered(world: World, *, on: bool) -> bool:
    """Ask whoever is in control; False where nobody answers or it could not be made durable."""
    desk = world.life.desk if world.life is not None else None
    if desk is None:
        return False
    try:
        async with asyncio.timeout(PATIENCE_S):
            await desk.set_stop_all(OPERATOR, on=on)
    except (FarmError, TimeoutError):
        return False
    return True


ACTS = (machine, reboot, weather, broker, silence, meter, disk, operator, crash, clock)
WEIGHTS = (20, 4, 3, 2, 2, 2, 2, 1, 1, 1)
