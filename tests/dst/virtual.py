"""Time that leaps: an event loop without sockets or threads, whose clock jumps to the next thing that is due."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from typing_extensions import TypeVarTuple, override

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_MS = 1_795_510_800_000
"""2026-11-24T09:00:00Z."""


class LeapingLoop(asyncio.SelectorEventLoop):
    """Nothing happens between two timers: the selector's wait is the leap. What would go to a thread runs at once."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Leaps(self))

    @override
    def time(self) -> float:
        """Seconds since the history began."""
        return self.now_s

    @override
    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run it here and now: a thread knows no virtual time."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever awaits it
            done.set_exception(error)
        return done


class _Leaps(selectors.DefaultSelector):
    """Waits by moving the loop's clock."""

    def __init__(self, loop: LeapingLoop) -> None:
        super().__init__()
        self._loop = loop

    @override
    def select(self, timeout: float | None = None) -> Any:
        """Nothing ever arrives from outside; a wait without an end is a deadlock, and said."""
        if timeout is None:
            raise RuntimeError("every task waits for another: nothing is due any more")
        self._loop.now_s += max(timeout, 0.0)
        return super().select(0)


class WallClock:
    """The controller's clock: the loop's time, shifted where the story makes it jump."""

    def __init__(self, loop: LeapingLoop) -> None:
        self._loop = loop
        self.shift_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as this host believes."""
        return START_MS + round(self._loop.now_s * 1000) + self.shift_ms

    def monotonic_s(self) -> float:
        """Seconds that never jump."""
        return self._loop.now_s

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
