"""One site of a programme, dispatched as any grid operator would: a share is a set-point and a limit in one event."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog
from typing_extensions import override

from farmctl.core.grid import EventState, SiteMode
from farmctl.core.model import Quality
from farmctl.core.units import HASHES_PER_TERAHASH, WATTS_PER_KW
from farmctl.errors import SilentPeerError
from farmctl.ports.programme import LinkView, ShareOrder, SiteLink, SiteReport
from farmctl.signals.kit.console import Console
from farmctl.signals.kit.voice import LIMIT, Wish

log = structlog.get_logger(__name__)

AGAIN_S = 1.0
REPORTS = ("DEMAND", "USAGE")
"""What a site tells of every minute of a share: mean power and energy at its meter, for settlement."""
SECONDS_PER_MINUTE = 60.0
MEASURED = frozenset({EventState.REACHED, EventState.COMPLETED})
"""States that a site tells only of what its own meter has shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTerms:
    """How a site is dispatched."""

    programme: str
    firm_w: float
    """What it may draw while nobody has told it anything, W."""
    speaks: bool = True
    """False: listen only."""
    signs_telemetry: bool = True
    """False: anybody may have written what it draws; only what its acks say they measured is proof."""


class SiteUnit(SiteLink):
    """Sends the newest figure, keeps the link alive, and knows which figures the site may still be following."""

    def __init__(self, terms: UnitTerms, console: Console) -> None:
        self.name = console.voice.site
        self._terms = terms
        self._console = console
        self._wanted: ShareOrder | None = None
        self._told: ShareOrder | None = None
        self._news = asyncio.Event()
        self._sent: list[tuple[str, float]] = []
        """(msgId, W) of figures without an answer, oldest first."""
        self._acked_w: float | None = None
        self._refused = ""
        self._connected = False
        self._event = f"{terms.programme}-share"
        self._emergency = f"{terms.programme}-emergency"
        self._before_w = self._stated_w()

    @override
    async def run(self) -> None:
        while True:
            try:
                async with self._console:
                    self._connected = True
                    if not self._terms.speaks:
                        await asyncio.Event().wait()
                    await self._console.speak()
                    await self._send_for_ever()
            except SilentPeerError as fault:
                if self._connected:
                    log.warning("site_link_lost", site=self.name, error=str(fault))
            finally:
                self._connected = False
            await self._console.clock.sleep(AGAIN_S)

    @override
    def want(self, order: ShareOrder) -> None:
        self._wanted = order
        self._news.set()

    @override
    def report(self) -> SiteReport | None:
        self._settle()
        said = self._console.heard.latest.get("telemetry")
        if said is None or not isinstance(said.body.get("kw"), int | float):
            return None
        state, able = self._body("state"), self._body("capability")
        report = _report(said.at_ms, said.body, able, self._own_limit_w(state))
        if report is None or self._terms.signs_telemetry:
            return report
        quality = Quality.ESTIMATED if report.quality is Quality.OK else report.quality
        return replace(report, power_w=max(report.power_w, self.granted_w()), quality=quality)

    @override
    def granted_w(self) -> float:
        self._settle()
        known = [watts for _, watts in self._sent]
        if self._acked_w is not None:
            known.append(self._acked_w)
        elif self._before_w is not None:
            known.append(self._before_w)
        else:
            known += [self._terms.firm_w, _watts(self._body("state").get("limitKw"), 0.0)]
        return max(known)

    @override
    def view(self) -> LinkView:
        self._settle()
        asked_w = self._told.share_w if self._told is not None else None
        return LinkView(
            connected=self._connected and self._console.online,
            asked_w=asked_w,
            acked_w=self._acked_w,
            refused=self._refused,
        )

    async def _send_for_ever(self) -> None:
        self._told = None  # whatever waited while the link was down is said anew
        while True:
            await self._news.wait()
            self._news.clear()
            order = self._wanted
            if order is not None and order != self._told:
                await self._tell(order)

    async def _tell(self, order: ShareOrder) -> None:
        name = self._emergency if order.emergency else self._event
        kw = math.floor(order.share_w) / WATTS_PER_KW
        wish = Wish(
            event_id=name,
            limit_kw=kw,
            target_kw=kw,
            event_class="EMERGENCY" if order.emergency else "TARGET",
            for_s=order.holds_s,
            priority=0 if order.emergency else 1,
            programme=self._terms.programme,
            reports=REPORTS,
        )
        await self._say(wish, order.share_w)
        if not order.emergency and self._emergency in self._console.book.live:
            # The share stands before the latch is released, so that nothing older counts in between; and is said again
            # after it, because a set-point that was outranked stays so until it is stated anew.
            await self._console.withdraw(self._emergency, release=True)
            await self._say(wish, order.share_w)
        self._told = order

    async def _say(self, wish: Wish, share_w: float) -> None:
        operation = "UPDATE" if wish.event_id in self._console.book.live else "CREATE"
        message = await self._console.create(wish, operation=operation)
        self._sent.append((str(message["object"]["x-farmctl"]["msgId"]), share_w))

    def _settle(self) -> None:
        """Take in what the site answered; a figure that it accepted settles all that were sent before it."""
        for said in self._console.heard.acks:
            number = next((n for n, (msg_id, _) in enumerate(self._sent) if msg_id == said.body.get("msgId")), None)
            state = said.body.get("state")
            if number is None or state == EventState.RECEIVED:
                continue
            if state != EventState.REJECTED and not self._terms.signs_telemetry and state not in MEASURED:
                continue  # it will obey; until it has, only forgeable telemetry would say what it still draws
            if state == EventState.REJECTED:
                del self._sent[number]
                self._refused = str(said.body.get("reason") or "refused")
                log.warning("site_refused_share", site=self.name, reason=self._refused)
            else:
                self._acked_w, self._refused = self._sent[number][1], ""
                self._sent = self._sent[number + 1 :]
        self._console.heard.acks.clear()

    def _stated_w(self) -> float | None:
        """The most that events of an earlier run of ours still allow; None where there are none."""
        stated = [
            float(payload["values"][0]) * WATTS_PER_KW
            for name, body in self._console.book.live.items()
            if name == self._event
            for payload in body["intervals"][0]["payloads"]
            if payload["type"] == LIMIT
        ]
        return max(stated, default=None)

    def _own_limit_w(self, state: Mapping[str, Any]) -> float:
        ours = {self._event, self._emergency}
        limits = [limit for limit in state.get("limitSources") or () if limit.get("eventId", "") not in ours]
        return min((_watts(limit.get("kw"), math.inf) for limit in limits), default=math.inf)

    def _body(self, channel: str) -> Mapping[str, Any]:
        said = self._console.heard.latest.get(channel)
        return {} if said is None else said.body


def _report(at_ms: int, told: Mapping[str, Any], able: Mapping[str, Any], own_limit_w: float) -> SiteReport | None:
    """None where the words are not those of this contract."""
    miners, power_w, curve = told.get("miners") or {}, _watts(told["kw"], 0.0), able.get("curve") or {}
    try:
        return SiteReport(
            at_ms=at_ms,
            power_w=power_w,
            min_w=_watts(told.get("minKw"), power_w),
            max_w=_watts(told.get("maxKw"), power_w),
            ramp_up_w_per_s=_watts(told.get("rampUpKwPerMin"), 0.0) / SECONDS_PER_MINUTE,
            ramp_down_w_per_s=_watts(told.get("rampDownKwPerMin"), 0.0) / SECONDS_PER_MINUTE,
            up_available_w=_watts(told.get("upAvailKw"), 0.0),
            down_available_w=_watts(told.get("downAvailKw"), 0.0),
            hash_rate_hs=float(told.get("hashThs") or 0.0) * HASHES_PER_TERAHASH,
            mode=SiteMode(str(told.get("mode"))),
            quality=Quality(str(told.get("quality"))),
            on=int(miners.get("on") or 0),
            throttled=int(miners.get("throttled") or 0),
            sleep=int(miners.get("sleep") or 0),
            offline=int(miners.get("offline") or 0),
            own_limit_w=own_limit_w,
            curve_w=tuple(_watts(kw, math.nan) for kw in curve.get("kw") or ()),
            curve_hs_per_w=tuple(
                float(ths) * HASHES_PER_TERAHASH / WATTS_PER_KW for ths in curve.get("thsPerKw") or ()
            ),
            down_w_in_s={int(s): _watts(kw, 0.0) for s, kw in (able.get("downKwIn") or {}).items()},
            up_w_in_s={int(s): _watts(kw, 0.0) for s, kw in (able.get("upKwIn") or {}).items()},
        )
    except (ValueError, TypeError, AttributeError):
        return None


def _watts(kw: object, otherwise: float) -> float:
    return float(kw) * WATTS_PER_KW if isinstance(kw, int | float) and math.isfinite(kw) else otherwise
