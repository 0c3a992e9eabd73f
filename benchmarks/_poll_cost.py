"""CPU of this process for a number of polls, so many in flight."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from farmctl.engine.nursery import MIDDLE, NEVER, YOUNG
from farmctl.errors import FarmError

IN_FLIGHT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU and pace of one client."""

    cpu_ms: float
    per_s: float
    polls: int
    missed: int
    """Polls that failed: the simulated farm shares the machine and may be late."""


async def cost(poll: Callable[[int], Awaitable[None]], polls: int) -> Cost:
    """Poll every index once, `IN_FLIGHT` at a time; CPU is that of all threads."""
    indices = iter(range(polls))
    missed = 0
    # The collector as in a running controller, for everybody: out of what lives as long as the fleet.
    gc.set_threshold(YOUNG, MIDDLE, NEVER)
    gc.collect()
    gc.freeze()

    async def work() -> None:
        nonlocal missed
        for index in indices:
            try:
                await poll(index)
            except (FarmError, OSError):
                missed += 1

    cpu_s, wall_s = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(IN_FLIGHT, polls)):
            tasks.create_task(work())
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    return Cost(cpu_ms=cpu_s / polls * 1e3, per_s=polls / wall_s, polls=polls, missed=missed)
