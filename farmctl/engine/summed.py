"""What headquarters tells upwards: the sum of its sites, said to be a sum, in place of a fleet of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from typing_extensions import override

from farmctl.core.fleet import NO_METER, MeterSample
from farmctl.core.grid import Ack
from farmctl.core.model import Quality
from farmctl.core.units import MS_PER_S
from farmctl.ports.grid import Capability, CapabilityUplink, GridEnd, Inbox, SiteState, Telemetry
from farmctl.ports.programme import SiteReport
from farmctl.ports.site import Clock, Meter

Reports = Callable[[], tuple[SiteReport, ...]]


class SumMeter(Meter):
    """All sites together; ESTIMATED as soon as one of them is silent, and then with its last figure.

    One that was never heard is counted at the most that it may draw.
    """

    def __init__(
        self, reports: Reports, sites: int, clock: Clock, stale_s: float, unheard_w: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`sites`: how many there should be; `unheard_w`: what those that never spoke may draw."""
        self.name = "programme"
        self._reports = reports
        self._sites = sites
        self._clock = clock
        self._stale_s = stale_s
        self._unheard_w = unheard_w

    @override
    async def read(self) -> MeterSample:
        reports, now_ms = self._reports(), self._clock.now_ms()
        if not reports:
            return NO_METER
        fresh = [r for r in reports if now_ms - r.at_ms <= self._stale_s * MS_PER_S and r.quality is Quality.OK]
        quality = Quality.OK if len(fresh) == self._sites else Quality.ESTIMATED
        power_w = sum(r.power_w for r in reports) + self._unheard_w()
        return MeterSample(power_w=power_w, at_ms=now_ms, quality=quality)

    @override
    async def close(self) -> None:
        """Nothing is held."""


class SummedUplink(GridEnd):
    """A source whose site is a programme: hash rate, miners and offers are those of all sites together."""

    def __init__(self, source: GridEnd, reports: Reports) -> None:
        self.name = source.name
        self._source = source
        self._reports = reports

    @override
    async def run(self, inbox: Inbox) -> None:
        await self._source.run(inbox)

    @override
    async def ack(self, ack: Ack) -> None:
        await self._source.ack(ack)

    @override
    async def telemetry(self, telemetry: Telemetry) -> None:
        told = self._reports()
        await self._source.telemetry(
            replace(
                telemetry,
                power_source="SUMMED",
                min_w=sum(r.min_w for r in told),
                max_w=sum(r.max_w for r in told),
                up_available_w=sum(r.up_available_w for r in told),
                down_available_w=sum(r.down_available_w for r in told),
                ramp_down_w_per_s=sum(r.ramp_down_w_per_s for r in told),
                hash_rate_hs=sum(r.hash_rate_hs for r in told),
                on=sum(r.on for r in told),
                throttled=sum(r.throttled for r in told),
                sleep=sum(r.sleep for r in told),
                offline=sum(r.offline for r in told),
            )
        )

    @override
    async def site_state(self, state: SiteState) -> None:
        await self._source.site_state(state)

    async def capability(self, able: Capability) -> None:
        """As the source does it, where it does; a programme has no curve of its own to tell."""
        if isinstance(self._source, CapabilityUplink):
            told = self._reports()
            down = {s: sum(r.down_w_in_s.get(s, 0.0) for r in told) for s in able.down_w_in_s}
            up = {s: sum(r.up_w_in_s.get(s, 0.0) for r in told) for s in able.up_w_in_s}
            summed = replace(able, down_w_in_s=down, up_w_in_s=up, curve_w=(), curve_hs_per_w=())
            await self._source.capability(summed)
