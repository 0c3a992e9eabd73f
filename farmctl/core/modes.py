"""Site modes: the table of allowed changes, and which mode the facts of this cycle give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farmctl.core.fleet import FleetView
from farmctl.core.grid import LinkStatus, SiteMode
from farmctl.core.units import MS_PER_S

M = SiteMode
_COMPUTED = frozenset({M.AUTONOMOUS, M.FOLLOWING, M.LIMITED})
_LOCAL = frozenset({M.LOCAL_OVERRIDE, M.MAINTENANCE})

TRANSITIONS: dict[SiteMode, frozenset[SiteMode]] = {
    M.INIT_FAILSAFE: _COMPUTED | _LOCAL | {M.EMERGENCY},
    M.AUTONOMOUS: _COMPUTED | _LOCAL | {M.EMERGENCY, M.FAILSAFE},
    M.FOLLOWING: _COMPUTED | _LOCAL | {M.EMERGENCY, M.FAILSAFE},
    M.LIMITED: _COMPUTED | _LOCAL | {M.EMERGENCY, M.FAILSAFE},
    M.EMERGENCY: _COMPUTED | {M.FAILSAFE},
    M.FAILSAFE: _COMPUTED | _LOCAL | {M.EMERGENCY},
    M.LOCAL_OVERRIDE: _COMPUTED | _LOCAL | {M.EMERGENCY, M.FAILSAFE},
    M.MAINTENANCE: _COMPUTED | _LOCAL | {M.EMERGENCY, M.FAILSAFE},
}
"""SIGNALS section 5; INIT_FAILSAFE is entered by a restart only. A latched EMERGENCY hides the local modes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What the signal links say together."""

    expected: bool
    """A grid source is configured."""
    confirmed: bool
    """At least one source passed its boot or recovery test and is fresh."""
    lost: bool
    """Every source has been silent for longer than allowed."""
    age_ms: int | None
    """Age of the newest valid message, None before the first."""
    outage: bool = False
    """The supply was gone, and the grid has not told again yet what holds."""


def link_facts(view: FleetView, booted_ms: int, now_ms: int, *, outage: bool = False) -> LinkFacts:
    """Judge the links by the age of their last valid message, never by a last will."""
    stale_ms = view.rules.signal_stale_s * MS_PER_S
    heard = [link.last_valid_ms for link in view.links if link.last_valid_ms >= 0]
    newest = max(heard, default=booted_ms)
    return LinkFacts(
        expected=view.rules.grid_expected,
        confirmed=any(_alive(link, stale_ms, now_ms) for link in view.links),
        lost=now_ms - newest >= stale_ms,
        age_ms=now_ms - newest if heard else None,
        outage=outage,
    )


def next_mode(
    before: SiteMode,
    facts: LinkFacts,
    *,
    emergency: bool,
    override: bool,
    maintenance: bool,
    following: bool,
    limited: bool,
) -> SiteMode:
    """The mode of this cycle; never one that `TRANSITIONS` forbids.

    Fail-safe is left only when a source passes its recovery test; boot fail-safe too.
    """
    computed = M.FOLLOWING if following else M.LIMITED if limited else M.AUTONOMOUS
    if emergency:
        return M.EMERGENCY
    wanted = computed
    if in_failsafe(facts, before):
        wanted = M.INIT_FAILSAFE if before is M.INIT_FAILSAFE else M.FAILSAFE
    if before is not M.EMERGENCY:
        wanted = M.MAINTENANCE if maintenance else M.LOCAL_OVERRIDE if override else wanted
    if wanted is before or wanted in TRANSITIONS[before]:
        return wanted
    return before


def in_failsafe(facts: LinkFacts, mode_before: SiteMode) -> bool:
    """The fail-safe limit applies, also underneath an override mode, maintenance or an emergency.

    Only a mode that was computed from a confirmed link outlives a short silence.
    """
    if facts.outage:
        return True
    if not facts.expected or facts.confirmed:
        return False
    return facts.lost or mode_before not in _COMPUTED


def newest_link(links: Sequence[LinkStatus]) -> LinkStatus | None:
    """The link heard last."""
    return max(links, key=lambda link: link.last_valid_ms, default=None)


def _alive(link: LinkStatus, stale_ms: float, now_ms: int) -> bool:
    return link.confirmed and link.last_valid_ms >= 0 and now_ms - link.last_valid_ms < stale_ms
