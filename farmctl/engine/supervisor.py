"""Runs the parts together: restarts what crashes within a limit, stops all in order when asked."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

log = structlog.get_logger(__name__)

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
MISSED_S = 2.0
"""A part that still runs this long after it was cancelled may have missed it."""


async def supervise(parts: Mapping[str, Callable[[], Awaitable[None]]], stop: asyncio.Event) -> None:
    """Run every part until `stop` is set; a part that keeps crashing brings the process down."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_kept_alive(name, part)) for name, part in parts.items()]
        await stop.wait()
        for task in running:
            task.cancel()
        await _ended(running)


def stop_on_signals(stop: asyncio.Event, said: list[str]) -> None:
    """SIGTERM and SIGINT set `stop`; which one came is appended to `said`."""
    loop = asyncio.get_running_loop()

    def ask(name: str) -> None:
        said.append(name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number.name)


async def _ended(running: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the parts, cancelling again whatever below them missed it.

    `asyncio.wait_for` before Python 3.12 drops a cancel that comes in the moment its future ends: a publish whose
    receipt arrives with the SIGTERM would then keep its part, and the process, for ever.
    """
    while (await asyncio.wait(running, timeout=MISSED_S))[1]:
        missed = [task for task in asyncio.all_tasks() if task.cancelling()]
        log.warning("cancel_missed", tasks=len(missed))
        for task in missed:
            task.cancel()


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
