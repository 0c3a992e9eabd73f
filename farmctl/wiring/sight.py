"""One cycle as the metrics show it: made from the picture when somebody scrapes, in the thread that writes the text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from farmctl.core.alarms import AlarmState
from farmctl.core.alarms.board import ACTIVE
from farmctl.core.alarms.kpis import STALE_MS
from farmctl.core.capability import capability
from farmctl.core.confirm import nominal_w, top_step
from farmctl.core.fleet import NO_LADDER
from farmctl.core.grid import EventState, SiteMode
from farmctl.core.proposals import live_overrides
from farmctl.core.units import MS_PER_S, NEVER_MS, FloatColumn
from farmctl.engine.cycle import Picture
from farmctl.metrics.sidelines import Sidelines
from farmctl.metrics.snapshot import (
    ActiveAlarm,
    AlarmCount,
    Available,
    EventCount,
    Identity,
    MetricsSnapshot,
    NamedMeter,
    PoolStatus,
    PowerOrigin,
    SourceStatus,
    Topology,
)

HELD_FRACTION = 0.99
"""A target this far below what the site would draw is a curtailment; closer to it is the grain of the machines."""
SUMMED_SHARE = 0.9
"""Share of the rows that must be heard for their sum to be a sum and not an estimate."""
HORIZON_NAMES = {5.0: "5s", 30.0: "30s", 300.0: "5m", 1_800.0: "30m"}
PRIORITIES = ("1", "2", "3", "4")
SHOWN_STATES = tuple(state for state in AlarmState if state is not AlarmState.NORMAL)
_TO_COME = frozenset({EventState.ACCEPTED, EventState.SCHEDULED})


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sight:
    """One cycle's picture with what the loop knew beside it."""

    picture: Picture
    topology: Topology
    identity: Identity | None
    sidelines: Sidelines
    pools: tuple[PoolStatus, ...]
    meters: tuple[NamedMeter, ...]
    frequency_hz: float
    energy_j: float
    unsigned: bool


def snapshot_of(sight: Sight) -> MetricsSnapshot:
    """Everything that the families read; O(rows)."""
    picture = sight.picture
    view, decision, memory, board = picture.view, picture.decision, picture.memory, picture.board
    budget, baseline = decision.budget, baseline_w(picture)
    states = Counter(track.state for track in memory.tracks)
    return MetricsSnapshot(
        at_ms=decision.at_ms,
        view=view,
        topology=sight.topology,
        wanted_hash_rate_hs=wanted_hash_rate_hs(picture),
        power_w=decision.site.power_w,
        power_origin=_origin(picture),
        mode=decision.mode,
        curtailment_active=decision.mode is SiteMode.EMERGENCY or budget.target_w < HELD_FRACTION * baseline,
        leader=view.armed,
        auth_unsigned=sight.unsigned,
        target_w=budget.target_w,
        limit_w=budget.ceiling_w,
        baseline_w=baseline,
        unconfirmed_w=decision.unconfirmed_w,
        energy_j=sight.energy_j,
        frequency_hz=sight.frequency_hz,
        sources=_sources(picture),
        events=tuple(EventCount(state=state, count=count) for state, count in states.items()),
        next_event_ms=min((t.event.start_ms for t in memory.tracks if t.state in _TO_COME), default=NEVER_MS),
        overrides=len(live_overrides(view, decision.at_ms)),
        meters=sight.meters,
        available=_available(picture),
        ambient_c=sight.sidelines.ambient_c(),
        pools=sight.pools,
        faults=sight.sidelines.faults(decision.seen.fresh),
        alarms=_alarm_counts(picture),
        active_alarms=tuple(
            ActiveAlarm(alarm=alarm.alarm, container=alarm.where, priority=str(alarm.priority))
            for alarm in picture.alarms
        ),
        stale_alarms=sum(a.state in ACTIVE and decision.at_ms - a.raised_ms > STALE_MS for a in board.alarms),
        flooded=board.flooded,
        identity=sight.identity,
    )


def baseline_w(picture: Picture) -> float:
    """What the site would draw now without events and overrides, W at the meter.

    Every row that answers at its top point, the others as they are, by the learned relation of rows and meter;
    never more than the rating or the standing allocation. NaN while no operating point is known.
    """
    view, seen, site = picture.view, picture.decision.seen, picture.decision.site
    top = top_step(view)
    if not (top >= 0).any():
        return float("nan")
    free = seen.movable & (top >= 0)
    rows_w = np.where(free, nominal_w(view, top), seen.power_now_w)
    rules = view.rules
    most_w = rules.rated_w if rules.standing_w is None else min(rules.rated_w, rules.standing_w)
    return min(site.gain * float(rows_w.sum()) + site.unexplained_w, most_w)


def wanted_hash_rate_hs(picture: Picture) -> FloatColumn:
    """Hash rate of every row at its wanted step, NaN where none is known; shape (rows,)."""
    table, book = picture.view.table, picture.view.ladders
    wanted = picture.memory.rows.wanted
    known = (table.ladder != NO_LADDER) & (wanted >= 0)
    hash_rate_hs = np.full(len(table), np.nan)
    hash_rate_hs[known] = book.hash_rate_hs[table.ladder[known], wanted[known]] * table.power_scale[known]
    return hash_rate_hs


def _origin(picture: Picture) -> PowerOrigin:
    if picture.decision.site.metered:
        return PowerOrigin.METER
    heard = picture.decision.seen.fresh & np.isfinite(picture.view.table.power_w)
    return PowerOrigin.SUMMED if len(heard) and heard.mean() >= SUMMED_SHARE else PowerOrigin.ESTIMATED


def _sources(picture: Picture) -> tuple[SourceStatus, ...]:
    """One live source carries the site and the silent ones are standbys; when none is left, all are missed."""
    rules, now_ms = picture.view.rules, picture.decision.at_ms
    stale_ms = rules.signal_stale_s * MS_PER_S
    alive = {
        link.source
        for link in picture.view.links
        if link.confirmed and link.last_valid_ms >= 0 and now_ms - link.last_valid_ms < stale_ms
    }
    return tuple(
        SourceStatus(
            name=link.source,
            armed=rules.grid_expected and (not alive or link.source in alive),
            last_valid_ms=link.last_valid_ms,
        )
        for link in picture.view.links
    )


def _available(picture: Picture) -> tuple[Available, ...]:
    decision = picture.decision
    if not len(picture.view.table):
        return ()
    of = decision
    able = capability(picture.view, of.seen, of.site, of.allocation, of.budget, of.at_ms, of.lessons)
    return tuple(
        Available(direction=direction, within=HORIZON_NAMES[reach.within_s], power_w=power_w)
        for reach in able.reaches
        for direction, power_w in (("down", reach.down_w), ("up", reach.up_w))
    )


def _alarm_counts(picture: Picture) -> tuple[AlarmCount, ...]:
    """Every priority and state, also those with none: a 0 is known here."""
    counts = Counter((str(alarm.priority), alarm.state) for alarm in picture.board.alarms)
    return tuple(
        AlarmCount(priority=priority, state=state.value.lower(), count=counts[priority, state])
        for priority in PRIORITIES
        for state in SHOWN_STATES
    )
