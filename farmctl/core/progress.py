"""How live events fare against the measured power: ramping, reached, deviating, superseded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from farmctl.core.events import TERMINAL, EventTrack, Transition, moved
from farmctl.core.fleet import FleetView
from farmctl.core.grid import EventClass, EventState
from farmctl.core.memory import Memory
from farmctl.core.meter_loop import SitePower
from farmctl.core.model import Budget
from farmctl.core.modes import LinkFacts, in_failsafe
from farmctl.core.proposals import in_boot_grace
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S

S = EventState
TOLERANCE_FRACTION = 0.02
TOLERANCE_W = 100_000.0
"""Contract default where an event states none: max(2 % of the set-point, 100 kW)."""
LIMIT_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All tracks after this cycle, and the moves made."""

    tracks: tuple[EventTrack, ...]
    moves: tuple[Transition, ...]


def shadow(tracks: tuple[EventTrack, ...], budget: Budget, now_ms: int) -> Judged:
    """Losers of the set-point end as SUPERSEDED, unless they hold a limit that still counts."""
    losers = [wish.event_id for wish in budget.lost if wish.reason is Reason.LOWER_PRIORITY and wish.event_id]
    # An operator's set-point hides the best of the grid's, it does not end it; they are in order of rank.
    lost = set(losers if budget.event_id else losers[1:])
    kept: list[EventTrack] = []
    moves: list[Transition] = []
    for track in tracks:
        after = track
        if track.live and track.event.event_id in lost and track.event.event_class is not EventClass.EMERGENCY:
            interval = track.event.at(now_ms)
            if interval is not None and interval.limit_w is not None:
                after = replace(track, shadowed=True)
            else:
                after = moved(track, S.SUPERSEDED, now_ms, Reason.SUPERSEDED)
                moves.append(_told(after))
        kept.append(after)
    return Judged(tracks=tuple(kept), moves=tuple(moves))


def judge(tracks: tuple[EventTrack, ...], budget: Budget, site: SitePower, now_ms: int) -> Judged:
    """Move every live event along by the 10-s mean of the measured power."""
    kept: list[EventTrack] = []
    moves: list[Transition] = []
    for track in tracks:
        after = _judged(track, budget, site, now_ms) if track.live and track.state not in TERMINAL else track
        if after is not track and after.state is not track.state:
            moves.append(_told(after))
        kept.append(after)
    return Judged(tracks=tuple(kept), moves=tuple(moves))


def hindrance(memory: Memory, view: FleetView, facts: LinkFacts, site: SitePower, now_ms: int) -> Reason | None:
    """The rung of the fail-safe ladder on which the site stands; None for none."""
    if facts.outage:
        return Reason.GRID_OUTAGE
    if in_failsafe(facts, memory.mode) and not in_boot_grace(memory, now_ms):
        return Reason.SIGNAL_STALE if facts.lost else Reason.BOOT_FAILSAFE
    lost = not site.metered and now_ms - memory.booted_ms > view.rules.meter_stale_s * MS_PER_S
    return Reason.METER_LOST_GUARD if lost else None


def hinder(tracks: tuple[EventTrack, ...], why: Reason | None, moves: Iterable[Transition]) -> Judged:
    """Tell of every live event what hinders it now, or no more; an event that has just moved tells it with that."""
    moving = {(move.track.event.source, move.track.event.event_id) for move in moves}
    kept: list[EventTrack] = []
    told: list[Transition] = []
    for track in tracks:
        after = track
        if track.live and track.hindered is not why and track.event.event_class is not EventClass.TEST:
            after = replace(track, hindered=why)
            if (track.event.source, track.event.event_id) not in moving:
                told.append(_told(after))
        kept.append(after)
    return Judged(tracks=tuple(kept), moves=tuple(told))


def tolerance_w(track: EventTrack, setpoint_w: float) -> float:
    """Half-width of the band around the set-point, W."""
    stated = track.event.tolerance_w
    return stated if stated is not None else max(TOLERANCE_FRACTION * setpoint_w, TOLERANCE_W)


def _judged(track: EventTrack, budget: Budget, site: SitePower, now_ms: int) -> EventTrack:
    inside = _inside(track, budget, site, now_ms)
    test = track.event.event_class is EventClass.TEST
    if inside is None or test:
        return track
    if inside:
        return track if track.state is S.REACHED else moved(track, S.REACHED, now_ms)
    overdue = now_ms - _statement_ms(track, now_ms) > track.event.respond_within_s * MS_PER_S
    match track.state:
        case S.ACTIVE:
            return moved(track, S.RAMPING, now_ms)
        case S.RAMPING | S.REACHED if overdue:
            return moved(track, S.DEVIATING, now_ms)
        case _:
            return track


def _inside(track: EventTrack, budget: Budget, site: SitePower, now_ms: int) -> bool | None:
    """The mean is where this event wants it, as it is where it states no power; None where it has no interval now."""
    event, mean = track.event, site.mean_10s_w
    interval = event.at(now_ms)
    if interval is None and event.event_class is EventClass.EMERGENCY:
        interval = event.intervals[-1]
    if interval is None or math.isnan(mean):
        return None
    verdicts: list[bool] = []
    if interval.limit_w is not None:
        verdicts.append(mean <= max(interval.limit_w * (1.0 + LIMIT_TOLERANCE), budget.floor_w))
    if interval.setpoint_w is not None and not track.shadowed:
        target_w = min(max(interval.setpoint_w, budget.floor_w), budget.ceiling_w)
        verdicts.append(abs(mean - target_w) <= tolerance_w(track, target_w))
    if interval.subscription_w is not None:
        verdicts.append(mean <= max(interval.subscription_w * (1.0 + LIMIT_TOLERANCE), budget.floor_w))
    return all(verdicts)


def _statement_ms(track: EventTrack, now_ms: int) -> int:
    """Since when the event says what it says now: its interval's start, or when it became active."""
    interval = track.event.at(now_ms)
    return max(track.since_ms if track.state is S.RAMPING else 0, interval.start_ms if interval else 0)


def _told(track: EventTrack) -> Transition:
    event = track.event
    return Transition(track=track, msg_id=event.msg_id, epoch=event.epoch, seq=event.seq)
