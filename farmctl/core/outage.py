"""A grid outage that was seen: what the grid had ordered before it counts no more, until the grid was asked again.

SIGNALS section 7 and OpenADR 3.1 User Guide 8.10.1: discard every received limit, use the standing allocation, poll
again; until that succeeds no more than the fail-safe limit.  An EMERGENCY is kept.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from farmctl.core.events import TERMINAL, EventTrack, Transition, moved
from farmctl.core.fleet import FleetView
from farmctl.core.grid import EventClass, EventState, LinkStatus, OptReason
from farmctl.core.reasons import Reason
from farmctl.core.units import NEVER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One outage, until every live source has told again what holds."""

    since_ms: int
    back_ms: int = NEVER_MS
    """When the supply was seen again; -1 while it is gone."""


def watched(outage: Outage | None, view: FleetView, now_ms: int) -> Outage | None:
    """The outage one cycle later; None where there is none, and on a site that nobody orders about."""
    if not view.rules.grid_expected:
        return None
    if view.meter.supply_gone:
        return replace(outage, back_ms=NEVER_MS) if outage is not None else Outage(since_ms=now_ms)
    if outage is None:
        return None
    if outage.back_ms == NEVER_MS:
        return replace(outage, back_ms=now_ms)
    told = [_told_ms(link) > outage.back_ms for link in view.links if link.confirmed]
    return None if told and all(told) else outage


def discarded(
    tracks: tuple[EventTrack, ...], sources: Collection[str], now_ms: int
) -> tuple[tuple[EventTrack, ...], list[Transition]]:
    """Without the orders of these sources; a standing allocation, a rehearsal and an EMERGENCY stay."""
    kept: list[EventTrack] = []
    moves: list[Transition] = []
    for track in tracks:
        after = track
        if track.state not in TERMINAL and track.event.source in sources and _is_order(track):
            ended = moved(track, EventState.OPTED_OUT, now_ms, Reason.GRID_OUTAGE)
            after = replace(ended, word=OptReason.OUTAGE.value)
            event = after.event
            moves.append(Transition(track=after, msg_id=event.msg_id, epoch=event.epoch, seq=event.seq))
        kept.append(after)
    return tuple(kept), moves


def _is_order(track: EventTrack) -> bool:
    event = track.event
    if event.event_class in (EventClass.EMERGENCY, EventClass.TEST):
        return False
    return any(i.limit_w is not None or i.setpoint_w is not None for i in event.intervals)


def _told_ms(link: LinkStatus) -> int:
    return link.last_valid_ms if link.told_all_ms is None else link.told_all_ms
