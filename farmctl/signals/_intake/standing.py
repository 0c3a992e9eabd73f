"""What a source must remember across restarts: the sequence, the last snapshot, the events it knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from farmctl.core.grid import EventClass

KEEP_KNOWN_MS = 60_000
"""An event is remembered this long past its authority, as long as the core remembers an ended one."""
MOST_KNOWN = 1_000
"""More live events of one issuer than any schedule needs; the ones that end first are forgotten first."""

Pair = tuple[int, int]
"""(epoch, seq), compared as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEvent:
    """What must be known of an accepted event to judge later messages about it."""

    event_class: EventClass
    digest: str
    """Of its content; a CREATE of the same id with another digest is refused."""
    until_ms: int
    ceiling_w: float | None
    """Highest limit of its intervals; an EMERGENCY may not be raised by an update."""
    simple: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The durable memory of one (issuer, site)."""

    pair: Pair | None = None
    """Last accepted (epoch, seq); None when nothing is stored: first start, or a lost store."""
    snapshot: Pair | None = None
    snapshot_hash: str = ""
    known: Mapping[str, KnownEvent] = field(default_factory=lambda: MappingProxyType({}))
    setpoint_w: float | None = None
    """Last accepted set-point, from which the issuer's next step is counted."""

    def with_event(self, event_id: str, event: KnownEvent, now_ms: int) -> Standing:
        """With one more event, without those that ended; an EMERGENCY stays until it is released."""
        kept = {**self.known, event_id: event}
        return replace(self, known=_pruned(kept, now_ms))

    def without_event(self, event_id: str) -> Standing:
        """After a withdrawal."""
        return replace(self, known={k: v for k, v in self.known.items() if k != event_id})

    def without_orders(self) -> Standing:
        """Nothing but latched EMERGENCYs is known any more."""
        return replace(self, known={k: v for k, v in self.known.items() if _latched(v)})

    def latched_simple(self) -> str | None:
        """The id under which an EMERGENCY of the simple form is latched."""
        return next((k for k, v in self.known.items() if v.simple and v.event_class is EventClass.EMERGENCY), None)


def _pruned(known: Mapping[str, KnownEvent], now_ms: int) -> dict[str, KnownEvent]:
    kept = {k: v for k, v in known.items() if _latched(v) or now_ms < v.until_ms + KEEP_KNOWN_MS}
    surplus = len(kept) - MOST_KNOWN
    if surplus > 0:
        for event_id in sorted((k for k, v in kept.items() if not _latched(v)), key=lambda k: kept[k].until_ms)[
            :surplus
        ]:
            del kept[event_id]
    return kept


def _latched(event: KnownEvent) -> bool:
    return event.event_class is EventClass.EMERGENCY


def to_bytes(standing: Standing) -> bytes:
    """The standing as it is stored."""
    body = {
        "v": 1,
        "pair": standing.pair,
        "snapshot": standing.snapshot,
        "snapshotHash": standing.snapshot_hash,
        "setpointW": standing.setpoint_w,
        "known": {k: [v.event_class, v.digest, v.until_ms, v.ceiling_w, v.simple] for k, v in standing.known.items()},
    }
    return json.dumps(body, separators=(",", ":")).encode()


def from_bytes(stored: bytes | None) -> Standing:
    """The standing as it was stored; nothing or rubbish counts as a lost store, which is the careful reading."""
    if stored is None:
        return Standing()
    try:
        body = json.loads(stored)
        known = {
            str(k): KnownEvent(event_class=EventClass(c), digest=str(d), until_ms=int(u), ceiling_w=w, simple=bool(s))
            for k, (c, d, u, w, s) in body["known"].items()
        }
        return Standing(
            pair=_pair(body["pair"]),
            snapshot=_pair(body["snapshot"]),
            snapshot_hash=str(body["snapshotHash"]),
            known=known,
            setpoint_w=None if (setpoint_w := body.get("setpointW")) is None else float(setpoint_w),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Standing()


def _pair(stored: Any) -> Pair | None:
    if stored is None:
        return None
    epoch, seq = stored
    return int(epoch), int(seq)
