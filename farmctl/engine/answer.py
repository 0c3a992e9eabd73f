"""What the site tells the grid: telemetry and state, from the last decision."""

from __future__ import annotations

import numpy as np

from farmctl import __version__
from farmctl.core.confirm import nominal_w, top_step
from farmctl.core.fleet import FleetView
from farmctl.core.grid import EventClass
from farmctl.core.learning import travel_s
from farmctl.core.lessons import Move
from farmctl.core.memory import Memory
from farmctl.core.model import MinerState, Proposal
from farmctl.core.modes import newest_link
from farmctl.core.programme.fleet_curve import fleet_curve
from farmctl.core.proposals import proposals
from farmctl.core.reasons import Reason
from farmctl.core.step import Decision
from farmctl.core.units import MS_PER_S
from farmctl.ports.grid import Capability, LimitSource, SiteState, Telemetry

DOWN_IN_S = (5, 30, 600)
UP_IN_S = (60, 600)
CAPABILITY_STEP = 0.05
"""Share of the rating by which an offer must change to be told before its 5 min are over."""
"""The times that the contract asks for."""


def telemetry(view: FleetView, decision: Decision, memory: Memory) -> Telemetry:
    """The site as the grid sees it now."""
    table, seen, site = view.table, decision.seen, decision.site
    full_w = nominal_w(view, top_step(view))
    floor_w = nominal_w(view, np.zeros(len(table), dtype=np.int64))
    movable = seen.movable
    now_w = seen.power_now_w[movable]
    up_w = float(np.maximum(full_w[movable] - now_w, 0).sum())
    down_w = float(np.maximum(now_w - floor_w[movable], 0).sum())
    states = table.state[seen.fresh]
    governing = next((t.event for t in memory.tracks if t.event.event_id == decision.budget.event_id), None)
    return Telemetry(
        at_ms=decision.at_ms,
        power_w=site.power_w,
        power_source="METER" if site.metered else "SUMMED",
        quality=site.quality,
        setpoint_w=setpoint_w(decision, memory),
        limit_w=decision.budget.ceiling_w,
        min_w=max(site.power_w - down_w, 0.0),
        max_w=site.power_w + up_w,
        up_available_w=max(min(up_w, decision.budget.ceiling_w - site.power_w), 0.0),
        down_available_w=down_w,
        ramp_up_w_per_s=view.rules.ramp_up_w_per_s,
        ramp_down_w_per_s=_down_w_per_s(view, decision),
        hash_rate_hs=float(np.nansum(table.hash_rate_hs[seen.fresh])),
        on=int((states == MinerState.HASHING).sum()),
        throttled=int((states == MinerState.THROTTLED).sum()),
        sleep=int((states == MinerState.CURTAILED).sum()),
        offline=int((~seen.fresh).sum()),
        mode=decision.mode,
        event_id=decision.budget.event_id,
        epoch=governing.epoch if governing else 0,
        seq=governing.seq if governing else 0,
        volts=view.meter.volts,
        hz=view.meter.frequency_hz,
        reactive_var=view.meter.reactive_var,
    )


def site_state(view: FleetView, decision: Decision, memory: Memory, *, signed: bool, audit_head: str) -> SiteState:
    """Mode, limits and live events, for the retained state topic."""
    link = newest_link(view.links)
    newest = max((t.event for t in memory.tracks), key=lambda e: (e.epoch, e.seq), default=None)
    live = [t for t in memory.tracks if t.live]
    return SiteState(
        at_ms=decision.at_ms,
        mode=decision.mode,
        since_ms=memory.mode_since_ms,
        limit_w=decision.budget.ceiling_w,
        limit_source=decision.budget.limit_source,
        setpoint_w=setpoint_w(decision, memory),
        live_events=tuple(t.event.event_id for t in live),
        emergency_latched=any(t.event.event_class is EventClass.EMERGENCY for t in live),
        signed=signed,
        last_epoch=newest.epoch if newest else 0,
        last_seq=newest.seq if newest else 0,
        link_age_s=decision.link.age_ms / MS_PER_S if decision.link.age_ms is not None else None,
        clock_offset_ms=link.clock_offset_ms if link else 0,
        audit_head=audit_head,
        version=__version__,
        limits=_limits(view, decision, memory),
    )


def setpoint_w(decision: Decision, memory: Memory) -> float | None:
    """The grid's set-point in force after every clamp, W; None while nothing but limits is live."""
    for track in memory.tracks:
        if not track.live or track.shadowed or track.event.event_id != decision.budget.event_id:
            continue
        latched = track.event.intervals[-1] if track.event.event_class is EventClass.EMERGENCY else None
        interval = track.event.at(decision.at_ms) or latched
        if interval is not None and interval.setpoint_w is not None:
            return decision.budget.target_w
    return None


def capability(view: FleetView, decision: Decision) -> Capability:
    """What the movable part of the fleet could give up or take on, by seconds: on change and every 5 min.

    Powers are those measured and learned per miner; a miner moves evenly over the time that its kind has shown.
    """
    seen, rules = decision.seen, view.rules
    movable = seen.movable
    now_w = seen.power_now_w[movable]
    floor_w = nominal_w(view, np.zeros(len(view.table), dtype=np.int64))[movable]
    full_w = nominal_w(view, top_step(view))[movable]
    down_s = np.maximum(travel_s(decision.lessons, view, Move.DOWN)[movable], 1.0)
    up_s = np.maximum(travel_s(decision.lessons, view, Move.UP)[movable], 1.0)
    room_w = max(decision.budget.ceiling_w - decision.site.power_w, 0.0)
    down = {s: float((np.maximum(now_w - floor_w, 0) * np.minimum(s / down_s, 1.0)).sum()) for s in DOWN_IN_S}
    up = {s: float((np.maximum(full_w - now_w, 0) * np.minimum(s / up_s, 1.0)).sum()) for s in UP_IN_S}
    curve = fleet_curve(view, movable, decision.site.power_w - float(now_w.sum()))
    return Capability(
        at_ms=decision.at_ms,
        rated_w=rules.rated_w,
        safe_min_w=rules.safe_min_w,
        failsafe_limit_w=rules.failsafe_limit_w,
        subscription_w=rules.failsafe_limit_w if rules.standing_w is None else rules.standing_w,
        down_w_in_s=down,
        up_w_in_s={s: min(up_w, room_w, rules.ramp_up_w_per_s * s) for s, up_w in up.items()},
        ramp_up_w_per_s=rules.ramp_up_w_per_s,
        curve_w=tuple(curve.power_w.tolist()),
        curve_hs_per_w=tuple(curve.marginal_hs_per_w.tolist()),
    )


def differs(able: Capability, last: Capability) -> bool:
    """Whether the grid should hear of it before its time: another rating, or a twentieth of it more or less."""
    step_w = CAPABILITY_STEP * able.rated_w
    if (able.rated_w, able.safe_min_w, able.failsafe_limit_w, able.subscription_w) != (
        last.rated_w,
        last.safe_min_w,
        last.failsafe_limit_w,
        last.subscription_w,
    ):
        return True
    pairs = [(able.down_w_in_s, last.down_w_in_s), (able.up_w_in_s, last.up_w_in_s)]
    return any(abs(now[s] - before.get(s, 0.0)) > step_w for now, before in pairs for s in now)


def _limits(view: FleetView, decision: Decision, memory: Memory) -> tuple[LimitSource, ...]:
    """Every live limit, the lowest first."""
    wishes = proposals(memory, view, decision.link, decision.at_ms)
    found = [
        LimitSource(source=w.source, limit_w=w.ceiling_w, until_ms=_until_ms(w), event_id=w.event_id)
        for w in wishes
        if w.ceiling_w is not None
    ]
    return tuple(sorted(found, key=lambda limit: (limit.limit_w, limit.source, limit.event_id)))


def _until_ms(wish: Proposal) -> int | None:
    """An EMERGENCY latches: its expiry ends nothing."""
    return None if wish.reason is Reason.EMERGENCY else wish.expires_ms


def _down_w_per_s(view: FleetView, decision: Decision) -> float:
    """What the movable part of the fleet can give up per second when all of it is told to sleep."""
    movable = decision.seen.movable
    ladder = view.table.ladder[movable]
    seconds = np.maximum(view.ladders.down_s[ladder], 1.0)
    return float((decision.seen.power_now_w[movable] / seconds).sum())
