"""The adapter for `{"target":0|100,"timestamp":unix}`: on or off, repeated, unsigned, and only ever lowering (3.6)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, StrictFloat, StrictInt

from farmctl.core.grid import LOWEST_PRIORITY, EventClass, EventDelete, EventPut, GridEvent, Interval, OnExpiry
from farmctl.core.reasons import Reason
from farmctl.core.units import MS_PER_S
from farmctl.signals._intake.convert import respond_within_s
from farmctl.signals._intake.duration import DAY_MS
from farmctl.signals._intake.notification import Strict, checked
from farmctl.signals._intake.shape import MAX_INTEGER, MAX_SIMPLE_BYTES, json_object
from farmctl.signals._intake.verdict import NotAcceptedError

OFF, ON = 0, 100
MOST_SKEW_MS = DAY_MS
SILENT_AFTER_MS = 90 * MS_PER_S
"""Three periods of the publisher, which repeats every 30 s."""
RESTORE_AFTER_MS = 5 * MS_PER_S
HOLDS_MS = 7 * DAY_MS
RENEW_WITHIN_MS = DAY_MS
"""An off has no end of its own: its event is put again before its authority ends."""


class CompatBody(Strict):
    """A message as sent."""

    target: StrictInt | StrictFloat
    timestamp: Annotated[StrictInt, Field(ge=0, le=MAX_INTEGER)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What the publisher wants, and what was made of it."""

    since_ms: int
    """Last sign of life; the start of the run before the first one."""
    target: int | None = None
    timestamp: int = -1
    broker: int = 0
    """Which broker brought the newest message."""
    restore_at_ms: int | None = None
    """An ON that follows an off counts from here on."""
    off_id: str = ""
    """The event that holds the site down; empty: none."""
    off_until_ms: int = 0


def read(raw: bytes, *, retained: bool, now_ms: int) -> CompatBody:
    """A message within its bounds.  Raises NotAcceptedError."""
    if retained:
        raise NotAcceptedError(Reason.RETAINED_NOT_ALLOWED, "a retained copy of an on/off message")
    body = checked(CompatBody, json_object(raw, max_bytes=MAX_SIMPLE_BYTES))
    if body.target not in (OFF, ON):
        raise NotAcceptedError(Reason.BAD_FIELD, "target: expected exactly 0 or 100")
    if abs(body.timestamp * MS_PER_S - now_ms) > MOST_SKEW_MS:
        raise NotAcceptedError(Reason.BAD_FIELD, "timestamp: more than 24 h from the site's clock")
    return body


def heard(switch: Switch, body: CompatBody, *, broker: int, now_ms: int) -> Switch:
    """The switch after a message.  Raises NotAcceptedError for one that is older or contradicts itself."""
    if body.timestamp < switch.timestamp:
        raise NotAcceptedError(Reason.OLD_SEQUENCE, f"timestamp {body.timestamp} is below {switch.timestamp}")
    target = OFF if body.target == OFF else ON
    if body.timestamp == switch.timestamp and target != switch.target:
        if broker == switch.broker:
            raise NotAcceptedError(Reason.BAD_FIELD, "target differs from the one sent with the same timestamp")
        target = OFF
    restoring = target == ON and bool(switch.off_id)
    began = switch.restore_at_ms if switch.target == ON and not is_silent(switch, now_ms) else None
    return replace(
        switch,
        since_ms=now_ms,
        target=target,
        timestamp=body.timestamp,
        broker=broker,
        restore_at_ms=(began or now_ms + RESTORE_AFTER_MS) if restoring else None,
    )


def is_silent(switch: Switch, now_ms: int) -> bool:
    """Nothing valid for three periods: the same as an off."""
    return now_ms - switch.since_ms >= SILENT_AFTER_MS


def due(switch: Switch, *, source: str, off_w: float, now_ms: int) -> tuple[Switch, EventPut | EventDelete] | None:
    """What has to be said to the site now, with the switch once it is said; None: nothing."""
    off = switch.target == OFF or is_silent(switch, now_ms)
    if off and (not switch.off_id or switch.off_until_ms - now_ms < RENEW_WITHIN_MS):
        event = _off(switch, source, off_w, now_ms)
        return replace(switch, off_id=event.event_id, off_until_ms=event.expires_ms), EventPut(event=event)
    restored = switch.restore_at_ms is not None and now_ms >= switch.restore_at_ms
    if not off and switch.off_id and restored:
        seq = now_ms // MS_PER_S
        message = EventDelete(source=source, event_id=switch.off_id, msg_id=f"compat-{seq}", epoch=0, seq=seq)
        return replace(switch, off_id="", off_until_ms=0, restore_at_ms=None), message
    return None


def said(switch: Switch, after: Switch) -> Switch:
    """The switch once `due` was said; a message heard in the meantime is kept."""
    done = replace(switch, off_id=after.off_id, off_until_ms=after.off_until_ms)
    if after.off_id and switch.target == ON and switch.restore_at_ms is None:
        return replace(done, restore_at_ms=switch.since_ms + RESTORE_AFTER_MS)
    return done if after.off_id else replace(done, restore_at_ms=None)


def to_bytes(switch: Switch) -> bytes:
    """What must survive a restart."""
    return json.dumps([switch.timestamp, switch.target, switch.off_id, switch.off_until_ms]).encode()


def from_bytes(stored: bytes | None, now_ms: int) -> Switch:
    """The switch as it was stored; its silence is counted from now."""
    try:
        timestamp, target, off_id, off_until_ms = json.loads(stored or b"")
        return Switch(
            since_ms=now_ms,
            timestamp=int(timestamp),
            target=target if target in (OFF, ON) else None,
            off_id=str(off_id),
            off_until_ms=int(off_until_ms),
        )
    except (ValueError, TypeError):
        return Switch(since_ms=now_ms)


def _off(switch: Switch, source: str, off_w: float, now_ms: int) -> GridEvent:
    seq = now_ms // MS_PER_S
    until_ms = now_ms + HOLDS_MS
    return GridEvent(
        event_id=switch.off_id or f"compat-{seq}",
        msg_id=f"compat-{seq}",
        source=source,
        issuer=source,
        epoch=0,
        seq=seq,
        event_class=EventClass.LIMIT,
        priority=LOWEST_PRIORITY,
        created_ms=now_ms,
        expires_ms=until_ms,
        intervals=(Interval(start_ms=now_ms, end_ms=until_ms, limit_w=off_w),),
        respond_within_s=respond_within_s(EventClass.LIMIT),
        on_expiry=OnExpiry.HOLD,
    )
