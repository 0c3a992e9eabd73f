"""Feeds the telemetry: a sweep of the fleet every few seconds, made and written off the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from farmctl.core.fleet import FleetView
from farmctl.core.model import MinerState
from farmctl.core.step import Decision
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, CodeColumn, FloatColumn
from farmctl.errors import StoreError
from farmctl.ports.history import MINER_COLUMNS, UNKNOWN_SHORT, HistorySink, ShortMatrix, Sweep
from farmctl.ports.site import Clock

log = structlog.get_logger(__name__)

LOOK_S = 0.5
MOST_WAITING = 3
"""Pictures that wait for a slow disk; each may be megabytes, so older ones are given up."""
_RUNNING = (MinerState.HASHING, MinerState.THROTTLED)
_MOST = 2**15 - 1


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Grouping:
    """The sums that are kept beside the miners: containers and owners."""

    names: tuple[str, ...]
    """`cont:NAME` and `owner:NAME`."""
    container_of: CodeColumn
    owner_of: CodeColumn
    """Index into `names` of every row, in the order of the table."""


class Historian:
    """Takes pictures on the loop and writes them in a thread; a slow or full disk costs history, nothing else."""

    def __init__(self, sink: HistorySink, clock: Clock, step_s: int, grouping: Grouping) -> None:
        self._sink = sink
        self._clock = clock
        self._step_ms = step_s * MS_PER_S
        self._grouping = grouping
        self._waiting: deque[tuple[FleetView, Decision]] = deque(maxlen=MOST_WAITING)
        self._last = -1
        self._failing = False
        self.lost = 0
        """Sweeps that were not written."""

    def see(self, view: FleetView, decision: Decision) -> None:
        """Take the first cycle of every step; never waits."""
        step = decision.at_ms // self._step_ms
        if step == self._last:
            return
        self._last = step
        self.lost += len(self._waiting) == MOST_WAITING
        self._waiting.append((view, decision))

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            while True:
                await self._clock.sleep(LOOK_S)
                await self._write()
        finally:
            await asyncio.shield(self._end())

    async def _write(self) -> None:
        while self._waiting:
            view, decision = self._waiting.popleft()
            try:
                await asyncio.to_thread(self._take, view, decision)
            except StoreError as error:
                self.lost += 1
                if not self._failing:
                    log.warning("telemetry_failed", error=str(error), effect="history has a gap; control goes on")
                self._failing = True
            else:
                if self._failing:
                    log.info("telemetry_back", lost=self.lost)
                self._failing = False

    async def _end(self) -> None:
        await self._write()
        try:
            await asyncio.to_thread(self._sink.close)
        except StoreError as error:
            log.warning("telemetry_failed", error=str(error), effect="the last sweeps may be lost")

    def _take(self, view: FleetView, decision: Decision) -> None:
        self._sink.take(sweep_of(view, decision, self._grouping))
        self._sink.tidy()


def sweep_of(view: FleetView, decision: Decision, grouping: Grouping) -> Sweep:
    """The fleet as telemetry keeps it; O(rows), no Python loop over rows."""
    table, seen = view.table, decision.seen
    age_s = np.where(table.seen_ms >= 0, (decision.at_ms - table.seen_ms) / MS_PER_S, np.nan)
    told = seen.fresh
    figures = {
        "power_w": np.where(told, table.power_w, np.nan),
        "hash_ths": np.where(told, table.hash_rate_hs, np.nan) / HASHES_PER_TERAHASH,
        "temperature_c": np.where(told, table.temperature_c, np.nan),
        "state": np.where(told, table.state, MinerState.OFFLINE).astype(np.float64),
        "step": table.step.astype(np.float64),
        "wanted": seen.rows.wanted.astype(np.float64),
        "reason": decision.reasons.astype(np.float64),
        "age_s": age_s,
    }
    columns = np.stack([_short(figures[name], unit) for name, unit in MINER_COLUMNS.items()])
    return Sweep(
        at_ms=decision.at_ms // MS_PER_S * MS_PER_S,
        miner_id=table.miner_id,
        columns=columns,
        sums=_sums(view, decision, grouping, figures),
    )


def _sums(
    view: FleetView, decision: Decision, grouping: Grouping, figures: dict[str, FloatColumn]
) -> dict[str, tuple[float, ...]]:
    power_w, hash_ths = decision.seen.power_now_w, np.nan_to_num(figures["hash_ths"])
    running = decision.seen.fresh & np.isin(view.table.state, _RUNNING)
    site, nan = decision.site, float("nan")
    metered_w = site.power_w if site.metered else nan
    whole = (float(power_w.sum()), metered_w, decision.budget.target_w, float(hash_ths.sum()), float(running.sum()))
    found: dict[str, tuple[float, ...]] = {"site": whole}
    width = len(grouping.names)
    for of in (grouping.container_of, grouping.owner_of):
        parts = [_by(of, each, width) for each in (power_w, hash_ths, running.astype(np.float64))]
        for index in np.unique(of).tolist():
            found[grouping.names[index]] = (parts[0][index], nan, nan, parts[1][index], parts[2][index])
    return found


def _by(of: CodeColumn, values: FloatColumn, width: int) -> list[float]:
    summed: list[float] = np.bincount(of, weights=values, minlength=width).tolist()
    return summed


def _short(values: FloatColumn, unit: float) -> NDArray[np.int16]:
    """Scaled to int16; what is unknown or out of range is unknown."""
    scaled = np.rint(values / unit)
    good = np.abs(scaled) <= _MOST
    short: ShortMatrix = np.where(good, np.nan_to_num(scaled), UNKNOWN_SHORT).astype(np.int16)
    return short
