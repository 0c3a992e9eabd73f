"""What became of one signal: its commands, and how much of the load that it asked for is proved gone, and by whom.

Three witnesses, each as the controller itself has it: the site meter (what a contract is settled on), the miners' own
watts (a miner that was not looked at since counts as it was), and rows that show themselves asleep.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

from farmctl.core.memory import Standing
from farmctl.core.model import Command, Fate, MinerState
from farmctl.core.units import MaskColumn
from farmctl.engine.cycle import Picture
from farmctl.wiring.farm import Farm

LOOK_S = 0.05
ALL = 0.995
"""From here on it is all of the watts: the meter's noise, and the watts of a miner asleep, are not known better."""


@dataclass(slots=True)
class Stopwatch:
    """What became of the commands since `start`."""

    responses_s: list[float] = field(default_factory=list)
    sent_s: list[float] = field(default_factory=list)
    acked_s: list[float] = field(default_factory=list)
    failed: int = 0
    polls: int = 0
    metered: list[tuple[float, float]] = field(default_factory=list)
    """(s since the start, gone share of the asked watts), as the last sample of the site meter has it."""
    read: list[tuple[float, float]] = field(default_factory=list)
    """The same as the miners' last readings add up to."""
    asleep: list[tuple[float, float]] = field(default_factory=list)
    """(s since the start, confirmed share of the rows that were awake before)."""
    began_s: float = 0.0
    _now: MaskColumn = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    _before: MaskColumn = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def start(self) -> None:
        """Count from now on."""
        for counted in (self.sent_s, self.acked_s, self.metered, self.read, self.asleep):
            counted.clear()
        self.failed = self.polls = 0
        self._before = self._now
        self.began_s = time.monotonic()

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended."""
        del seconds, ok
        self.polls += 1

    def overrun(self) -> None:
        """What had to wait is not counted here."""

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """A command reached a new fate."""
        del command, seconds
        if fate is Fate.SENT:
            self.sent_s.append(time.monotonic() - self.began_s)
        if fate is Fate.ACKNOWLEDGED:
            self.acked_s.append(time.monotonic() - self.began_s)
        self.failed += fate in (Fate.FAILED, Fate.EXPIRED)

    def responded(self, seconds: float) -> None:
        """A signal led to its first command on the wire."""
        self.responses_s.append(seconds)

    def see(self, picture: Picture) -> None:
        """How many rows are proved asleep by their own telemetry."""
        rows = picture.memory.rows
        proved = (rows.wanted == 0) & (rows.standing == Standing.SETTLED) & picture.decision.seen.fresh
        self._now = proved & (picture.view.table.state == MinerState.CURTAILED)
        asked = ~self._before if len(self._before) else np.ones(len(proved), dtype=np.bool_)
        self.asleep.append((time.monotonic() - self.began_s, float(self._now[asked].mean()) if asked.any() else 1.0))

    async def watch(self, farm: Farm) -> None:
        """Follow the watts until cancelled, from what is drawn now to a fleet that sleeps."""
        table = farm.fleet.keeper.table
        read_w, metered_w, asleep_w = float(np.nansum(table.power_w)), farm.meter.sample.power_w, _asleep_w(farm)
        while True:
            at_s = time.monotonic() - self.began_s
            left_w = float(np.nansum(table.power_w))
            self.read.append((at_s, (read_w - left_w) / (read_w - asleep_w)))
            self.metered.append((at_s, (metered_w - farm.meter.sample.power_w) / (metered_w - asleep_w)))
            await asyncio.sleep(LOOK_S)

    @property
    def over(self) -> bool:
        """All three witnesses have seen all of it."""
        courses = ((self.asleep, 1.0), (self.read, ALL), (self.metered, ALL))
        return all(reached_s(course, share) is not None for course, share in courses)

    def told_s(self, share: float) -> float | None:
        """When this share of all commands was acknowledged."""
        acked_s = sorted(self.acked_s)
        return round(acked_s[int(share * (len(acked_s) - 1))], 2) if acked_s else None


def reached_s(course: list[tuple[float, float]], share: float) -> float | None:
    """When this share was first reached; None: not yet."""
    return next((round(at_s, 2) for at_s, got in course if got >= share), None)


def _asleep_w(farm: Farm) -> float:
    """What the fleet draws once all of it sleeps, by the miners' own operating points."""
    keeper = farm.fleet.keeper
    return float(keeper.book.power_w[keeper.table.ladder, 0].sum())
