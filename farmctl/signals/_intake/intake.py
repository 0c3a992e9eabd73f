"""The one door: a delivery in, a verdict out; what is remembered changes only when a verdict is committed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import assert_never

from farmctl.core.events import TERMINAL
from farmctl.core.grid import Ack, EventDelete, EventPut, EventState, OptOut, SnapshotPut
from farmctl.core.reasons import Reason
from farmctl.ports.grid import Refusal
from farmctl.signals._intake import held, keys, on_event, on_simple, on_snapshot, standing
from farmctl.signals._intake.clocks import MOST_SKEW_MS
from farmctl.signals._intake.desk import Claim, Delivery, Desk, Hearing, Route
from farmctl.signals._intake.notification import checked
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.sequence import SeenMessages
from farmctl.signals._intake.shape import MAX_BYTES, MAX_SIMPLE_BYTES, JsonObject, json_object
from farmctl.signals._intake.snapshot import HeartbeatBody
from farmctl.signals._intake.standing import Pair
from farmctl.signals._intake.verdict import (
    Accepted,
    Deferred,
    Duplicate,
    Heartbeat,
    Held,
    KeysChanged,
    NotAcceptedError,
    Refused,
    Verdict,
)

RETAINED_ROUTES = frozenset({Route.SNAPSHOT, Route.KEYS})
_UNANSWERED = frozenset({Route.HEARTBEAT, Route.HELD})
"""An answer to an acknowledgement would be acknowledged."""
_PASSING = frozenset({Reason.CLOCK_AHEAD, Reason.UNKNOWN_ISSUER})
"""Faults that time or new keys may cure: the same snapshot is looked at again."""


class Intake:
    """The checks of one source.  `judge` changes nothing; `commit` follows once the verdict is durable."""

    def __init__(self, rules: IntakeRules, *, sequence: bytes | None = None, keyring: bytes | None = None) -> None:
        self.rules = rules
        self.standing = standing.from_bytes(sequence)
        self.keyring = keys.from_bytes(rules.pinned, keyring)
        self.hearing = Hearing(applied=frozenset())
        self.seen = SeenMessages()

    def judge(self, delivery: Delivery, now_ms: int) -> Verdict:
        """What to do with a delivery; never raises, whatever its bytes are."""
        desk = self._desk(delivery, now_ms)
        claim: Claim | None = None
        try:
            payload = _opened(delivery)
            if delivery.retained and _known_rubbish(delivery) in self.seen:
                return Duplicate(ack=None)
            claim = _claim(payload, desk)
            if _acked(delivery.route) and claim.msg_id in self.seen:
                return _repeated(claim, desk)
            return _judged(payload, claim, desk)
        except NotAcceptedError as fault:
            return _refused(fault, claim, desk)

    def speaks_of_now(self, delivery: Delivery, now_ms: int) -> bool:
        """Whether it is of proven origin and was made just now, heard before or not: the way it came is open."""
        try:
            payload = _opened(delivery)
            claim = _claim(payload, self._desk(delivery, now_ms))
            if delivery.route is Route.HEARTBEAT:
                return abs(checked(HeartbeatBody, payload).ts - now_ms) <= MOST_SKEW_MS
        except NotAcceptedError:
            return False
        newest = self.hearing.pair or self.standing.pair
        return delivery.route is Route.SIMPLE and claim.pair is not None and (newest is None or claim.pair >= newest)

    def _desk(self, delivery: Delivery, now_ms: int) -> Desk:
        return Desk(
            rules=self.rules,
            keyring=self.keyring,
            standing=self.standing,
            hearing=self.hearing,
            seen=self.seen,
            delivery=delivery,
            now_ms=now_ms,
        )

    def commit(self, verdict: Verdict) -> None:
        """Remember a verdict: after the receipt is durable, or after the refusal is journalled."""
        match verdict:
            case Accepted():
                self.standing = verdict.standing
                applied = verdict.snapshot_hashes or self.hearing.applied
                self.hearing = replace(self.hearing, pair=self._highest(verdict.pair), applied=applied)
                if verdict.ack is not None:
                    self.seen.remember(verdict.ack.msg_id, verdict.ack)
                else:
                    self.seen.remember(_message_id(verdict), None)
            case Refused():
                if verdict.pair is not None:
                    self.hearing = replace(self.hearing, pair=self._highest(verdict.pair))
                self._remember_refusal(verdict)
            case Heartbeat():
                fresh_hash = verdict.snapshot_hash if verdict.fresh else self.hearing.beat_hash
                self.hearing = replace(
                    self.hearing,
                    beat=verdict.beat,
                    beat_hash=fresh_hash,
                    clocks=self.hearing.clocks.with_sample(verdict.at_ms, verdict.offset_ms),
                )
            case KeysChanged():
                self.keyring = verdict.keyring
            case Duplicate() | Deferred() | Held():
                pass
            case _ as never:
                assert_never(never)

    def note_ack(self, ack: Ack) -> None:
        """A later ack about a message: a repeat of the message is answered with this one."""
        if ack.msg_id in self.seen:
            self.seen.remember(ack.msg_id, ack)
        if ack.state in TERMINAL:
            self.hearing = self.hearing.with_end(ack)

    def forget_applied(self) -> None:
        """The snapshot that holds is applied once more when it is read again."""
        self.hearing = replace(self.hearing, applied=frozenset())

    def _highest(self, pair: Pair) -> Pair:
        return pair if self.hearing.pair is None else max(pair, self.hearing.pair)

    def _remember_refusal(self, refused: Refused) -> None:
        if refused.ack is not None and refused.ack.msg_id:
            self.seen.remember(refused.ack.msg_id, refused.ack)
        if refused.rubbish and refused.reason not in _PASSING:
            self.seen.remember(refused.rubbish, None)


def _opened(delivery: Delivery) -> JsonObject:
    if delivery.retained and delivery.route not in RETAINED_ROUTES:
        raise NotAcceptedError(Reason.RETAINED_NOT_ALLOWED, f"a retained copy on topic {delivery.topic}")
    most = MAX_SIMPLE_BYTES if delivery.route is Route.SIMPLE else MAX_BYTES
    return json_object(delivery.raw, max_bytes=most)


def _claim(payload: JsonObject, desk: Desk) -> Claim:
    match desk.delivery.route:
        case Route.CREATE | Route.UPDATE | Route.DELETE:
            return on_event.claim_of(payload, desk)
        case Route.SIMPLE:
            return on_simple.claim_of(payload, desk)
        case Route.SNAPSHOT | Route.HEARTBEAT | Route.KEYS | Route.HELD:
            return on_snapshot.claim_of(payload, desk)
        case _ as never:
            assert_never(never)


def _judged(payload: JsonObject, claim: Claim, desk: Desk) -> Verdict:
    match desk.delivery.route:
        case Route.CREATE | Route.UPDATE | Route.DELETE:
            return on_event.on_event(payload, claim, desk)
        case Route.SIMPLE:
            return on_simple.on_simple(payload, claim, desk)
        case Route.SNAPSHOT:
            return on_snapshot.on_snapshot(payload, desk)
        case Route.HEARTBEAT:
            return on_snapshot.on_heartbeat(payload, desk)
        case Route.KEYS:
            return on_snapshot.on_keys(payload, desk)
        case Route.HELD:
            return held.on_held(payload)
        case _ as never:
            assert_never(never)


def _acked(route: Route) -> bool:
    """Routes whose messages are answered one by one."""
    return route not in (Route.SNAPSHOT, Route.HEARTBEAT, Route.KEYS, Route.HELD)


def _known_rubbish(delivery: Delivery) -> str:
    """The name under which a refused retained message is remembered, so that each resync does not refuse it anew."""
    return f"{delivery.route}:{hashlib.sha256(delivery.raw).hexdigest()}" if not _acked(delivery.route) else ""


def _repeated(claim: Claim, desk: Desk) -> Duplicate:
    refusal = Refusal(
        source=desk.rules.source,
        topic=desk.delivery.topic,
        reason=Reason.DUPLICATE,
        detail=f"{desk.delivery.topic}: message {claim.msg_id} was seen before",
        ack=None,
        raw=desk.delivery.raw,
    )
    return Duplicate(ack=desk.seen.last_ack(claim.msg_id), refusal=refusal)


def _refused(fault: NotAcceptedError, claim: Claim | None, desk: Desk) -> Refused:
    """The refusal, answered where the origin is proven; something old is dropped without an answer (3.2)."""
    told = claim is not None and fault.reason is not Reason.OLD_SEQUENCE and desk.delivery.route not in _UNANSWERED
    ack = None
    if told and claim is not None:
        ack = desk.ack(claim, EventState.REJECTED, fault.code, f"{fault.reason}: {fault.detail}")
    refusal = Refusal(
        source=desk.rules.source,
        topic=desk.delivery.topic,
        reason=fault.reason,
        detail=f"{desk.delivery.topic}: {fault.detail}",
        ack=ack,
        raw=desk.delivery.raw,
    )
    return Refused(
        code=fault.code,
        reason=fault.reason,
        refusal=refusal,
        ack=ack,
        pair=claim.pair if claim is not None and desk.delivery.route not in _UNANSWERED else None,
        rubbish=_known_rubbish(desk.delivery) if desk.delivery.route in RETAINED_ROUTES else "",
    )


def _message_id(verdict: Accepted) -> str:
    message = verdict.receipt.message
    match message:
        case EventPut():
            return message.event.msg_id
        case EventDelete() | SnapshotPut():
            return message.msg_id
        case OptOut():
            return ""
        case _ as never:
            assert_never(never)
