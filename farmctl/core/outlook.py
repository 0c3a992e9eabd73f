"""What is known of the hours ahead: when, by the intervals already received, the target will fall."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from farmctl.core.budget import arbitrate
from farmctl.core.events import TERMINAL, EventTrack
from farmctl.core.fleet import FleetView
from farmctl.core.grid import EventClass, EventState
from farmctl.core.memory import Memory
from farmctl.core.model import Budget
from farmctl.core.modes import LinkFacts
from farmctl.core.proposals import proposals
from farmctl.core.units import MS_PER_S

HORIZON_MS = 900_000
"""No miner takes longer to wake and to be worth it."""
MOST_PLANNED = 60
EDGES = 6
"""Edges looked at; more within the horizon are the regulation kind, for which nobody is woken anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The next known fall of the target."""

    falls_in_s: float
    """Infinite where none is known within the horizon."""
    falls_to_w: float

    @property
    def clear(self) -> bool:
        """No fall is known within the horizon."""
        return math.isinf(self.falls_in_s)


CLEAR = Outlook(falls_in_s=math.inf, falls_to_w=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """From here on, by what is known now, this is what arbitration would say."""

    at_ms: int
    budget: Budget


def planned(memory: Memory, view: FleetView, facts: LinkFacts, now_ms: int, until_ms: int) -> tuple[Planned, ...]:
    """The budget from now on, one entry per change up to `until_ms`; links are taken to stay as they are.

    Overrides end and events begin and end when they say so; at most `MOST_PLANNED` edges are looked at.
    """
    ends = (order.expires_ms for order in view.overrides)
    edges = sorted({*_edges(memory.tracks, now_ms, until_ms), *(e for e in ends if now_ms < e <= until_ms)})
    found: list[Planned] = []
    for at_ms in (now_ms, *edges[:MOST_PLANNED]):
        then = replace(memory, tracks=tuple(_aged(track, at_ms) for track in memory.tracks))
        budget = arbitrate(proposals(then, view, facts, at_ms), view.rules, guarded=False)
        if not found or _said(found[-1].budget) != _said(budget):
            found.append(Planned(at_ms=at_ms, budget=budget))
    return tuple(found)


def outlook(memory: Memory, view: FleetView, facts: LinkFacts, target_w: float, now_ms: int) -> Outlook:
    """The first known edge at which the target falls below `target_w`, and the lowest it falls to from there."""
    lows: list[tuple[int, float]] = []
    for at_ms in _edges(memory.tracks, now_ms, now_ms + HORIZON_MS)[:EDGES]:
        then = replace(memory, tracks=tuple(_aged(track, at_ms) for track in memory.tracks))
        budget = arbitrate(proposals(then, view, facts, at_ms), view.rules, guarded=False)
        if budget.target_w < target_w:
            lows.append((at_ms, budget.target_w))
    if not lows:
        return CLEAR
    return Outlook(falls_in_s=(lows[0][0] - now_ms) / MS_PER_S, falls_to_w=min(low for _, low in lows))


def _said(budget: Budget) -> tuple[float, float, str]:
    return budget.target_w, budget.ceiling_w, budget.event_id


def _edges(tracks: tuple[EventTrack, ...], now_ms: int, until_ms: int) -> list[int]:
    """Every moment up to a horizon at which some event says something else."""
    edges = {
        edge
        for track in tracks
        if track.state not in TERMINAL and track.event.event_class is not EventClass.TEST
        for interval in track.event.intervals
        for edge in (interval.start_ms, min(interval.end_ms, track.event.expires_ms))
    }
    return sorted(edge for edge in edges if now_ms < edge <= until_ms)


def _aged(track: EventTrack, at_ms: int) -> EventTrack:
    if track.state in TERMINAL:
        return track
    event = track.event
    if event.start_ms <= at_ms < event.end_ms or (track.live and event.event_class is EventClass.EMERGENCY):
        return track if track.live else replace(track, state=EventState.ACTIVE)
    return replace(track, state=EventState.SCHEDULED)
