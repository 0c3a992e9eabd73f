"""Runs the parts together: restarts what crashes within a limit, stops all in order when asked."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from weakref import WeakSet

import structlog

log = structlog.get_logger(__name__)

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
MISSED_S = 1.0
"""A task that is cancelled and still runs at two looks this far apart may have missed it."""


async def supervise(parts: Mapping[str, Callable[[], Awaitable[None]]], stop: asyncio.Event) -> None:
    """Run every part until `stop` is set; a part that keeps crashing brings the process down."""
    others = WeakSet(asyncio.all_tasks())
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_kept_alive(name, part)) for name, part in parts.items()]
        await stop.wait()
        for task in running:
            task.cancel()
        await _ended(running, others)


def stop_on_signals(stop: asyncio.Event, said: list[str]) -> None:
    """SIGTERM and SIGINT set `stop`; which one came is appended to `said`."""
    loop = asyncio.get_running_loop()

    def ask(name: str) -> None:
        said.append(name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number.name)


async def _ended(running: Sequence[asyncio.Task[None]], others: AbstractSet[asyncio.Task[None]]) -> None:
    """Wait for the parts, cancelling again whatever below them missed it.

    `asyncio.wait_for` before Python 3.12 drops a cancel that comes in the moment its future ends: a publish whose
    receipt arrives with the SIGTERM would then keep its part, and the process, for ever.  Tasks that were there before
    the parts are somebody else's: a process that leads no more still has its worker, and a cancel that meets a timeout
    of the worker's on its way out would end that task for good.
    """
    before: set[asyncio.Task[None]] = set()
    while (await asyncio.wait(running, timeout=MISSED_S))[1]:
        now = {task for task in asyncio.all_tasks() if task.cancelling() and task not in others}
        if missed := now & before:
            log.warning("cancel_missed", tasks=len(missed))
        for task in missed:
            task.cancel()
        before = now


async def _kept_alive(name: str, part: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    crashes: list[float] = []
    while True:
        try:
            await part()
        except Exception:
            log.exception("part_crashed", part=name)
            crashes = [at for at in crashes if loop.time() - at < RESTART_WINDOW_S]
            crashes.append(loop.time())
            if len(crashes) > MAX_RESTARTS:
                raise
            await asyncio.sleep(min(0.1 * 2.0 ** len(crashes), 5.0))
        else:
            log.debug("part_ended", part=name)
            return
