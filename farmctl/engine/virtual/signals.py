"""From the lines of a daybook to signals and to the state of link and meter, at their moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from farmctl.core.grid import (
    EventClass,
    EventDelete,
    EventPut,
    GridEvent,
    Interval,
    LinkStatus,
    OnExpiry,
    SignalMessage,
)
from farmctl.core.units import MS_PER_S
from farmctl.engine.virtual.daybook import Entry, Kind

SOURCE = "daybook"
RESPOND_WITHIN_S = {EventClass.EMERGENCY: 30.0, EventClass.LIMIT: 60.0}
RESPOND_WITHIN_ELSE_S = 300.0
"""SIGNALS 3.2, `respondWithinS`."""


@dataclass(slots=True)
class Script:
    """What is still to come, and how link and meter are now; one reader."""

    start_ms: int
    entries: tuple[Entry, ...]
    link_alive: bool = True
    meter_alive: bool = True
    last_valid_ms: int = -1
    _next: int = 0
    _seq: int = 0

    def next_ms(self) -> int | None:
        """When the next line is due; None after the last."""
        if self._next >= len(self.entries):
            return None
        return self.start_ms + round(self.entries[self._next].at_s * MS_PER_S)

    def due(self, now_ms: int) -> tuple[SignalMessage, ...]:
        """Everything up to now; signals that are sent while the link is lost never arrive."""
        heard: list[SignalMessage] = []
        while (at_ms := self.next_ms()) is not None and at_ms <= now_ms:
            entry = self.entries[self._next]
            self._next += 1
            heard += self._happens(entry, at_ms)
        if self.link_alive:
            self.last_valid_ms = now_ms
        return tuple(heard)

    def link(self) -> LinkStatus:
        """The grid link as it is now; it returns with a newer snapshot at once."""
        alive = self.link_alive
        return LinkStatus(source=SOURCE, connected=alive, last_valid_ms=self.last_valid_ms, confirmed=alive)

    def _happens(self, entry: Entry, at_ms: int) -> Iterable[SignalMessage]:
        match entry.kind:
            case Kind.LINK_LOST | Kind.LINK_BACK:
                self.link_alive = entry.kind is Kind.LINK_BACK
            case Kind.METER_LOST | Kind.METER_BACK:
                self.meter_alive = entry.kind is Kind.METER_BACK
            case Kind.CREATE | Kind.UPDATE | Kind.EMERGENCY if self.link_alive:
                yield EventPut(event=self._event(entry, at_ms))
            case Kind.DELETE | Kind.RELEASE if self.link_alive:
                self._seq += 1
                yield EventDelete(
                    source=SOURCE,
                    event_id=entry.name,
                    msg_id=f"{SOURCE}-{self._seq}",
                    epoch=1,
                    seq=self._seq,
                    release=entry.kind is Kind.RELEASE,
                )
            case _:
                return

    def _event(self, entry: Entry, at_ms: int) -> GridEvent:
        self._seq += 1
        default = EventClass.TARGET if entry.limit_w is None else EventClass.LIMIT
        event_class = entry.event_class or default
        start_ms = at_ms + round(entry.lead_s * MS_PER_S)
        end_ms = start_ms + round(entry.duration_s * MS_PER_S)
        within_s = entry.respond_within_s
        return GridEvent(
            event_id=entry.name,
            msg_id=f"{SOURCE}-{self._seq}",
            source=SOURCE,
            issuer=SOURCE,
            epoch=1,
            seq=self._seq,
            event_class=event_class,
            priority=entry.priority,
            created_ms=at_ms,
            expires_ms=end_ms,
            intervals=(Interval(start_ms=start_ms, end_ms=end_ms, limit_w=entry.limit_w, setpoint_w=entry.target_w),),
            respond_within_s=RESPOND_WITHIN_S.get(event_class, RESPOND_WITHIN_ELSE_S) if within_s is None else within_s,
            ramp_down_w_per_s=entry.ramp_down_w_per_s,
            ramp_up_w_per_s=entry.ramp_up_w_per_s,
            tolerance_w=entry.tolerance_w,
            on_expiry=entry.on_expiry
            or (OnExpiry.SUBSCRIPTION if event_class is EventClass.LIMIT else OnExpiry.RELEASE),
        )
