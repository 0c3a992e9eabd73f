"""A source that lists all its events each time it is asked: what is new, what has changed, what is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from farmctl.core.grid import EventClass, EventDelete, EventPut, GridEvent
from farmctl.signals._intake.convert import ceiling_w
from farmctl.signals._intake.duration import DAY_MS
from farmctl.signals._intake.on_event import check_latch
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
    same = known is not None and known.digest == digest and event.end_ms <= known.until_ms
    if same or event.end_ms <= now_ms:
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
