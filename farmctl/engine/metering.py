"""Reads the site meter every second and keeps the last sample for the cycle."""

from __future__ import annotations

import asyncio

import structlog

from farmctl.core.fleet import NO_METER, MeterSample
from farmctl.core.model import Quality
from farmctl.core.units import MS_PER_S
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
            log.info("meter_back" if good else "meter_lost", quality=sample.quality.value)
        self._good = good
        if good and sample.power_w > self.limit_w:
            self._wake.set()
