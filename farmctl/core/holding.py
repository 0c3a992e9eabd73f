"""What an event leaves behind: a held limit stays until a newer message of its source, or fail-safe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from farmctl.core.events import Transition
from farmctl.core.grid import EventClass, EventPut, EventState, OnExpiry, SignalMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLimit:
    """The last limit of an ended event with `onExpiry` HOLD (SIGNALS 3.3)."""

    source: str
    event_id: str
    limit_w: float
    since_ms: int


def hold(
    held: tuple[HeldLimit, ...], ended: Iterable[Transition], inbox: Iterable[SignalMessage], *, failsafe: bool
) -> tuple[HeldLimit, ...]:
    """Drop what a newer message of its source or fail-safe replaces, then add what has just ended with HOLD."""
    heard = {message.event.source if isinstance(message, EventPut) else message.source for message in inbox}
    kept = [] if failsafe else [limit for limit in held if limit.source not in heard]
    for move in ended:
        event, state = move.track.event, move.track.state
        over = state in (EventState.COMPLETED, EventState.FAILED)
        if failsafe or not over or event.on_expiry is not OnExpiry.HOLD or event.event_class is EventClass.TEST:
            continue
        last = event.at(event.end_ms - 1) or event.intervals[-1]
        if last.limit_w is not None:
            kept.append(
                HeldLimit(
                    source=event.source,
                    event_id=event.event_id,
                    limit_w=last.limit_w,
                    since_ms=move.track.since_ms,
                )
            )
    return tuple(kept)
