"""Every wish about the site's power this cycle: events, standing allocation, fail-safe, operators, ratings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from farmctl.core.events import EventTrack
from farmctl.core.fleet import FleetView, SiteRules
from farmctl.core.grid import EventClass, GridEvent, Interval, SiteMode
from farmctl.core.memory import Memory
from farmctl.core.model import Override, Proposal
from farmctl.core.modes import LinkFacts, in_failsafe
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S

OPERATOR_PRIORITY = -1
"""An operator's set-point below the limits beats every grid set-point (LOCAL_OVERRIDE)."""
_SCHEDULED = frozenset(EventClass) - {EventClass.TEST, EventClass.EMERGENCY}
BOOT_GRACE_MS = 15_000
"""After a start the retained snapshot and the next heartbeat (10 s cadence) are waited for before
anything is lowered to the fail-safe level; nothing is raised meanwhile."""


def proposals(memory: Memory, view: FleetView, facts: LinkFacts, now_ms: int) -> tuple[Proposal, ...]:
    """All wishes, in no particular order."""
    return tuple(_wishes(memory, view, facts, now_ms))


def in_boot_grace(memory: Memory, now_ms: int) -> bool:
    """Just started: the fail-safe level is not applied yet, and nothing is raised."""
    return now_ms - memory.booted_ms < BOOT_GRACE_MS


def live_overrides(view: FleetView, now_ms: int) -> tuple[Override, ...]:
    """Overrides of the whole site that have not expired."""
    return tuple(o for o in view.overrides if not (o.selector or o.miners) and o.set_at_ms <= now_ms < o.expires_ms)


def held_circuits(view: FleetView, now_ms: int) -> dict[str, float]:
    """Circuit -> W that operators hold it at, the lowest where there are several."""
    held: dict[str, float] = {}
    for order in view.overrides:
        if order.selector and order.set_at_ms <= now_ms < order.expires_ms:
            held[order.selector] = min(held.get(order.selector, order.target_w), order.target_w)
    return held


def narrowed(view: FleetView, now_ms: int) -> FleetView:
    """The view whose circuits carry no more than operators hold them at: such an override is a rating for a time.

    Like a rating it lowers at once and forbids to raise; the site's own target stays, so others make up for it.
    """
    held, tree = held_circuits(view, now_ms), view.circuits
    if not held:
        return view
    limits_w = np.array([held.get(name, np.inf) for name in tree.names])
    return replace(view, circuits=replace(tree, rating_w=np.minimum(tree.rating_w, limits_w)))


def _wishes(memory: Memory, view: FleetView, facts: LinkFacts, now_ms: int) -> Iterator[Proposal]:
    rules = view.rules
    yield _ceiling("site", Reason.SITE_RATING, rules.rated_w)
    standing_w = _standing_w(memory, view, now_ms)
    yield _ceiling("standing", Reason.STANDING_ALLOCATION, standing_w)
    failsafe = in_failsafe(facts, memory.mode)
    if facts.outage:
        firm_w = min(_configured_w(rules), rules.failsafe_limit_w)
        yield _ceiling("fail-safe", Reason.GRID_OUTAGE, firm_w, urgent=True)
    elif failsafe and not in_boot_grace(memory, now_ms) and not _follows_schedule(memory, view, now_ms):
        reason = Reason.SIGNAL_STALE if facts.lost else Reason.BOOT_FAILSAFE
        yield _ceiling("fail-safe", reason, rules.failsafe_limit_w, urgent=True)
    for track in memory.tracks:
        if track.live and track.event.event_class is not EventClass.TEST:
            yield from _event(track, rules, now_ms, holding=failsafe)
    for limit in memory.held:
        yield _ceiling(limit.source, Reason.LIMITED, limit.limit_w, urgent=True)
    for override in live_overrides(view, now_ms):
        yield Proposal(
            source=f"override:{override.owner}",
            reason=Reason.OVERRIDE,
            priority=OPERATOR_PRIORITY,
            newer_ms=override.set_at_ms,
            target_w=override.wanted_w(now_ms),
            expires_ms=override.expires_ms,
            urgent=True,
        )
    if view.stop_all:
        yield _ceiling("operator", Reason.STOP_ALL, 0.0, urgent=True)


def _follows_schedule(memory: Memory, view: FleetView, now_ms: int) -> bool:
    """By agreement with the operator a statement received before the loss still holds (SIGNALS section 7).

    Not at boot, where nothing is confirmed; nothing is raised meanwhile, and after it the firm level is taken.
    """
    if not view.rules.follows_schedule or memory.mode is SiteMode.INIT_FAILSAFE:
        return False
    intervals = [
        track.event.at(now_ms) for track in memory.tracks if track.live and track.event.event_class in _SCHEDULED
    ]
    return any(i is not None and (i.limit_w is not None or i.setpoint_w is not None) for i in intervals)


def _ceiling(source: str, reason: Reason, ceiling_w: float, *, urgent: bool = False) -> Proposal:
    return Proposal(
        source=source, reason=reason, priority=0, newer_ms=0, ceiling_w=ceiling_w, target_w=None, urgent=urgent
    )


def _standing_w(memory: Memory, view: FleetView, now_ms: int) -> float:
    """Standing allocation: the newest live subscription, else the configured one, else the firm level."""
    granted = [
        (track.event.created_ms, interval.subscription_w)
        for track in memory.tracks
        if track.live and (interval := track.event.at(now_ms)) and interval.subscription_w is not None
    ]
    if granted:
        return max(granted)[1]
    return _configured_w(view.rules)


def _configured_w(rules: SiteRules) -> float:
    if rules.standing_w is not None:
        return rules.standing_w
    return rules.failsafe_limit_w if rules.grid_expected else rules.rated_w


def _event(track: EventTrack, rules: SiteRules, now_ms: int, *, holding: bool) -> Iterator[Proposal]:
    event = track.event
    interval = event.at(now_ms)
    if event.event_class is EventClass.EMERGENCY:
        interval = interval or event.intervals[-1]
    if interval is None:
        return
    emergency = event.event_class is EventClass.EMERGENCY
    reason = Reason.EMERGENCY if emergency else Reason.LIMITED
    if interval.limit_w is not None:
        ceiling_w = _ramped_w(track, interval, interval.limit_w, event.ramp_down_w_per_s, now_ms)
        yield _of_event(event, reason, ceiling_w=ceiling_w)
    if interval.setpoint_w is not None and not track.shadowed:
        if emergency:
            yield _of_event(event, reason, ceiling_w=interval.setpoint_w)
        held = Reason.HOLDING_SCHEDULE if holding else Reason.FOLLOWING
        # A limit protects the grid: it is never slower than its event says. A set-point may take the site's own ramp.
        rate = rules.ramp_down_w_per_s if event.ramp_down_w_per_s is None else event.ramp_down_w_per_s
        setpoint_w = _ramped_w(track, interval, interval.setpoint_w, rate, now_ms)
        yield _of_event(event, reason if emergency else held, target_w=setpoint_w)


def _ramped_w(track: EventTrack, interval: Interval, stated_w: float, rate: float | None, now_ms: int) -> float:
    """The statement on its way down at `rate`, W per second; an EMERGENCY has no ramp."""
    event = track.event
    if rate is None or event.event_class is EventClass.EMERGENCY or track.from_w is None:
        return stated_w
    place = event.intervals.index(interval)
    before = event.intervals[place - 1] if place else None
    stated_before = [w for w in (before.setpoint_w, before.limit_w) if w is not None] if before else []
    since_ms = max(interval.start_ms, track.active_ms)
    start_w = min([track.from_w, *stated_before]) if since_ms > track.active_ms else track.from_w
    return max(stated_w, start_w - rate * (now_ms - since_ms) / MS_PER_S)


def _of_event(
    event: GridEvent, reason: Reason, *, ceiling_w: float | None = None, target_w: float | None = None
) -> Proposal:
    return Proposal(
        source=event.source,
        reason=reason,
        priority=event.priority,
        newer_ms=event.created_ms,
        ceiling_w=ceiling_w,
        target_w=target_w,
        expires_ms=event.expires_ms,
        event_id=event.event_id,
        urgent=event.event_class in (EventClass.EMERGENCY, EventClass.LIMIT),
        economic=event.event_class is EventClass.ECONOMIC,
    )
