"""The one door into the core: what the farm should do now, from memory, a frozen view and the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from farmctl.core.allocate import Allocation, allocate
from farmctl.core.budget import arbitrate
from farmctl.core.caps import capped, is_held
from farmctl.core.circuits import under
from farmctl.core.confirm import Seen, confirm
from farmctl.core.dispatch import dispatch
from farmctl.core.draft import Ask
from farmctl.core.eta import eta_s
from farmctl.core.events import RESPONSE_CODE, EventTrack, Transition, heard, live_price, on_time
from farmctl.core.explain import row_reasons
from farmctl.core.fleet import FleetView
from farmctl.core.grid import Ack, EventClass, EventState, SiteMode
from farmctl.core.holding import hold
from farmctl.core.learning import learned
from farmctl.core.lessons import Lessons
from farmctl.core.memory import Memory, Pace, Standing
from farmctl.core.meter_loop import SitePower, follow
from farmctl.core.model import Budget, Command
from farmctl.core.modes import LinkFacts, in_failsafe, link_facts, next_mode
from farmctl.core.outage import discarded, watched
from farmctl.core.outlook import outlook
from farmctl.core.pace import is_governed, ramp_w, release_ms, wake_credit_w
from farmctl.core.phases import carried
from farmctl.core.plug import at_the_plug, kept_in_step, taught
from farmctl.core.policies import POLICIES
from farmctl.core.progress import hinder, hindrance, judge, shadow
from farmctl.core.proposals import held_circuits, in_boot_grace, live_overrides, narrowed, proposals
from farmctl.core.putback import put_back
from farmctl.core.reasons import Reason
from farmctl.core.rungs import noted
from farmctl.core.shift import spread
from farmctl.core.units import MS_PER_S, NEVER_MS, CodeColumn, MaskColumn

SOON_S = 15.0
"""Rows that can be down within this time are asked first when the grid presses."""
CALM_MS = 30_000
REFINE_MS = 15_000
MINUTE_MS = 60_000
"""Economy waits for so long after the load has moved, and takes its share of a minute's commands this often."""
TRIM_FRACTION = 0.01


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Decision:
    """What one cycle decided, and why."""

    cycle: int
    at_ms: int
    mode: SiteMode
    mode_before: SiteMode
    budget: Budget
    site: SitePower
    allocation: Allocation
    reasons: CodeColumn
    """One code of `Reason` per row."""
    commands: tuple[Command, ...]
    acks: tuple[Ack, ...]
    transitions: tuple[Transition, ...]
    unconfirmed_w: float
    """Power that was told to go and has not been seen to."""
    seen: Seen
    link: LinkFacts
    lessons: Lessons
    """How fast and how surely each kind of miner follows."""
    ask_again: bool = False
    """The supply is back after a grid outage: every source must tell again what holds."""


def step(memory: Memory, view: FleetView, now_ms: int, policy: str = "efficiency_first") -> tuple[Memory, Decision]:
    """Decide what the farm should do now; pure: same arguments, same bits."""
    view = narrowed(view, now_ms)
    view = replace(view, cap=capped(view, now_ms))
    memory = put_back(memory, now_ms)
    remembered = memory.rows.aligned(view.table.miner_id)
    view = at_the_plug(view, remembered)
    seen = confirm(remembered, view, now_ms)
    taught_rows = taught(seen.rows, view, seen, now_ms, max(now_ms - memory.last_ms, 0) / MS_PER_S)
    view = replace(view, circuits=carried(view, seen.counted_w))
    lessons = learned(memory.lessons, view, seen, now_ms)
    loop, site = follow(memory.loop, view, seen, now_ms, memory.booted_ms)
    loop = kept_in_step(loop, view.table, seen.rows, taught_rows)
    outage = watched(memory.outage, view, now_ms)
    facts = link_facts(view, memory.booted_ms, now_ms, outage=outage is not None)
    # What is over ended by itself; a snapshot that no longer lists it cancels nothing.
    tracks, over = on_time(memory.tracks, now_ms, site.power_w)
    tracks, told = heard(tracks, spread(view.inbox, view.seed, site.power_w), now_ms)
    if outage is not None and memory.outage is None:
        tracks, lost = discarded(tracks, {link.source for link in view.links}, now_ms)
        told += lost
    tracks, due = on_time(tracks, now_ms, site.power_w)
    failsafe = in_failsafe(facts, memory.mode)
    view = _priced(view, tracks, now_ms)
    held = hold(memory.held, [*over, *due], view.inbox, failsafe=failsafe)
    memory = replace(memory, tracks=tracks, loop=loop, held=held, outage=outage)
    budget = arbitrate(proposals(memory, view, facts, now_ms), view.rules, guarded=not site.metered)
    mode = _mode(memory, view, facts, budget, now_ms)
    shadowed = shadow(tracks, budget, now_ms)
    judged = judge(shadowed.tracks, budget, site, now_ms)
    transitions = (*over, *told, *due, *shadowed.moves, *judged.moves)
    hindered = hinder(judged.tracks, hindrance(memory, view, facts, site, now_ms), transitions)
    ramp_now_w = ramp_w(memory, view, budget, site, seen, now_ms)
    credit_w = wake_credit_w(memory, view, seen, now_ms)
    ask = Ask(
        budget=budget,
        ramp_w=ramp_now_w,
        may_raise=not failsafe or (mode is SiteMode.LOCAL_OVERRIDE and not in_boot_grace(memory, now_ms)),
        may_wake=not view.maintenance and (mode is not SiteMode.EMERGENCY or _takes_load(tracks, budget, now_ms)),
        wake_credit_w=credit_w,
        soon_s=SOON_S if budget.urgent else np.inf,
        outlook=outlook(memory, view, facts, budget.target_w, now_ms),
        refine=_refine_allowance(memory, view, budget, now_ms),
    )
    seen = replace(
        seen, retry=seen.retry & ~_rises_unplanned(seen, budget, site, may_raise=ask.may_raise and ask.may_wake)
    )
    allocation = allocate(view, seen, site, ask, POLICIES[policy], now_ms)
    sent = dispatch(
        view, seen, allocation, urgent=budget.urgent, cycle=memory.cycle + 1, now_ms=now_ms, economic=budget.economic
    )
    reasons = row_reasons(
        view,
        seen,
        allocation,
        ramping=ramp_now_w < budget.target_w,
        stopped=budget.limit_reason is Reason.STOP_ALL,
        held=under(view.circuits, held_circuits(view, now_ms))[view.table.node] | is_held(view),
    )
    arrives_s = eta_s(view, seen, sent.rows, budget.target_w - ramp_now_w, now_ms)
    decision = Decision(
        cycle=memory.cycle + 1,
        at_ms=now_ms,
        mode=mode,
        mode_before=memory.mode,
        budget=budget,
        site=site,
        allocation=allocation,
        reasons=reasons,
        commands=sent.commands,
        acks=_acks((*transitions, *hindered.moves), budget, allocation, site, arrives_s, now_ms),
        transitions=transitions,
        unconfirmed_w=float(np.maximum(seen.counted_w - seen.wanted_w, 0.0)[seen.movable].sum()),
        seen=seen,
        link=facts,
        lessons=lessons,
        ask_again=outage is not None and outage.back_ms == now_ms,
    )
    elapsed_s = max(now_ms - memory.last_ms, 0) / MS_PER_S
    after = replace(
        memory,
        cycle=memory.cycle + 1,
        last_ms=now_ms,
        mode=mode,
        mode_since_ms=now_ms if mode is not memory.mode else memory.mode_since_ms,
        rows=replace(
            noted(sent.rows, view, seen.fresh).rested(elapsed_s), reason=reasons, plug_ratio=taught_rows.plug_ratio
        ),
        tracks=hindered.tracks,
        lessons=lessons,
        pace=Pace(
            ramp_w=ramp_now_w,
            wake_credit_w=credit_w - (allocation.woken_w if view.armed else 0.0),
            governed=is_governed(budget),
            release_ms=release_ms(memory, view, budget, now_ms),
            refined_ms=now_ms if allocation.looked else memory.pace.refined_ms,
            disturbed_ms=now_ms if _disturbed(sent.commands, allocation, view) else memory.pace.disturbed_ms,
        ),
    )
    return after, decision


def _priced(view: FleetView, tracks: Iterable[EventTrack], now_ms: int) -> FleetView:
    """The newest live price of the grid is the power price, whatever the configuration says."""
    price = live_price(tracks, now_ms)
    return view if price is None else replace(view, rules=replace(view.rules, power_price_per_kwh=price))


def _rises_unplanned(seen: Seen, budget: Budget, site: SitePower, *, may_raise: bool) -> MaskColumn:
    """Rows whose old wish would lift them although nobody may rise, or by more than the room that there is.

    A row that was given up, or is not heard, is planned no more: what it was once told is no reason to wake it in an
    emergency.
    """
    more_w = seen.wanted_w - seen.power_now_w
    room_w = max(budget.target_w - site.power_w, 0.0) if may_raise else 0.0
    unplanned = ~seen.movable | (seen.rows.standing == Standing.GAVE_UP) | (not may_raise)
    rises: MaskColumn = unplanned & (more_w > room_w)
    return rises


def _takes_load(tracks: tuple[EventTrack, ...], budget: Budget, now_ms: int) -> bool:
    """The set-point in force is an emergency's own: a grid with too much power orders load, too.

    Else nobody is woken while an emergency is latched, not even into room below its limit: it must stay down.
    """
    own = [
        t.event for t in tracks if t.event.event_id == budget.event_id and t.event.event_class is EventClass.EMERGENCY
    ]
    return any((interval := event.at(now_ms)) and interval.setpoint_w is not None for event in own)


def _mode(memory: Memory, view: FleetView, facts: LinkFacts, budget: Budget, now_ms: int) -> SiteMode:
    latched = any(t.live and t.event.event_class is EventClass.EMERGENCY for t in memory.tracks)
    return next_mode(
        memory.mode,
        facts,
        emergency=latched,
        override=bool(live_overrides(view, now_ms)) or view.stop_all,
        maintenance=view.maintenance,
        following=budget.reason in (Reason.FOLLOWING, Reason.HOLDING_SCHEDULE) or _followed(budget),
        limited=budget.limit_reason is Reason.LIMITED,
    )


def _followed(budget: Budget) -> bool:
    """A set-point is live even where a limit clamps it."""
    return bool(budget.event_id) and budget.limit_reason is not Reason.EMERGENCY and budget.shortfall_w > 0


def _refine_allowance(memory: Memory, view: FleetView, budget: Budget, now_ms: int) -> int:
    """Commands that economy may spend now: none while the load moves or soon after, else one slice per period."""
    pace = memory.pace
    rested_ms = now_ms - pace.refined_ms
    if budget.emergency or now_ms - pace.disturbed_ms < CALM_MS or rested_ms < REFINE_MS:
        return 0
    if not _all_tried(view):
        return 0
    per_min = view.rules.refine_fraction_per_min * len(view.table)
    # Cycles further apart, as those of a virtual day, have the commands of the time that went by, up to a minute's.
    share = 1.0 if rested_ms >= MINUTE_MS and pace.refined_ms >= 0 else REFINE_MS / MINUTE_MS
    return round(max(per_min * share, 4.0)) if per_min > 0 else 0


def _all_tried(view: FleetView) -> bool:
    """Every miner was polled since the start, in vain or not: the best pair of half a fleet is not the fleet's."""
    return bool((view.table.tried_ms != NEVER_MS).all())


def _disturbed(commands: tuple[Command, ...], allocation: Allocation, view: FleetView) -> bool:
    """More than a trim or two was sent for reasons other than economy."""
    return not allocation.refined and len(commands) > max(2.0, TRIM_FRACTION * len(view.table))


def _why(track: EventTrack) -> str:
    reason = track.reason or (track.hindered if track.live else None)
    return track.word or (reason.value if reason else "")


def _acks(
    transitions: Iterable[Transition],
    budget: Budget,
    allocation: Allocation,
    site: SitePower,
    arrives_s: float,
    now_ms: int,
) -> tuple[Ack, ...]:
    always = (EventState.REJECTED, EventState.FAILED)
    return tuple(
        Ack(
            source=move.track.event.source,
            event_id=move.track.event.event_id,
            msg_id=move.msg_id,
            epoch=move.epoch,
            seq=move.seq,
            state=move.track.state,
            code=RESPONSE_CODE[move.track.state],
            reason=_why(move.track),
            at_ms=now_ms,
            target_w=budget.target_w,
            expected_w=allocation.planned_w,
            eta_s=0.0 if move.track.state is EventState.REACHED else arrives_s if move.track.live else None,
            shortfall_w=max(budget.shortfall_w, 0.0),
            measured_w=site.mean_10s_w,
            meter_quality=site.quality,
        )
        for move in transitions
        if move.track.state in move.track.event.ack_states or move.track.state in always
    )
