"""A snapshot, a heartbeat or a keys message: proven, ordered, and turned into a verdict."""

from __future__ import annotations

from dataclasses import replace

from farmctl.core.grid import EventClass, EventState, SnapshotPut
from farmctl.core.reasons import Reason
from farmctl.signals._intake import origin
from farmctl.signals._intake.clocks import MOST_SKEW_MS
from farmctl.signals._intake.desk import Claim, Desk, Route, pair_of
from farmctl.signals._intake.keys import KeysMessage, rotated
from farmctl.signals._intake.notification import asked_reports, checked
from farmctl.signals._intake.on_event import EXTENSION, check_latch, known_event
from farmctl.signals._intake.permissions import check_step, last_setpoint_w
from farmctl.signals._intake.sequence import Order, order_of
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.snapshot import MOST_VALID_MS, HeartbeatBody, SnapshotBody, events_of, hashes_of
from farmctl.signals._intake.standing import Pair, Standing
from farmctl.signals._intake.verdict import (
    NOT_SUPPORTED,
    Accepted,
    Deferred,
    Duplicate,
    Heartbeat,
    KeysChanged,
    NotAcceptedError,
)


def claim_of(payload: JsonObject, desk: Desk) -> Claim:
    """What a message with a flat header says it is, its origin proven.  Raises ForgedError."""
    origin.check_issuer(payload, desk.rules)
    if desk.rules.signed:
        origin.check_signature(
            {name: value for name, value in payload.items() if name != "sig"},
            kid=payload.get("kid"),
            signature=payload.get("sig"),
            topic=desk.delivery.topic,
            keyring=desk.keyring.with_root() if desk.delivery.route is Route.KEYS else desk.keyring,
            now_ms=desk.now_ms,
        )
    pair = pair_of(payload.get("epoch"), payload.get("seq"))
    name = str(desk.delivery.route).lower()
    msg_id = name if pair is None else f"{name}-{pair[0]}-{pair[1]}"
    return Claim(event_id=name, msg_id=msg_id, pair=pair)


def on_snapshot(payload: JsonObject, desk: Desk) -> Accepted | Duplicate | Deferred:
    """The verdict on a snapshot whose origin is proven.  Raises NotAcceptedError."""
    origin.check_version(payload)
    body = checked(SnapshotBody, payload)
    pair = (body.epoch, body.seq)
    hashes = hashes_of(payload)
    standing = desk.standing
    if hashes & desk.hearing.applied and (pair == standing.snapshot or desk.delivery.retained):
        # A resync may read back what was applied before the message that asked for it: the grid lists anew later.
        return Duplicate(ack=None)
    _check_order(pair, hashes, standing)
    origin.check_issued(body.issued_at, desk.now_ms)
    origin.check_authority(body.issued_at, body.expires_at, desk.now_ms, most_ms=MOST_VALID_MS)
    desk.check_offset(None)
    if standing.pair is None and desk.hearing.beat_hash not in hashes:
        return Deferred(detail="no sequence is stored here yet: waiting for a heartbeat that confirms this snapshot")
    body = body.model_copy(update={"events": [e for e in body.events if not _was_rejected(e, desk)]})
    events = events_of(body, desk.rules, now_ms=desk.now_ms)
    setpoint_w = standing.setpoint_w
    for event, _ in events:
        check_latch(event, standing, desk.now_ms)
        if event.event_id not in standing.known:
            check_step(desk.rules.issuer, event, setpoint_w)
            setpoint_w = last_setpoint_w(event, setpoint_w)
    latched = {k: v for k, v in standing.known.items() if v.event_class is EventClass.EMERGENCY}
    listed = {event.event_id: known_event(event, entry) for event, entry in events}
    after = replace(
        standing,
        pair=pair,
        snapshot=pair,
        snapshot_hash=min(hashes),
        known={**latched, **listed},
        setpoint_w=setpoint_w,
    )
    asked = {event.event_id: asked_reports(entry) for event, entry in events}
    message = SnapshotPut(
        source=desk.rules.source,
        msg_id=f"snapshot-{body.epoch}-{body.seq}",
        epoch=body.epoch,
        seq=body.seq,
        events=tuple(event for event, _ in events),
    )
    accepted = desk.accepted(
        message, after=after, pair=pair, order=Order.NEXT, issued_ms=body.issued_at, snapshot_hashes=hashes
    )
    return replace(accepted, asked=asked)


def on_heartbeat(payload: JsonObject, desk: Desk) -> Heartbeat:
    """The verdict on a heartbeat whose origin is proven.  Raises NotAcceptedError."""
    origin.check_version(payload)
    body = checked(HeartbeatBody, payload)
    beat = (body.epoch, body.hb)
    last = desk.hearing.beat
    if last is not None and beat <= last:
        raise NotAcceptedError(Reason.OLD_SEQUENCE, f"(epoch, hb) {beat} is not above the last {last}")
    stored = desk.standing.pair
    if stored is not None and body.epoch < stored[0]:
        raise NotAcceptedError(Reason.OLD_SEQUENCE, f"epoch {body.epoch} is over, {stored[0]} is accepted")
    offset_ms = body.ts - desk.now_ms
    fresh = abs(offset_ms) <= MOST_SKEW_MS
    pair = (body.epoch, body.seq)
    heard = max((p for p in (stored, desk.hearing.pair) if p is not None), default=None)
    behind = heard is None or pair > heard or body.snapshot_hash not in desk.hearing.applied
    return Heartbeat(
        pair=pair,
        beat=beat,
        at_ms=desk.now_ms,
        offset_ms=offset_ms,
        fresh=fresh,
        snapshot_hash=body.snapshot_hash,
        resync=fresh and behind,
    )


def on_keys(payload: JsonObject, desk: Desk) -> KeysChanged | Duplicate:
    """The verdict on a keys message signed by a key that is trusted.  Raises NotAcceptedError."""
    if not desk.rules.signed:
        raise NotAcceptedError(Reason.UNSUPPORTED, "keys mean nothing in unsigned-demo", code=NOT_SUPPORTED)
    origin.check_version(payload)
    body = checked(KeysMessage, payload)
    origin.check_issued(body.issued_at, desk.now_ms)
    if body.issued_at < desk.keyring.announced_ms:
        raise NotAcceptedError(Reason.OLD_SEQUENCE, "issuedAt is before the last accepted keys message")
    ring = rotated(desk.keyring, body)
    return Duplicate(ack=None) if ring == desk.keyring else KeysChanged(keyring=ring)


def _was_rejected(entry: JsonObject, desk: Desk) -> bool:
    """Whether that very message was answered REJECTED: both sides know that it does not live.

    An entry that changes a live event is never left out: without it the snapshot would cancel the event.
    """
    extension = entry.get(EXTENSION)
    msg_id = extension.get("msgId") if isinstance(extension, dict) else None
    if not isinstance(msg_id, str) or entry.get("id") in desk.standing.known:
        return False
    told = desk.seen.last_ack(msg_id)
    return told is not None and told.state is EventState.REJECTED


def _check_order(pair: Pair, hashes: frozenset[str], standing: Standing) -> None:
    """At least the stored pair, and never two different snapshots of one pair."""
    if order_of(pair, standing.pair, None) is Order.OLD and pair != standing.pair:
        raise NotAcceptedError(
            Reason.OLD_SEQUENCE, f"snapshot {pair} is below the accepted (epoch, seq) {standing.pair}"
        )
    if pair == standing.snapshot and standing.snapshot_hash not in hashes:
        raise NotAcceptedError(Reason.OLD_SEQUENCE, f"another snapshot {pair} was accepted before")
