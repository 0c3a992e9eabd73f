"""Conditions of the site as a whole: signal, limit, meter, journal, clock, overrides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from farmctl.core.alarms.nouns import Condition, Truth
from farmctl.core.alarms.scene import Scene
from farmctl.core.events import EventTrack
from farmctl.core.grid import EventState, SiteMode
from farmctl.core.progress import LIMIT_TOLERANCE
from farmctl.core.units import MS_PER_S, WATTS_PER_KW

SITE = "site"
SHORT_FRACTION = 0.02
EXPIRING_S = 600.0
TARGET_TOLERANCE = 0.02
TARGET_FLOOR = 0.005
"""A set-point near zero must not make an alarm of one fan: at least this share of the rated power."""
RAMP_BEHIND = 0.05
RAMP_NEAR = 0.04
CLOCK_REFUSING_MS = 5_000
CLOCK_OFF_MS = 100
CLOCK_NEAR_MS = 50


def site_conditions(scene: Scene) -> Iterator[Condition]:
    """Everything that does not look at rows."""
    yield from _signal(scene)
    yield from _power(scene)
    yield from _ramp(scene)
    yield from _plan(scene)
    yield from _clock(scene)
    yield from _overrides(scene)
    view, memory = scene.view, scene.memory
    if memory.mode is SiteMode.EMERGENCY:
        yield _site("emergency_latched", 1, "the site stays down until an explicit release")
    if not scene.site.metered and scene.now_ms - memory.booted_ms > view.rules.meter_stale_s * MS_PER_S:
        by_rows, by_sites = "open loop with a guard band", "a site is not heard: the sum is a guess, with a guard band"
        yield _site("meter_lost_armed", 1, by_rows if len(view.table) else by_sites)
    if not view.may_raise:
        yield _site("store_failed", 1, "the journal cannot be written: raising is forbidden")


def _signal(scene: Scene) -> Iterator[Condition]:
    facts = scene.facts
    age_ms = scene.now_ms - scene.memory.booted_ms if facts.age_ms is None else facts.age_ms
    quiet = age_ms > scene.view.rules.signal_quiet_s * MS_PER_S
    if facts.outage:
        yield _site("signal_stale", 1, "a grid outage was seen: no order counts until the grid tells again what holds")
    elif facts.expected and (facts.lost or quiet):
        detail = "never heard" if facts.age_ms is None else f"silent for {facts.age_ms // MS_PER_S} s"
        yield _site("signal_stale", 1, detail)


def _power(scene: Scene) -> Iterator[Condition]:
    site, ceiling_w = scene.site, scene.ceiling_w
    above = _above_target(scene)
    if site.mean_10s_w > ceiling_w:
        truth = Truth.TRUE if site.mean_10s_w > ceiling_w * (1.0 + LIMIT_TOLERANCE) else Truth.NEAR
        told = f"{site.mean_10s_w / WATTS_PER_KW:.0f} kW over a limit of {ceiling_w / WATTS_PER_KW:.0f} kW"
        yield _site("power_above_limit", 1, told, truth)
    elif above is not None:
        told = f"{site.mean_10s_w / WATTS_PER_KW:.0f} kW over a set-point of {above / WATTS_PER_KW:.0f} kW"
        yield _site("power_above_limit", 1, told)
    for track in scene.memory.tracks:
        stated_w = _stated_w(track, scene.now_ms)
        if track.state is not EventState.DEVIATING or stated_w is None:
            continue
        over_w = site.mean_10s_w - stated_w
        from_w = track.from_w if track.from_w is not None else scene.view.rules.rated_w
        if over_w > SHORT_FRACTION * max(from_w - stated_w, 0.0):
            detail = f"{over_w / WATTS_PER_KW:.0f} kW still to shed"
            yield Condition(alarm="shed_incomplete", priority=1, where=track.event.event_id, detail=detail)


def _above_target(scene: Scene) -> float | None:
    """The set-point that was reached once and is exceeded now by more than its share, W; None: none is."""
    least_w = TARGET_FLOOR * scene.view.rules.rated_w
    for track in scene.memory.tracks:
        interval = track.event.at(scene.now_ms)
        if not (track.live and track.reached_once and not track.shadowed and interval and interval.setpoint_w):
            continue
        limit_w = float(np.fmax(interval.setpoint_w, scene.target_w))
        if scene.site.mean_10s_w > limit_w + max(TARGET_TOLERANCE * limit_w, least_w):
            return limit_w
    return None


def _ramp(scene: Scene) -> Iterator[Condition]:
    """An event with a ramp of its own states where the meter should be now; the budget's target follows it."""
    for track in scene.memory.tracks:
        event, stated_w = track.event, _stated_w(track, scene.now_ms)
        if not track.live or event.ramp_down_w_per_s is None or track.from_w is None or stated_w is None:
            continue
        asked_w = track.from_w - stated_w
        behind_w = scene.site.mean_10s_w - max(scene.target_w, stated_w)
        if asked_w > 0 and scene.target_w > stated_w and behind_w > RAMP_NEAR * asked_w:
            truth = Truth.TRUE if behind_w > RAMP_BEHIND * asked_w else Truth.NEAR
            told = f"{behind_w / WATTS_PER_KW:.0f} kW behind a ramp of {asked_w / WATTS_PER_KW:.0f} kW"
            yield Condition(alarm="ramp_too_slow", priority=2, where=event.event_id, detail=told, truth=truth)


def _plan(scene: Scene) -> Iterator[Condition]:
    """A site without a standing agreement has no plan either, though its grid is heard: it stays at its firm level."""
    memory, rules = scene.memory, scene.view.rules
    if not (rules.grid_expected and rules.standing_w is None and scene.facts.confirmed):
        return
    held = any(track.live and track.event.at(scene.now_ms) is not None for track in memory.tracks) or memory.held
    if not held and rules.failsafe_limit_w < rules.rated_w:
        firm_kw = rules.failsafe_limit_w / WATTS_PER_KW
        yield _site("plan_expired", 2, f"no plan and no allocation holds now: the site stays at {firm_kw:.0f} kW")


def _clock(scene: Scene) -> Iterator[Condition]:
    for link in scene.view.links:
        off_ms = abs(link.clock_offset_ms)
        told = f"{link.clock_offset_ms / MS_PER_S:+.2f} s against {link.source}"
        if off_ms > CLOCK_REFUSING_MS:
            yield Condition(alarm="clock_refusing", priority=2, where=link.source, detail=told)
        if off_ms > CLOCK_NEAR_MS:
            truth = Truth.TRUE if off_ms > CLOCK_OFF_MS else Truth.NEAR
            yield Condition(alarm="clock_offset", priority=3, where=link.source, detail=told, truth=truth)


def _overrides(scene: Scene) -> Iterator[Condition]:
    for order in scene.view.overrides:
        left_s = (order.expires_ms - scene.now_ms) / MS_PER_S
        if 0 < left_s < EXPIRING_S and order.expires_ms - order.set_at_ms > EXPIRING_S * MS_PER_S:
            detail = f"{left_s // 60:.0f} min left of {order.owner}'s override"
            yield Condition(alarm="override_expiring", priority=2, where=order.override_id, detail=detail)


def _stated_w(track: EventTrack, now_ms: int) -> float | None:
    """The power that an event asks for now, None where it states none."""
    interval = track.event.at(now_ms)
    stated = () if interval is None else (interval.limit_w, None if track.shadowed else interval.setpoint_w)
    return min((watts for watts in stated if watts is not None), default=None)


def _site(alarm: str, priority: int, detail: str, truth: Truth = Truth.TRUE) -> Condition:
    return Condition(alarm=alarm, priority=priority, where=SITE, detail=detail, truth=truth)
