"""The sites of a programme, for people: what each is told and why, what it does, how old that is."""

from __future__ import annotations

import math

from farmctl.control.shapes import Answer, Shape
from farmctl.control.strip import rev_of
from farmctl.control.wire import Json
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, to_kw
from farmctl.ports.control import SitePicture
from farmctl.ports.programme import ProgrammePicture, UnitView

WHY = {
    "cost": "it hashes most with the next watt",
    "pro_rata": "all sites alike, as a part of what each can take",
    "rotation": "its turn in today's order",
    "full": "it can take no more",
    "least": "it can go no lower",
    "ramp_up": "as fast as it can rise",
    "ramp_down": "as fast as it can fall",
    "veto": "the site's own limit, which always wins",
    "floor": "its contract's floor",
    "restore_wait": "it waits its own while after a release",
    "giver_not_confirmed": "others have not confirmed yet that they are lower",
    "stale": "nothing was heard of it: it counts at its worst",
}
"""Word of a share -> what it means at three in the morning."""


class SiteRow(Shape):
    """One site of the programme."""

    name: str
    mode: str
    """UNKNOWN before it has spoken."""
    power_kw: float | None
    share_kw: float
    deviation_kw: float | None
    why: str
    help: str
    asked_kw: float | None
    acked_kw: float | None
    refused: str
    link_age_s: float | None
    connected: bool
    min_kw: float
    max_kw: float
    own_limit_kw: float | None
    rated_kw: float
    hash_rate_ths: float | None
    marginal_jth: float | None
    """Of the next watt by the site's own curve."""


class Sites(Answer):
    """The figure, and all that it was split into."""

    rev: int
    figure_kw: float
    event: str
    emergency: bool
    rule: str
    shared_kw: float
    power_kw: float
    short_kw: float
    over_kw: float
    rows: list[SiteRow]


def summed(shown: ProgrammePicture | None) -> Json:
    """What the strip of headquarters says in place of miners of its own; nothing for a site that has some."""
    if shown is None:
        return {}
    told = [unit.report for unit in shown.units if unit.report is not None and unit.share.why != "stale"]
    counts = {
        "hashing": sum(report.on for report in told),
        "throttled": sum(report.throttled for report in told),
        "curtailed": sum(report.sleep for report in told),
        "offline": sum(report.offline for report in told),
    }
    rate_hs = sum(report.hash_rate_hs for report in told)
    return {
        "miners": {"total": sum(counts.values()), **counts},
        "hash_rate_ths": round(rate_hs / HASHES_PER_TERAHASH, 1),
    }


def listed(shown: ProgrammePicture, picture: SitePicture, now_ms: int) -> Json:
    """`Sites` as JSON."""
    split = shown.split
    return {
        "rev": rev_of(picture),
        "figure_kw": to_kw(shown.wanted.figure_w),
        "event": shown.wanted.event,
        "emergency": shown.wanted.emergency,
        "rule": split.rule.value,
        "shared_kw": to_kw(split.total_w),
        "power_kw": to_kw(sum(unit.site.confirmed_w for unit in shown.units)),
        "short_kw": to_kw(split.short_w),
        "over_kw": to_kw(split.over_w),
        "rows": [_row(unit, now_ms) for unit in shown.units],
    }


def _row(unit: UnitView, now_ms: int) -> Json:
    report, site, link = unit.report, unit.site, unit.link
    return {
        "name": unit.name,
        "mode": "UNKNOWN" if report is None else report.mode.value,
        "power_kw": None if report is None else to_kw(report.power_w),
        "share_kw": to_kw(unit.share.share_w),
        "deviation_kw": None if report is None else to_kw(report.power_w - unit.share.share_w),
        "why": unit.share.why,
        "help": WHY.get(unit.share.why, unit.share.why),
        "asked_kw": None if link.asked_w is None else to_kw(link.asked_w),
        "acked_kw": None if link.acked_w is None else to_kw(link.acked_w),
        "refused": link.refused,
        "link_age_s": None if report is None else round((now_ms - report.at_ms) / MS_PER_S, 1),
        "connected": link.connected,
        "min_kw": to_kw(site.min_w),
        "max_kw": to_kw(site.max_w),
        "own_limit_kw": to_kw(site.veto_w) if math.isfinite(site.veto_w) else None,
        "rated_kw": to_kw(unit.rated_w),
        "hash_rate_ths": None if report is None else round(report.hash_rate_hs / HASHES_PER_TERAHASH, 1),
        "marginal_jth": _marginal_jth(unit),
    }


def _marginal_jth(unit: UnitView) -> float | None:
    curve, share_w = unit.site.curve, unit.share.share_w
    place = min(int((curve.power_w <= share_w).sum()), len(curve.power_w) - 1)
    hs_per_w = float(curve.marginal_hs_per_w[place])
    return round(HASHES_PER_TERAHASH / hs_per_w, 2) if hs_per_w > 0 else None
