"""A source that lists all its events each time it is asked: what is new, what has changed, what is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from farmctl.core.grid import EventClass, EventDelete, EventPut, GridEvent
from farmctl.signals._intake.convert import ceiling_w
from farmctl.signals._intake.duration import DAY_MS, rfc3339
from farmctl.signals._intake.on_event import check_latch
from farmctl.signals._intake.origin import MOST_AUTHORITY_MS
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.standing import KnownEvent, Pair, Standing

ENDING_MS = 5_000
"""An event that vanishes this shortly before its end has ended by the other side's clock; it is not withdrawn."""
RENEW_WITHIN_MS = DAY_MS
"""Authority is at most 7 days long; an open-ended event that is still listed is put again when a day is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to say to the site, and what is remembered once it is durable."""

    message: EventPut | EventDelete
    standing: Standing


def listing_digest(body: JsonObject, *, without: Collection[str] = ()) -> str:
    """Digest of what a listed event says, without the named members."""
    rest = {name: value for name, value in body.items() if name not in without}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:32]


def bare_extension(
    event_id: str, event_class: EventClass, *, issuer: str, pair: Pair, made_ms: int, now_ms: int
) -> JsonObject:
    """The `x-farmctl` object of an event whose sender knows none: its origin was proven by the transport.

    Its end of authority is as late as may be; who converts the event cuts it to the last interval.
    """
    return {
        "v": 1,
        "msgId": _message_id(event_id, pair, now_ms),
        "epoch": pair[0],
        "seq": pair[1],
        "issuer": issuer,
        "issuedAt": rfc3339(made_ms),
        "expiresAt": rfc3339(now_ms + MOST_AUTHORITY_MS),
        "class": event_class.value,
    }


def next_pair(standing: Standing) -> Pair:
    """(epoch, seq) of the next change; the other side of a listing has no counter, so this is the site's own."""
    epoch, seq = standing.pair or (0, 0)
    return epoch, seq + 1


def is_unchanged(standing: Standing, event_id: str, digest: str, now_ms: int) -> bool:
    """It was taken as it is listed now and need not be renewed yet."""
    known = standing.known.get(event_id)
    return known is not None and known.digest == digest and known.until_ms - now_ms >= RENEW_WITHIN_MS


def put(standing: Standing, event: GridEvent, digest: str, now_ms: int) -> Change | None:
    """A new, changed or renewed event; None where it ended or says nothing new.

    Raises NotAcceptedError for what would weaken a latched EMERGENCY.
    """
    known = standing.known.get(event.event_id)
    same = known is not None and known.digest == digest
    renewed = known is not None and event.end_ms > known.until_ms and known.until_ms - now_ms < RENEW_WITHIN_MS
    if (same and not renewed) or event.end_ms <= now_ms:
        return None
    check_latch(event, standing, now_ms)
    fresh = KnownEvent(
        event_class=event.event_class, digest=digest, until_ms=event.end_ms, ceiling_w=ceiling_w(event), simple=False
    )
    after = replace(standing, pair=(event.epoch, event.seq)).with_event(event.event_id, fresh, now_ms)
    return Change(message=EventPut(event=event), standing=after)


def gone(standing: Standing, listed: Collection[str], *, source: str, now_ms: int) -> Iterator[Change]:
    """Withdrawals of known events that are no longer listed; an EMERGENCY is not ended by its absence."""
    for event_id, known in standing.known.items():
        if event_id in listed or known.event_class is EventClass.EMERGENCY:
            continue
        pair = next_pair(standing)
        standing = replace(standing, pair=pair).without_event(event_id)
        if known.until_ms - now_ms > ENDING_MS:
            message = EventDelete(
                source=source, event_id=event_id, msg_id=f"{event_id}-gone-{pair[1]}", epoch=pair[0], seq=pair[1]
            )
            yield Change(message=message, standing=standing)


def _message_id(event_id: str, pair: Pair, now_ms: int) -> str:
    """A UUIDv7 made of the time and what it is about: such events have no message ids."""
    tail = hashlib.sha256(f"{event_id}:{pair[0]}:{pair[1]}".encode()).hexdigest()
    stamp = f"{now_ms:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:18]}"
