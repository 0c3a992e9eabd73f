"""A CREATE, UPDATE or DELETE of an event: every check of table 3.2 in order, then the verdict."""

from __future__ import annotations

from dataclasses import replace

from farmctl.core.grid import Ack, EventClass, EventDelete, EventPut, EventState, GridEvent
from farmctl.core.reasons import Reason
from farmctl.signals._intake import origin
from farmctl.signals._intake.convert import ceiling_w, grid_event
from farmctl.signals._intake.desk import CANCELLED_CODE, RECEIVED_CODE, Claim, Desk, Route, pair_of
from farmctl.signals._intake.notification import Withdrawal, asked_reports, event_of, withdrawal_of
from farmctl.signals._intake.permissions import check_class, check_step, last_setpoint_w
from farmctl.signals._intake.sequence import Order
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.signature import digest
from farmctl.signals._intake.standing import KnownEvent, Standing
from farmctl.signals._intake.verdict import EXPIRED, Accepted, NotAcceptedError

MOST_ID = 128
EXTENSION = "x-farmctl"
_PER_MESSAGE = frozenset({"msgId", "epoch", "seq", "kid", "issuedAt", "sig"})
_TIMES = frozenset({EXTENSION, "createdDateTime", "modificationDateTime"})


def claim_of(payload: JsonObject, desk: Desk) -> Claim:
    """What the event says it is, its origin proven.  Raises NotAcceptedError, ForgedError."""
    body = payload.get("object")
    header = body.get(EXTENSION) if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(header, dict):
        raise NotAcceptedError(Reason.BAD_FIELD, "object.x-farmctl: expected an object")
    origin.check_issuer(header, desk.rules)
    if desk.rules.signed:
        bare = {name: value for name, value in header.items() if name != "sig"}
        origin.check_signature(
            {**payload, "object": {**body, EXTENSION: bare}},
            kid=header.get("kid"),
            signature=header.get("sig"),
            topic=desk.delivery.topic,
            keyring=desk.keyring,
            now_ms=desk.now_ms,
        )
    return Claim(
        event_id=_text(body.get("id")),
        msg_id=_text(header.get("msgId")),
        pair=pair_of(header.get("epoch"), header.get("seq")),
    )


def on_event(payload: JsonObject, claim: Claim, desk: Desk) -> Accepted:
    """The verdict on an event whose origin is proven.  Raises NotAcceptedError."""
    route = desk.delivery.route
    if payload.get("objectType") != "EVENT":
        raise NotAcceptedError(Reason.BAD_FIELD, "objectType: expected EVENT")
    if payload.get("operation") != str(route):
        raise NotAcceptedError(Reason.BAD_FIELD, f"operation: expected {route}, as the topic says")
    body: JsonObject = payload["object"]
    origin.check_version(body[EXTENSION])
    if route is Route.DELETE:
        return _withdrawn(withdrawal_of(body), claim, desk)
    return _put(body, claim, desk)


def content_digest(body: JsonObject) -> str:
    """Digest of what an event means: without message numbers, stamps and signature."""
    extension = {name: value for name, value in body[EXTENSION].items() if name not in _PER_MESSAGE}
    rest = {name: value for name, value in body.items() if name not in _TIMES}
    return digest({**rest, EXTENSION: extension})[:32]


def known_event(event: GridEvent, body: JsonObject) -> KnownEvent:
    """What is remembered of an accepted event."""
    return KnownEvent(
        event_class=event.event_class,
        digest=content_digest(body),
        until_ms=event.expires_ms,
        ceiling_w=ceiling_w(event),
    )


def check_latch(event: GridEvent, standing: Standing, now_ms: int) -> None:
    """Raises NotAcceptedError for what would end, delay or raise a latched EMERGENCY without its release."""
    known = standing.known.get(event.event_id)
    if known is None or known.event_class is not EventClass.EMERGENCY:
        return
    raised = known.ceiling_w is not None and ((top := ceiling_w(event)) is None or top > known.ceiling_w)
    if event.event_class is not EventClass.EMERGENCY or event.start_ms > now_ms or raised:
        raise NotAcceptedError(
            Reason.EMERGENCY_LATCHED,
            f"event {event.event_id} is a latched EMERGENCY: it may be lowered, or ended by a DELETE with release",
        )


def _put(body: JsonObject, claim: Claim, desk: Desk) -> Accepted:
    found = event_of(body)
    x = found.x
    order = _common(found, desk)
    if x.release:
        raise NotAcceptedError(Reason.BAD_FIELD, "x-farmctl.release: only with DELETE of an EMERGENCY")
    event = grid_event(found, desk.rules, now_ms=desk.now_ms)
    desk.check_offset(event.event_class)
    if event.end_ms <= desk.now_ms:
        raise NotAcceptedError(Reason.EXPIRED, "its last interval has ended", code=EXPIRED)
    check_latch(event, desk.standing, desk.now_ms)
    check_step(desk.rules.issuer, event, desk.standing.setpoint_w)
    known = desk.standing.known.get(event.event_id)
    fresh = known_event(event, body)
    if desk.delivery.route is Route.CREATE and known is not None and known.digest != fresh.digest:
        raise NotAcceptedError(Reason.BAD_FIELD, f"CREATE of event {event.event_id}, which exists with other content")
    pair = (x.epoch, x.seq)
    setpoint_w = last_setpoint_w(event, desk.standing.setpoint_w)
    after = replace(desk.standing, pair=pair, setpoint_w=setpoint_w).with_event(event.event_id, fresh, desk.now_ms)
    told = EventState.RECEIVED in event.ack_states
    ack = desk.ack(claim, EventState.RECEIVED, RECEIVED_CODE) if told else None
    put = EventPut(event=event)
    accepted = desk.accepted(put, after=after, pair=pair, order=order, issued_ms=x.issued_at, ack=ack)
    return replace(accepted, asked={event.event_id: asked_reports(body)})


def _withdrawn(found: Withdrawal, claim: Claim, desk: Desk) -> Accepted:
    x = found.x
    order = _common(found, desk)
    known = desk.standing.known.get(found.id)
    event_class = x.event_class if known is None else known.event_class
    check_class(desk.rules.issuer, event_class)
    desk.check_offset(event_class)
    if event_class is EventClass.EMERGENCY and not x.release:
        raise NotAcceptedError(Reason.EMERGENCY_LATCHED, f"event {found.id} is an EMERGENCY: DELETE needs release")
    pair = (x.epoch, x.seq)
    message = EventDelete(
        source=desk.rules.source, event_id=found.id, msg_id=x.msg_id, epoch=x.epoch, seq=x.seq, release=x.release
    )
    after = replace(desk.standing, pair=pair).without_event(found.id)
    ack = _last_word(found.id, known, claim, desk)
    return desk.accepted(message, after=after, pair=pair, order=order, issued_ms=x.issued_at, ack=ack)


def _last_word(event_id: str, known: KnownEvent | None, claim: Claim, desk: Desk) -> Ack | None:
    """The answer to a DELETE: the core's CANCELLED follows for a live event; one that is over stays what it became."""
    over = desk.hearing.ended.get(event_id)
    if known is None:
        return desk.ack(claim, EventState.CANCELLED, CANCELLED_CODE, Reason.CANCELLED)
    return None if over is None else desk.ack(claim, over.state, over.code, over.reason)


def _common(found: Withdrawal, desk: Desk) -> Order:
    """Sequence first, so that a replay of something old is dropped whatever else is wrong with it."""
    x = found.x
    order = desk.order((x.epoch, x.seq))
    if desk.standing.pair is None:
        raise NotAcceptedError(
            Reason.OLD_SEQUENCE, "no sequence is stored here yet: a snapshot that a heartbeat confirms must come first"
        )
    origin.check_issued(x.issued_at, desk.now_ms)
    origin.check_authority(x.issued_at, x.expires_at, desk.now_ms)
    origin.check_addressee(found, desk.rules)
    check_class(desk.rules.issuer, x.event_class)
    return order


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MOST_ID else ""
