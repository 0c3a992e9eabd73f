"""Headquarters: one figure in, a share to every site out; once a second, and at once when the figure changes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from farmctl.core.programme.governor import Manners, ProgrammeMemory, Wanted, govern
from farmctl.core.programme.sites import Curve, Site
from farmctl.core.programme.split import Share, Split
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.engine.cycle import Picture
from farmctl.errors import StoreError
from farmctl.ports.programme import ProgrammePicture, ShareOrder, SiteLink, SiteReport, UnitView
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, Store

log = structlog.get_logger(__name__)

TURN_S = 1.0
RENEW_FRACTION = 0.5
"""A share is said again after this part of its validity."""
STEADY_FRACTION = 0.002
"""A rise by less of a site's most is not worth a message; every fall is."""
LEAST_FALL_W = 1.0
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One site of the programme, and what was agreed with it."""

    link: SiteLink
    rated_w: float
    floor_w: float = 0.0


class Headquarters:
    """Shares out what the cycle decided for the programme as a whole; a site's own limits always win."""

    def __init__(
        self, units: Sequence[Unit], manners: Manners, store: Store, clock: Clock, *, holds_s: int, rated_w: float
    ) -> None:
        self._units = tuple(units)
        self._manners = manners
        self._store = store
        self._clock = clock
        self._holds_s = holds_s
        self._rated_w = rated_w
        self._memory = ProgrammeMemory()
        self._wanted: Wanted | None = None
        self._changed = asyncio.Event()
        self._orders: dict[str, tuple[ShareOrder, int]] = {}
        """Site -> its newest order, and when it was given, ms."""
        self._number = 0
        self._now_s = 0.0
        self.latest: ProgrammePicture | None = None
        self._silent = frozenset[str]()
        self._began_s = math.inf

    def see(self, picture: Picture) -> None:
        """Take the programme's figure from a cycle's decision."""
        budget = picture.decision.budget
        self.want(
            Wanted(
                figure_w=min(budget.target_w, self._rated_w),
                event=budget.event_id or budget.source,
                emergency=budget.emergency,
            )
        )

    def want(self, wanted: Wanted) -> None:
        """The figure from now on; the next turn begins at once."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    async def turn(self) -> None:
        """Split once, and tell the sites whose share is news."""
        if self._wanted is not None:
            await self._turn(self._wanted)

    async def run(self) -> None:
        """Keep the links and deal out shares until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for unit in self._units:
                tasks.create_task(unit.link.run())
            tasks.create_task(self._turns())

    async def _turns(self) -> None:
        while True:
            self._changed.clear()
            await self.turn()
            try:
                async with asyncio.timeout(TURN_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _turn(self, wanted: Wanted) -> None:
        now_ms = self._clock.now_ms()
        self._now_s = max(self._now_s, now_ms / MS_PER_S)  # a clock that is put back stops no window
        reports = [unit.link.report() for unit in self._units]
        sites = tuple(seen(unit, report, now_ms) for unit, report in zip(self._units, reports, strict=True))
        self._say_silent(sites)
        turn = int(self._now_s // SECONDS_PER_DAY)
        self._memory, told = govern(self._memory, sites, wanted, self._manners, self._now_s, turn)
        await self._order(told, wanted, sites, now_ms)
        self.latest = ProgrammePicture(
            at_ms=now_ms,
            wanted=wanted,
            split=told,
            units=tuple(
                UnitView(
                    name=site.name, rated_w=unit.rated_w, share=share, site=site, report=report, link=unit.link.view()
                )
                for unit, share, site, report in zip(self._units, told.shares, sites, reports, strict=True)
            ),
        )

    def _say_silent(self, sites: Sequence[Site]) -> None:
        """Once for each site that falls silent, and once when it speaks again."""
        stale_s = self._manners.terms.stale_s
        self._began_s = min(self._began_s, self._now_s)
        just_begun = self._now_s - self._began_s < stale_s
        silent = {s.name: s for s in sites if s.age_s > stale_s and not (just_begun and math.isinf(s.age_s))}
        for name in sorted(silent.keys() - self._silent):
            age_s = round(silent[name].age_s) if math.isfinite(silent[name].age_s) else "never heard"
            log.warning("site_silent", site=name, age_s=age_s, counted_kw=round(silent[name].worst_w / WATTS_PER_KW, 1))
        for name in sorted(self._silent - silent.keys()):
            log.info("site_heard", site=name)
        self._silent = frozenset(silent)

    async def _order(self, told: Split, wanted: Wanted, sites: Sequence[Site], now_ms: int) -> None:
        """Journal a new split, then send it; what cannot be made durable only lowers."""
        news = [
            (unit, share)
            for unit, share in zip(self._units, told.shares, strict=True)
            if self._is_news(unit, share, wanted, now_ms)
        ]
        if not news:
            return
        durable = await self._journal(told, wanted, sites, now_ms)
        for unit, share in news:
            before = self._orders.get(unit.link.name)
            if not durable and (before is None or share.share_w > before[0].share_w):
                continue
            self._number += 1
            order = ShareOrder(
                number=self._number, share_w=share.share_w, emergency=wanted.emergency, holds_s=self._holds_s
            )
            self._orders[unit.link.name] = (order, now_ms)
            unit.link.want(order)

    def _is_news(self, unit: Unit, share: Share, wanted: Wanted, now_ms: int) -> bool:
        found = self._orders.get(unit.link.name)
        if found is None:
            return True
        order, given_ms = found
        old = now_ms - given_ms >= RENEW_FRACTION * self._holds_s * MS_PER_S
        rise_w = share.share_w - order.share_w
        moved = rise_w > STEADY_FRACTION * unit.rated_w or rise_w <= -LEAST_FALL_W
        return old or moved or order.emergency is not wanted.emergency

    async def _journal(self, told: Split, wanted: Wanted, sites: Sequence[Site], now_ms: int) -> bool:
        record = JournalRecord(kind=RecordKind.SHARES, at_ms=now_ms, body=shares_body(told, wanted, sites))
        try:
            await self._store.append([record])
        except StoreError as error:
            log.error("shares_not_journalled", error=str(error), effect="no site is raised, lowering goes on")  # noqa: TRY400 - the store's message says all
            return False
        return True


def seen(unit: Unit, report: SiteReport | None, now_ms: int) -> Site:
    """A site as the split sees it; one that has never spoken is stale and counts at its worst."""
    granted_w = unit.link.granted_w()
    if report is None:
        return Site(
            name=unit.link.name,
            curve=_line(0.0, unit.rated_w, 0.0),
            confirmed_w=0.0,
            age_s=math.inf,
            granted_w=granted_w,
            up_w_per_s=0.0,
            down_w_per_s=0.0,
            floor_w=unit.floor_w,
        )
    return Site(
        name=unit.link.name,
        curve=_curve(report),
        confirmed_w=report.power_w,
        age_s=(now_ms - report.at_ms) / MS_PER_S,
        granted_w=granted_w,
        up_w_per_s=report.ramp_up_w_per_s,
        down_w_per_s=report.ramp_down_w_per_s,
        floor_w=unit.floor_w,
        veto_w=min(report.own_limit_w, unit.rated_w),
    )


def shares_body(told: Split, wanted: Wanted, sites: Sequence[Site]) -> dict[str, JsonValue]:
    """The split with all that it was made from, so that it can be made again."""
    return {
        "figure_w": round(told.figure_w),
        "event": wanted.event,
        "emergency": wanted.emergency,
        "rule": told.rule.value,
        "turn": told.turn,
        "short_w": round(told.short_w),
        "over_w": round(told.over_w),
        "shares": [
            {
                "site": share.site,
                "share_w": round(share.share_w),
                "why": share.why,
                "confirmed_w": round(site.confirmed_w),
                "granted_w": round(site.granted_w),
                "age_s": round(site.age_s, 1) if math.isfinite(site.age_s) else None,
                "min_w": round(site.min_w),
                "max_w": round(site.max_w),
                "veto_w": round(site.veto_w) if math.isfinite(site.veto_w) else None,
            }
            for share, site in zip(told.shares, sites, strict=True)
        ],
    }


def _curve(report: SiteReport) -> Curve:
    """The site's own curve within what it can do now; a straight line where it tells none, or none that can be."""
    low_w, high_w = min(report.min_w, report.max_w), max(report.min_w, report.max_w)
    points = np.array(report.curve_w)
    if len(points):
        power_w = np.clip(points, low_w, high_w)
        power_w[0], power_w[-1] = low_w, high_w  # the curve comes every 5 min, its ends every 2 s
        try:
            return Curve(power_w=power_w, marginal_hs_per_w=np.array(report.curve_hs_per_w))
        except ValueError as fault:
            log.debug("curve_refused", fault=str(fault))
    mean = report.hash_rate_hs / report.power_w if report.power_w > 0 else 0.0
    return _line(low_w, high_w, mean)


def _line(low_w: float, high_w: float, marginal: float) -> Curve:
    return Curve(power_w=np.array([low_w, high_w]), marginal_hs_per_w=np.array([0.0, marginal]))
