"""Reads the meters of site and circuits and keeps their last samples for the cycle."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from farmctl.core.fleet import NO_METER, MeterSample
from farmctl.core.model import Quality
from farmctl.core.units import MS_PER_S, FloatColumn
from farmctl.ports.site import Clock, Meter

log = structlog.get_logger(__name__)


class SiteMeter:
    """The last sample of the revenue point; says once when it is lost and once when it is back."""

    def __init__(self, meter: Meter | None, clock: Clock, period_s: float, wake: asyncio.Event) -> None:
        """Without a meter the site runs in open loop."""
        self._meter = meter
        self._clock = clock
        self._period_s = period_s
        self._wake = wake
        self._good: bool | None = None
        self.sample: MeterSample = NO_METER
        self.limit_w = float("inf")
        """A sample above this wakes the cycle at once."""

    async def run(self) -> None:
        """Sample until cancelled."""
        if self._meter is None:
            return
        try:
            while True:
                started_ms = self._clock.now_ms()
                self._take(await self._meter.read())
                spent_s = (self._clock.now_ms() - started_ms) / MS_PER_S
                await self._clock.sleep(max(self._period_s - spent_s, 0.05))
        finally:
            await self._meter.close()

    def _take(self, sample: MeterSample) -> None:
        self.sample = sample
        good = sample.quality is Quality.OK
        if good is not self._good and (self._good is not None or not good):
            name = self._meter.name if self._meter is not None else ""
            log.info("meter_back" if good else "meter_lost", meter=name, quality=sample.quality.value)
        self._good = good
        if good and sample.power_w > self.limit_w:
            self._wake.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitMeter:
    """A meter below the revenue point."""

    node: int
    """Circuit that it stands on."""
    meter: SiteMeter
    stale_s: float


class CircuitMeters:
    """The meters of the circuits, each read at its own pace."""

    def __init__(self, meters: Sequence[CircuitMeter], nodes: int) -> None:
        """`nodes`: number of circuits of the tree."""
        self._meters = tuple(meters)
        self._nodes = nodes

    async def run(self) -> None:
        """Read all until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._meters:
                tasks.create_task(each.meter.run())

    def readings_w(self, now_ms: int) -> FloatColumn:
        """Shape (circuits,), W; NaN where there is no meter, or it is silent or not to be believed."""
        readings_w = np.full(self._nodes, np.nan)
        for each in self._meters:
            sample = each.meter.sample
            fresh = sample.at_ms >= 0 and now_ms - sample.at_ms <= each.stale_s * MS_PER_S
            if fresh and sample.quality is Quality.OK:
                readings_w[each.node] = sample.power_w
        return readings_w
