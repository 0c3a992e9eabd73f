"""The programme's own manners: never a big step, and after a release every site waits its own while."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from farmctl.core.programme.sites import Bounds, Site, Terms, bounds
from farmctl.core.programme.split import Rule, Split, split

HASH_RANGE = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """Declared by the programme's operator."""

    step_w: float
    """The programme never moves more than this, up or down, ..."""
    window_s: float
    """... within this, except down in an emergency."""
    spread_s: float = 300.0
    """After a release each site waits between nothing and this, s, before it raises."""
    rule: Rule = Rule.COST
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The one figure, as it came."""

    figure_w: float
    event: str
    """Name of the signal that it is from."""
    emergency: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What was granted and drawn at one moment, W, by the sites that were heard then.

    A site that is not heard moves in the books only: when it falls silent or speaks again the sum jumps, and no power
    does.  Such a site is the same at both ends of every comparison, and holds no other site up or down.
    """

    at_s: float
    heard: Mapping[str, tuple[float, float]]
    """Site -> (granted, drawn); drawn as confirmed: sites follow at their own ramps, and both must keep the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeMemory:
    """What the next turn needs; headquarters keeps it with its journal."""

    totals: tuple[Total, ...] = ()
    """Of the last window, oldest first; the first is from before it."""
    released_s: float = float("-inf")
    """When the last curtailment was released."""
    release: str = ""
    """Its name: each release deals out other waits."""
    wanted: Wanted | None = None
    """The figure of the turn before; None at the first."""


def window(memory: ProgrammeMemory, sites: Sequence[Site], manners: Manners) -> tuple[float, float]:
    """Least and most that may be granted in all now, W: within one step of every total of the window."""
    now = {
        site.name: (site.worst_w, site.confirmed_w) if _heard(site, manners) else (site.worst_w, site.worst_w)
        for site in sites
    }
    fresh = {site.name for site in sites if _heard(site, manners)}
    totals_w = [
        sum(total.heard.get(name, both)[which] if name in fresh else both[which] for name, both in now.items())
        for total in memory.totals
        for which in (0, 1)
    ]
    return max(totals_w) - manners.step_w, min(totals_w) + manners.step_w


def wait_s(release: str, site: str, spread_s: float) -> float:
    """A site's wait after a release, s: spread evenly, the same again on replay, another with every release."""
    digest = hashlib.sha256(f"{release}/{site}".encode()).digest()
    return spread_s * int.from_bytes(digest[:8], "big") / HASH_RANGE


def govern(
    memory: ProgrammeMemory, sites: tuple[Site, ...], wanted: Wanted, manners: Manners, now_s: float, turn: int = 0
) -> tuple[ProgrammeMemory, Split]:
    """Share the figure out as far as manners allow now.

    A raise is granted only as far as the others have confirmed to be below: the sum of what every site may draw at
    worst never rises above the larger of the figure and what it was.
    """
    figure_w, emergency = wanted.figure_w, wanted.emergency
    if not memory.totals:
        memory = replace(memory, totals=(_total(sites, {s.name: s.worst_w for s in sites}, manners, now_s),))
    memory = _aged(_released(memory, sites, wanted, now_s), manners, now_s)
    least_w, most_w = window(memory, sites, manners)
    aim_w = min(figure_w, most_w) if emergency else min(max(figure_w, least_w), most_w)
    ranges = {site.name: _range(memory, site, manners, now_s, emergency=emergency) for site in sites}
    granted = _after_the_givers(split(sites, ranges, aim_w, manners.rule, turn), sites, aim_w)
    total_w = granted.total_w
    told = replace(
        granted, figure_w=figure_w, short_w=max(figure_w - total_w, 0.0), over_w=max(total_w - figure_w, 0.0)
    )
    total = _total(sites, {share.site: share.share_w for share in told.shares}, manners, now_s)
    return replace(memory, totals=(*memory.totals, total)), told


def _total(sites: Sequence[Site], granted_w: Mapping[str, float], manners: Manners, now_s: float) -> Total:
    heard = {s.name: (granted_w[s.name], s.confirmed_w) for s in sites if _heard(s, manners)}
    return Total(at_s=now_s, heard=heard)


def _heard(site: Site, manners: Manners) -> bool:
    return site.age_s <= manners.terms.stale_s


def _after_the_givers(wanted: Split, sites: tuple[Site, ...], aim_w: float) -> Split:
    """Raises wait until there is room beside what everybody may still draw; lowering never waits."""
    was_w = {site.name: site.worst_w for site in sites}
    rises_w = {share.site: max(share.share_w - was_w[share.site], 0.0) for share in wanted.shares}
    asked_w = sum(rises_w.values())
    room_w = max(aim_w - sum(was_w.values()), 0.0)
    if asked_w <= room_w:
        return wanted
    part = room_w / asked_w
    shares = tuple(
        replace(share, share_w=was_w[share.site] + part * rises_w[share.site], why="giver_not_confirmed")
        if rises_w[share.site] > 0
        else share
        for share in wanted.shares
    )
    return replace(wanted, shares=shares)


def _range(memory: ProgrammeMemory, site: Site, manners: Manners, now_s: float, *, emergency: bool) -> Bounds:
    held = now_s < memory.released_s + wait_s(memory.release, site.name, manners.spread_s)
    return bounds(site, manners.terms, emergency=emergency, held=held)


def _released(memory: ProgrammeMemory, sites: tuple[Site, ...], wanted: Wanted, now_s: float) -> ProgrammeMemory:
    """A release: no limit any more after one, or a higher figure after an emergency; other rises are just followed."""
    before, could_w = memory.wanted, sum(min(site.max_w, site.veto_w) for site in sites)
    if before is None or wanted.emergency or before.figure_w >= min(could_w, wanted.figure_w):
        return replace(memory, wanted=wanted)
    if before.emergency or wanted.figure_w >= could_w:
        memory = replace(memory, released_s=now_s, release=wanted.event)
    return replace(memory, wanted=wanted)


def _aged(memory: ProgrammeMemory, manners: Manners, now_s: float) -> ProgrammeMemory:
    """Keep what lies in the window, and the one before it: that total was still in force when the window began."""
    totals = memory.totals
    while len(totals) > 1 and totals[1].at_s <= now_s - manners.window_s:
        totals = totals[1:]
    return replace(memory, totals=totals)
