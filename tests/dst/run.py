"""Runs one history and says what it came to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass

from tests.dst.history import Broken, World
from tests.dst.laws import Watcher
from tests.dst.plan import CALM_S, faults, orders
from tests.dst.virtual import LeapingLoop

WARM_S = 40.0
"""Before the first fault everybody is heard once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a history came to; the same for the same seed."""

    seed: int
    faults: int
    orders: int
    accepted: int
    commands: int
    records: int
    broken: tuple[Broken, ...]


def run_history(seed: int, *, minutes: float = 12.0, miners: int = 24) -> Outcome:
    """One seed, one history, in virtual time."""
    loop = LeapingLoop()
    try:
        return loop.run_until_complete(_history(loop, seed, minutes * 60.0, miners))
    finally:
        loop.close()


async def _history(loop: LeapingLoop, seed: int, seconds: float, miners: int) -> Outcome:
    world = World(loop, random.Random(seed), miners)  # noqa: S311 - a story, not a secret
    watcher = Watcher(world)
    tasks: set[asyncio.Future[None]] = set()

    def spawn(job: Awaitable[None]) -> None:
        task = asyncio.ensure_future(job)
        tasks.add(task)

    spawn(world.grid.run())
    await world.start_controller()
    stop_s = seconds - CALM_S
    spawn(orders(world, stop_s))
    spawn(_later(WARM_S, faults(world, stop_s - 30.0, spawn)))
    while loop.now_s < seconds:
        await asyncio.sleep(1.0)
        watcher.tick()
        _rethrow(tasks)
    await watcher.at_the_end()
    records = (await world.disk.store.head()) or None
    outcome = Outcome(
        seed=seed,
        faults=world.faults + world.broker.hits,
        orders=len(world.grid.orders),
        accepted=sum(order.accepted_s is not None for order in world.grid.orders.values()),
        commands=sum(machine.applied for machine in world.machines),
        records=records.seq if records else 0,
        broken=tuple(world.broken),
    )
    await world.kill_controller()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return outcome


async def _later(wait_s: float, job: Awaitable[None]) -> None:
    await asyncio.sleep(wait_s)
    await job


def _rethrow(tasks: set[asyncio.Future[None]]) -> None:
    """A story that breaks is a bug of the story, not a finding."""
    for task in [task for task in tasks if task.done()]:
        tasks.discard(task)
        task.result()
