"""The strip: are we where the grid wants us, what decides, what is wrong; and the lists of alarms and events."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from farmctl.control import leases
from farmctl.control.roster import state_codes
from farmctl.control.wire import Json, iso
from farmctl.core.alarms import AlarmState
from farmctl.core.capability import capability
from farmctl.core.events import TERMINAL, EventTrack
from farmctl.core.grid import SiteMode
from farmctl.core.model import MinerState, Override
from farmctl.core.reasons import HELP
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, to_kw
from farmctl.ports.control import Lease, SitePicture
from farmctl.ports.shards import Crew

FRESH_S = 5.0
"""A picture older than this is not live (OPERATIONS section 3)."""

_BY_THE_CLOCK = frozenset({"starts_in_s", "ends_in_s", "elapsed_s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the configuration says about the site that no picture holds."""

    name: str
    timezone: str = "UTC"
    policy: str = "efficiency_first"
    confirm_fraction: float = 0.1
    """Share of the rated power above which a change must name the site."""
    sites: int = 0
    """Sites of the programme whose headquarters this is; 0: miners of its own."""
    crew: Callable[[], Crew | None] = lambda: None
    """The processes of the site; None: this one is alone."""


class Steered(Protocol):
    """What people have ordered that still stands; `Orders` is one."""

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Those that have not expired."""
        ...

    @property
    def lease(self) -> Lease | None:
        """Who holds manual authority, None for nobody."""
        ...


def rev_of(picture: SitePicture) -> int:
    """Revision of a picture: the number of its cycle, rising over restarts too."""
    return picture.decision.cycle


def state(picture: SitePicture, site: Site, orders: Steered, now_ms: int) -> Json:
    """Everything that fits on one strip."""
    view, decision = picture.view, picture.decision
    budget, power = decision.budget, decision.site
    age_s = (now_ms - decision.at_ms) / MS_PER_S
    deviation_w = power.power_w - budget.target_w
    tolerance_w = view.rules.tolerance_fraction * max(budget.target_w, 0.01 * view.rules.rated_w)
    link_age_ms = decision.link.age_ms
    return {
        "rev": rev_of(picture),
        "at": iso(decision.at_ms),
        "age_s": round(age_s, 3),
        "fresh": age_s < FRESH_S,
        "site": site.name,
        "timezone": site.timezone,
        "mode": decision.mode.value,
        "authority": _authority(picture),
        "armed": view.armed,
        "stop_all": view.stop_all,
        "maintenance": view.maintenance,
        "power_kw": to_kw(power.power_w),
        "target_kw": to_kw(budget.target_w),
        "limit_kw": to_kw(budget.ceiling_w),
        "rated_kw": to_kw(view.rules.rated_w),
        "deviation_kw": to_kw(deviation_w),
        "deviation_pct": round(100.0 * deviation_w / max(budget.target_w, 0.01 * view.rules.rated_w), 2),
        "in_band": deviation_w <= tolerance_w and (deviation_w >= -tolerance_w or not _sought(picture)),
        "unconfirmed_kw": to_kw(decision.unconfirmed_w),
        "reason": budget.reason.value,
        "reason_help": HELP[budget.reason],
        "limit_reason": budget.limit_reason.value,
        "limit_source": budget.limit_source,
        "meter_quality": power.quality.value,
        "signal_age_s": None if link_age_ms is None else link_age_ms / MS_PER_S,
        "event": _governing(picture, now_ms),
        "hash_rate_ths": hash_rate_ths(picture),
        "miners": counts(picture),
        "alarms": alarm_counts(picture),
        "flood": picture.board.flooded,
        "alarm_list": alarms(picture),
        "overrides": [override(order) for order in orders.overrides],
        "lease": leases.told(orders.lease),
        "crew": _crew(site.crew()),
        "sites": site.sites,
    }


def _crew(crew: Crew | None) -> Json | None:
    """Which process leads, and who else is there."""
    if crew is None:
        return None
    members = [
        {"name": m.name, "role": m.role.value, "door": m.door, "seen_s": round(m.seen_s, 1), "shards": m.shards}
        for m in crew.members
    ]
    return {"leader": crew.leader, "door": crew.door, "members": members}


def counts(picture: SitePicture) -> dict[str, int]:
    """Miners by what they do, and in all."""
    found = np.bincount(state_codes(picture), minlength=len(MinerState))
    states = {kind.name.lower(): int(found[kind]) for kind in MinerState}
    return {"total": len(picture.view.table), **states}


def alarm_counts(picture: SitePicture) -> dict[str, int]:
    """Active ones by priority, and how many wait for an acknowledgement or are hidden."""
    states = [alarm.state for alarm in picture.board.alarms]
    return {
        **{f"p{n}": sum(alarm.priority == n for alarm in picture.alarms) for n in (1, 2, 3, 4)},
        "unack": sum(state in (AlarmState.UNACK, AlarmState.RTN_UNACK) for state in states),
        "shelved": states.count(AlarmState.SHELVED),
        "suppressed": states.count(AlarmState.SUPPRESSED) + states.count(AlarmState.OUT_OF_SERVICE),
    }


def reach(picture: SitePicture) -> list[Json]:
    """What the site could give up or take on, by horizon, shortest first; `confidence` is the share that is sure.

    30 ms at 50,000 rows: call it off the loop.
    """
    decision = picture.decision
    of = decision
    able = capability(picture.view, of.seen, of.site, of.allocation, of.budget, of.at_ms, of.lessons)
    return [
        {
            "within_s": one.within_s,
            "down_kw": to_kw(one.down_w),
            "up_kw": to_kw(one.up_w),
            "confidence": round(able.confidence, 3),
        }
        for one in able.reaches
    ]


def hash_rate_ths(picture: SitePicture) -> float:
    """Hash rate of everything that answers, TH/s."""
    rate_hs = picture.view.table.hash_rate_hs[picture.decision.seen.fresh]
    return round(float(np.nansum(rate_hs)) / HASHES_PER_TERAHASH, 3)


def alarms(picture: SitePicture) -> list[Json]:
    """Active alarms, worst first."""
    return [{"alarm": a.alarm, "priority": a.priority, "where": a.where, "detail": a.detail} for a in picture.alarms]


def feeds(picture: SitePicture) -> list[Json]:
    """Every signal source and how long ago it was heard."""
    at_ms = picture.decision.at_ms
    return [
        {
            "source": link.source,
            "connected": link.connected,
            "confirmed": link.confirmed,
            "age_s": None if link.last_valid_ms < 0 else (at_ms - link.last_valid_ms) / MS_PER_S,
            "clock_offset_ms": link.clock_offset_ms,
        }
        for link in picture.view.links
    ]


def events(picture: SitePicture) -> list[Json]:
    """Every remembered event, the next or newest first."""
    tracks = sorted(picture.memory.tracks, key=lambda t: (t.state in TERMINAL, t.event.start_ms, t.event.event_id))
    return [_event(track, picture.decision.at_ms) for track in tracks]


def override(order: Override) -> Json:
    """One override, with its owner, reason and end."""
    return {
        "id": order.override_id,
        "owner": order.owner,
        "reason": order.reason,
        "target_kw": to_kw(order.target_w),
        "selector": order.selector,
        "miners": len(order.miners),
        "set_at": iso(order.set_at_ms),
        "expires_at": iso(order.expires_ms),
    }


def lasting(row: Json) -> Json:
    """A row without what changes by the clock alone: the reader of a stream counts for itself."""
    return {name: value for name, value in row.items() if name not in _BY_THE_CLOCK}


def finite(value: float) -> float | None:
    """The number, or None where it is unknown."""
    return value if math.isfinite(value) else None


def _sought(picture: SitePicture) -> bool:
    """The target is a set-point to be met from both sides; else it is a ceiling, and less is as good."""
    budget = picture.decision.budget
    return picture.decision.mode in (SiteMode.FOLLOWING, SiteMode.LOCAL_OVERRIDE) or budget.target_w < budget.ceiling_w


def _authority(picture: SitePicture) -> str:
    """Who decides the power: the grid, an operator, or the site by itself."""
    match picture.decision.mode:
        case SiteMode.FOLLOWING | SiteMode.LIMITED | SiteMode.EMERGENCY:
            return "grid"
        case SiteMode.LOCAL_OVERRIDE | SiteMode.MAINTENANCE:
            return "operator"
        case SiteMode.INIT_FAILSAFE | SiteMode.AUTONOMOUS | SiteMode.FAILSAFE:
            return "site"


def _governing(picture: SitePicture, now_ms: int) -> Json | None:
    """The event that decides, else the next one to come."""
    tracks = [t for t in picture.memory.tracks if t.state not in TERMINAL]
    wanted = picture.decision.budget.event_id
    track = next((t for t in tracks if t.event.event_id == wanted), None)
    track = track or min(tracks, key=lambda t: (not t.live, t.event.start_ms), default=None)
    return None if track is None else _event(track, now_ms)


def _event(track: EventTrack, now_ms: int) -> Json:
    event = track.event
    interval = event.at(now_ms) or event.intervals[0]
    return {
        "id": event.event_id,
        "source": event.source,
        "class": event.event_class.value,
        "state": track.state.value,
        "reason": track.reason.value if track.reason else None,
        "priority": event.priority,
        "start": iso(event.start_ms),
        "end": iso(event.end_ms),
        "starts_in_s": max(event.start_ms - now_ms, 0) / MS_PER_S,
        "ends_in_s": max(event.end_ms - now_ms, 0) / MS_PER_S,
        "limit_kw": None if interval.limit_w is None else to_kw(interval.limit_w),
        "setpoint_kw": None if interval.setpoint_w is None else to_kw(interval.setpoint_w),
    }
