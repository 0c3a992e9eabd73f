"""A simple message: proven, ordered, and turned into a statement that replaces the one before."""

from __future__ import annotations

from dataclasses import replace

from farmctl.core.grid import EventClass, EventDelete, EventPut, EventState, GridEvent
from farmctl.core.reasons import Reason
from farmctl.signals._intake import origin
from farmctl.signals._intake.convert import ceiling_w
from farmctl.signals._intake.desk import CANCELLED_CODE, RECEIVED_CODE, Claim, Desk, pair_of
from farmctl.signals._intake.notification import checked
from farmctl.signals._intake.permissions import check_class, check_step, last_setpoint_w
from farmctl.signals._intake.sequence import Order
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.simple import SimpleBody, check_until, grid_event
from farmctl.signals._intake.standing import KnownEvent, Pair
from farmctl.signals._intake.verdict import Accepted


def claim_of(payload: JsonObject, desk: Desk) -> Claim:
    """What a simple message says it is, its origin proven.  Raises ForgedError."""
    if desk.rules.signed:
        origin.check_signature(
            {name: value for name, value in payload.items() if name != "sig"},
            kid=payload.get("kid", desk.rules.issuer.default_kid),
            signature=payload.get("sig"),
            topic=desk.delivery.topic,
            keyring=desk.keyring,
            now_ms=desk.now_ms,
        )
    pair = pair_of(payload.get("epoch", 0), payload.get("seq"))
    name = "simple" if pair is None else f"simple-{pair[0]}-{pair[1]}"
    return Claim(event_id=name, msg_id="" if pair is None else name, pair=pair)


def on_simple(payload: JsonObject, claim: Claim, desk: Desk) -> Accepted:
    """The verdict on a simple message whose origin is proven.  Raises NotAcceptedError."""
    origin.check_version(payload)
    body = checked(SimpleBody, payload)
    pair = (body.epoch, body.seq)
    order = desk.order(pair)
    check_until(body, desk.now_ms)
    desk.check_offset(body.event_class)
    if body.release:
        return _released(body, claim, desk, pair, order)
    event = _lowered(grid_event(body, desk.rules, now_ms=desk.now_ms), desk)
    check_step(desk.rules.issuer, event, desk.standing.setpoint_w)
    setpoint_w = last_setpoint_w(event, desk.standing.setpoint_w)
    known = KnownEvent(
        event_class=event.event_class,
        digest="",
        until_ms=event.expires_ms,
        ceiling_w=ceiling_w(event),
        simple=True,
    )
    latched = {k: v for k, v in desk.standing.known.items() if v.event_class is EventClass.EMERGENCY}
    after = replace(desk.standing, pair=pair, known=latched, setpoint_w=setpoint_w).with_event(
        event.event_id, known, desk.now_ms
    )
    return desk.accepted(
        EventPut(event=event, replaces_source=True),
        after=after,
        pair=pair,
        order=order,
        issued_ms=desk.now_ms,
        ack=desk.ack(claim, EventState.RECEIVED, RECEIVED_CODE),
    )


def _lowered(event: GridEvent, desk: Desk) -> GridEvent:
    """A repeated EMERGENCY stays the event that latched, so that one release ends it; repeats never raise it."""
    latched = desk.standing.latched_simple()
    if event.event_class is not EventClass.EMERGENCY or latched is None:
        return event
    ceiling = desk.standing.known[latched].ceiling_w
    limits = [w for w in (event.intervals[0].limit_w, ceiling) if w is not None]
    interval = replace(event.intervals[0], limit_w=min(limits, default=None))
    return replace(event, event_id=latched, intervals=(interval,))


def _released(body: SimpleBody, claim: Claim, desk: Desk, pair: Pair, order: Order) -> Accepted:
    check_class(desk.rules.issuer, EventClass.EMERGENCY)
    latched = desk.standing.latched_simple()
    message = EventDelete(
        source=desk.rules.source,
        event_id=latched or body.message_id,
        msg_id=body.message_id,
        epoch=body.epoch,
        seq=body.seq,
        release=True,
    )
    after = replace(desk.standing, pair=pair).without_event(message.event_id)
    if latched is None:
        ack = desk.ack(claim, EventState.CANCELLED, CANCELLED_CODE, Reason.CANCELLED)
    else:
        ack = desk.ack(claim, EventState.RECEIVED, RECEIVED_CODE)
    return desk.accepted(message, after=after, pair=pair, order=order, issued_ms=desk.now_ms, ack=ack)
