"""One event with what became of it: from memory while it is remembered, else from the journal."""

from __future__ import annotations

from farmctl.control import strip
from farmctl.control.wire import ApiError, Json, iso
from farmctl.core.units import to_kw
from farmctl.errors import StoreError
from farmctl.ports.control import SitePicture
from farmctl.ports.store import RecordKind, Store

MOST_TOLD = 200
LOOKED_BACK = 200_000
"""Records of the journal that one question looks through; an older event is in its report."""


async def event(picture: SitePicture, store: Store | None, event_id: str) -> Json:
    """Raises ApiError 404 where nobody remembers it, 507 where the journal cannot be read."""
    track = next((t for t in picture.memory.tracks if t.event.event_id == event_id), None)
    row = next((row for row in strip.events(picture) if row["id"] == event_id), None)
    history = [] if store is None else await _told(store, event_id)
    if row is None and not history:
        raise ApiError(404, f"event {event_id}: no such event is remembered", field="id", hint="farmctl report EVENT")
    intervals: list[Json] = [
        {
            "start": iso(part.start_ms),
            "end": iso(part.end_ms),
            "limit_kw": None if part.limit_w is None else to_kw(part.limit_w),
            "setpoint_kw": None if part.setpoint_w is None else to_kw(part.setpoint_w),
            "subscription_kw": None if part.subscription_w is None else to_kw(part.subscription_w),
            "price_per_kwh": part.price,
        }
        for part in (track.event.intervals if track is not None else ())
    ]
    return {"event": row or {"id": event_id, "state": history[-1]["state"]}, "intervals": intervals, "history": history}


async def _told(store: Store, event_id: str) -> list[Json]:
    """Its moves, oldest first."""
    found: list[Json] = []
    try:
        head = await store.head()
        after = max((head.seq if head is not None else 0) - LOOKED_BACK, 0)
        async for stored in store.records(after_seq=after, kinds=frozenset({RecordKind.EVENT})):
            body = stored.record.body
            if event_id in (body.get("event"), body.get("id"), body.get("event_id")):
                found.append({"seq": stored.seq, "at": iso(stored.record.at_ms), **body})
    except StoreError as error:
        raise ApiError(507, str(error)) from error
    return found[-MOST_TOLD:]
