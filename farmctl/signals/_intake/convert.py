"""A checked OpenADR event to a GridEvent in W and ms: units, splitting, tables, clamps, defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from farmctl.core.grid import LOWEST_PRIORITY, EventClass, EventState, GridEvent, Interval, OnExpiry
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.signals._intake.duration import DAY_MS, START_NOW
from farmctl.signals._intake.notification import EventBody, Extension, IntervalBody
from farmctl.signals._intake.payloads import Stretch, stretches
from farmctl.signals._intake.permissions import check_class
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.verdict import NOT_SUPPORTED, NotAcceptedError

MOST_AHEAD_MS = 7 * DAY_MS
MOST_STRETCHES = 2_000
"""288 intervals of several values each stay below this; more is rubbish, not a schedule."""
RESPOND_WITHIN_S = {EventClass.EMERGENCY: 30.0, EventClass.LIMIT: 60.0}
RESPOND_WITHIN_ELSE_S = 300.0
ON_EXPIRY = {EventClass.LIMIT: OnExpiry.SUBSCRIPTION, EventClass.EMERGENCY: OnExpiry.SUBSCRIPTION}
"""An EMERGENCY does not end by itself; after its release the standing allocation holds."""
ALWAYS_TOLD = frozenset({EventState.REJECTED, EventState.FAILED})
SECONDS_PER_MINUTE = 60.0


def respond_within_s(event_class: EventClass, asked: float | None = None) -> float:
    """Seconds to comply: as asked, else the default of the class."""
    return float(asked) if asked is not None else RESPOND_WITHIN_S.get(event_class, RESPOND_WITHIN_ELSE_S)


def on_expiry(event_class: EventClass, asked: OnExpiry | None = None) -> OnExpiry:
    """What it leaves behind: as asked, else the default of the class."""
    return asked if asked is not None else ON_EXPIRY.get(event_class, OnExpiry.RELEASE)


def grid_event(body: EventBody, rules: IntakeRules, *, now_ms: int) -> GridEvent:
    """The event as the core knows it; its class is EMERGENCY where an alert or SIMPLE 3 makes it one.

    `now_ms` is what a start of 0001-01-01 means.  Raises NotAcceptedError.
    """
    if body.loop not in (None, 0):
        raise NotAcceptedError(Reason.UNSUPPORTED, "duration: looping of intervals", code=NOT_SUPPORTED)
    spans = _spans(body, now_ms)
    found = [
        stretch
        for interval, span in zip(body.intervals, spans, strict=True)
        for stretch in stretches(interval.payloads, body.descriptors or [], span, rules)
    ]
    if len(found) > MOST_STRETCHES:
        raise NotAcceptedError(Reason.BAD_FIELD, f"intervals: {len(found)} values, at most {MOST_STRETCHES} are taken")
    x = body.x
    event_class = EventClass.EMERGENCY if any(s.emergency for s in found) else x.event_class
    check_class(rules.issuer, event_class)
    return GridEvent(
        event_id=body.id,
        msg_id=x.msg_id,
        source=rules.source,
        issuer=x.issuer,
        epoch=x.epoch,
        seq=x.seq,
        event_class=event_class,
        priority=LOWEST_PRIORITY if body.priority is None else min(body.priority, LOWEST_PRIORITY),
        created_ms=body.created if body.created is not None else x.issued_at,
        expires_ms=x.expires_at,
        intervals=tuple(_bound(s, event_class, rules) for s in found),
        respond_within_s=respond_within_s(event_class, x.respond_within_s),
        ramp_down_w_per_s=_per_s(x.ramp.down),
        ramp_up_w_per_s=_capped_up(_per_s(x.ramp.up), rules),
        tolerance_w=None if x.tolerance_kw is None else x.tolerance_kw * WATTS_PER_KW,
        on_expiry=on_expiry(event_class, x.on_expiry),
        ack_states=_ack_states(x),
        randomize_start_s=body.period.randomize_start / MS_PER_S,
    )


def ceiling_w(event: GridEvent) -> float | None:
    """Highest limit of its intervals; None when one of them has no limit."""
    limits = [i.limit_w for i in event.intervals]
    known = [w for w in limits if w is not None]
    return max(known) if len(known) == len(limits) else None


def stretched(event: GridEvent, until_ms: int) -> GridEvent:
    """A latched EMERGENCY that a snapshot still lists, alive at least until then."""
    last = event.intervals[-1]
    tail = replace(last, end_ms=max(last.end_ms, until_ms))
    return replace(event, expires_ms=max(event.expires_ms, until_ms), intervals=(*event.intervals[:-1], tail))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    """Where the next interval begins and how long it lasts unless it says otherwise."""

    start_ms: int
    duration_ms: int


def _spans(body: EventBody, now_ms: int) -> list[tuple[int, int]]:
    """Half-open spans of the intervals: contiguous, each as long as the event's period unless it has its own."""
    at = _Clock(start_ms=_begin(body.period.start, now_ms), duration_ms=body.period.duration)
    spans: list[tuple[int, int]] = []
    for number, interval in enumerate(body.intervals):
        start, end = _span(interval, at, now_ms)
        if start < at.start_ms and spans:
            raise NotAcceptedError(Reason.BAD_FIELD, f"intervals.{number}: starts before the one before it has ended")
        if start - now_ms > MOST_AHEAD_MS and not spans:
            raise NotAcceptedError(Reason.BAD_FIELD, "intervalPeriod.start: more than 7 days ahead")
        spans.append((start, end))
        at = replace(at, start_ms=end)
    return spans


def _span(interval: IntervalBody, at: _Clock, now_ms: int) -> tuple[int, int]:
    own = interval.period
    start = at.start_ms if own is None or own.start is None else _begin(own.start, now_ms)
    duration = at.duration_ms if own is None or own.duration is None else own.duration
    return start, start + duration


def _begin(start: int, now_ms: int) -> int:
    return now_ms if start == START_NOW else start


def _bound(stretch: Stretch, event_class: EventClass, rules: IntakeRules) -> Interval:
    """The stretch as an interval; an EMERGENCY without a number holds the site at `emergency_w`."""
    interval = stretch.interval
    mute = interval.limit_w is None and interval.setpoint_w is None
    if event_class is EventClass.EMERGENCY and mute:
        interval = replace(interval, limit_w=rules.emergency_w)
    return interval


def _per_s(kw_per_min: float | None) -> float | None:
    return None if kw_per_min is None else kw_per_min * WATTS_PER_KW / SECONDS_PER_MINUTE


def _capped_up(asked: float | None, rules: IntakeRules) -> float | None:
    if asked is None or rules.ramp_up_w_per_s is None:
        return asked
    return min(asked, rules.ramp_up_w_per_s)


def _ack_states(x: Extension) -> frozenset[EventState]:
    return frozenset(EventState) if x.ack is None else frozenset(x.ack) | ALWAYS_TOLD
