"""How the controller itself does: how late its loop wakes, how long polls and commands take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from farmctl.core.model import Command, Fate, MinerId

LAG_PROBE_S = 0.25
LAGS = 1_200
"""Five minutes."""
POLLS = 2_000
ANSWERS = 500
"""Of each firmware."""
MOST_KINDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of so many samples, s; NaN of none."""

    n: int
    p50_s: float
    p99_s: float

    @classmethod
    def of(cls, samples: Iterable[float]) -> Spread:
        """Half and one in a hundred."""
        values = np.fromiter(samples, dtype=np.float64)
        if not len(values):
            return cls(n=0, p50_s=float("nan"), p99_s=float("nan"))
        p50, p99 = np.percentile(values, (50, 99))
        return cls(n=len(values), p50_s=float(p50), p99_s=float(p99))


@dataclass(slots=True, eq=False, kw_only=True)
class Vitals:
    """The newest samples of each; hears the engine as a `Watch` does."""

    firmware_of: Callable[[MinerId], str]
    lags_s: deque[float] = field(default_factory=lambda: deque(maxlen=LAGS))
    polls_s: deque[float] = field(default_factory=lambda: deque(maxlen=POLLS))
    answers_s: dict[str, deque[float]] = field(default_factory=dict)
    """Firmware -> how long its devices took to say yes to a command."""

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended."""
        if ok:
            self.polls_s.append(seconds)

    def overrun(self) -> None:
        """Counted elsewhere."""

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """A command reached a new fate."""
        if fate is not Fate.ACKNOWLEDGED:
            return
        firmware = self.firmware_of(command.miner)
        kept = self.answers_s.get(firmware)
        if kept is None and len(self.answers_s) < MOST_KINDS:
            kept = self.answers_s.setdefault(firmware, deque(maxlen=ANSWERS))
        if kept is not None:
            kept.append(seconds)

    def responded(self, seconds: float) -> None:
        """Told by the metrics."""

    async def run(self) -> None:
        """Measure how late the loop wakes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self.lags_s.append(max(loop.time() - due_s, 0.0))
