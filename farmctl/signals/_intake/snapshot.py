"""The snapshot of all live events, and the heartbeat that confirms it (SIGNALS 3.4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from farmctl.core.grid import EventClass, GridEvent
from farmctl.core.reasons import Reason
from farmctl.signals._intake.convert import grid_event, stretched
from farmctl.signals._intake.duration import DAY_MS
from farmctl.signals._intake.notification import Count, EventBody, Strict, Time, event_of
from farmctl.signals._intake.origin import check_addressee
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.signature import digest
from farmctl.signals._intake.standing import Pair
from farmctl.signals._intake.verdict import NotAcceptedError

MOST_VALID_MS = DAY_MS
MOST_EVENTS = 1_000


class SnapshotBody(Strict):
    """A snapshot as sent; its events are read one by one."""

    v: Literal[1]
    issuer: Annotated[str, Field(min_length=1, max_length=64)]
    epoch: Count
    seq: Count
    issued_at: Time = Field(alias="issuedAt")
    expires_at: Time = Field(alias="expiresAt")
    events: Annotated[list[dict[str, Any]], Field(max_length=MOST_EVENTS)]


class HeartbeatBody(Strict):
    """A heartbeat as sent."""

    v: Literal[1]
    issuer: Annotated[str, Field(min_length=1, max_length=64)]
    epoch: Count
    seq: Count
    hb: Count
    ts: Time
    snapshot_hash: Annotated[str, Field(alias="snapshotHash", max_length=128)]


def hashes_of(payload: JsonObject) -> frozenset[str]:
    """SHA-256, hex, of the canonical snapshot with and without its `sig`: senders read the contract either way."""
    unsigned = {name: value for name, value in payload.items() if name != "sig"}
    return frozenset({digest(payload), digest(unsigned)})


def events_of(body: SnapshotBody, rules: IntakeRules, *, now_ms: int) -> list[tuple[GridEvent, JsonObject]]:
    """The events that a snapshot lists, all or nothing, each with what it was read from.

    An entry whose authority has ended is left out, except an EMERGENCY: listed means latched.
    Raises NotAcceptedError naming the entry at fault.
    """
    found: list[tuple[GridEvent, JsonObject]] = []
    seen: set[str] = set()
    for number, entry in enumerate(body.events):
        try:
            event = _entry(event_of(entry), body, rules, now_ms)
        except NotAcceptedError as fault:
            raise NotAcceptedError(fault.reason, f"events.{number}: {fault.detail}", code=fault.code) from fault
        if event.event_id in seen:
            raise NotAcceptedError(Reason.BAD_FIELD, f"events.{number}: id {event.event_id} is listed twice")
        seen.add(event.event_id)
        if event.event_class is EventClass.EMERGENCY:
            found.append((stretched(event, body.expires_at), entry))
        elif event.end_ms > now_ms:
            found.append((event, entry))
    return found


def _entry(entry: EventBody, body: SnapshotBody, rules: IntakeRules, now_ms: int) -> GridEvent:
    x = entry.x
    pair: Pair = (x.epoch, x.seq)
    if x.issuer != body.issuer:
        raise NotAcceptedError(Reason.UNKNOWN_ISSUER, f"issued by {x.issuer}, the snapshot by {body.issuer}")
    if pair > (body.epoch, body.seq):
        raise NotAcceptedError(Reason.BAD_FIELD, f"(epoch, seq) {pair} is above the snapshot's own")
    check_addressee(entry, rules)
    return grid_event(entry, rules, now_ms=min(now_ms, x.issued_at))
