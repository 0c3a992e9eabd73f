"""Counts of what the engine did, and the same news passed on to whoever keeps metrics."""

from __future__ import annotations

from collections import Counter, deque
from typing import Protocol

from farmctl.core.model import Command, Fate


class Watch(Protocol):
    """Hears of polls and commands; must not wait."""

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended."""
        ...

    def overrun(self) -> None:
        """A due poll had to wait."""
        ...

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """A command reached a new fate."""
        ...

    def responded(self, seconds: float) -> None:
        """A signal led to its first command on the wire."""
        ...


RESPONSES = 10_000
"""Signals whose response is remembered: a demo's all, eleven hours of a signal every 4 s."""


class Tally:
    """Totals since the start."""

    def __init__(self, *others: Watch) -> None:
        """`others` hear everything too."""
        self._others = others
        self.polls = 0
        self.poll_errors = 0
        self.overruns = 0
        self.retried = 0
        self.fates: Counter[Fate] = Counter()
        self.responses_s: deque[float] = deque(maxlen=RESPONSES)

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended."""
        self.polls += 1
        self.poll_errors += not ok
        for other in self._others:
            other.polled(seconds, ok=ok)

    def overrun(self) -> None:
        """A due poll had to wait because the bound on polls in flight was reached."""
        self.overruns += 1
        for other in self._others:
            other.overrun()

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """A command reached a new fate."""
        self.fates[fate] += 1
        self.retried += fate is Fate.SENT and command.attempt > 1
        for other in self._others:
            other.fated(command, fate, seconds)

    def responded(self, seconds: float) -> None:
        """A signal led to its first command on the wire."""
        self.responses_s.append(seconds)
        for other in self._others:
            other.responded(seconds)
