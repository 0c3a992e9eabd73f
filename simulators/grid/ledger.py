"""What a dispatcher has sent and what of it is still live."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from simulators.grid.messages import Statement
from simulators.grid.orders import EventClass, Order
from simulators.grid.signing import Payload

ENDED_STAYS = timedelta(seconds=5)
"""An ended event stays in the snapshot until the site calls it terminal, at most this long.

Dropped at once, a snapshot that overtakes the site's own clock would cancel an event that has just been completed.
"""
OVERLAP = timedelta(seconds=2)
"""A simple statement outlives its event a little, so that its successor arrives before it lapses."""
STANDING_VALID = timedelta(seconds=60)
"""Three repeats of 20 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message that changed what the site was asked to do."""

    order_id: str
    """The event's id in the full form; our own name for it in the simple form, where ids are made of numbers."""
    operation: str
    order: Order
    topic: str
    msg_id: str
    epoch: int
    seq: int
    sent_s: float
    """Seconds that never jump, as in `Uplink`."""
    starts_s: float
    payload: bytes


@dataclass(slots=True)
class Live:
    """An order that has not ended."""

    order: Order
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    body: Payload = field(default_factory=dict)

    @property
    def latched(self) -> bool:
        """An emergency stays until it is released."""
        return self.order.effective_class is EventClass.EMERGENCY


class Ledger:
    """Orders by id, and which messages spoke for which order."""

    def __init__(self, *, standing_kw: float | None) -> None:
        self.sent: list[Sent] = []
        self.live: dict[str, Live] = {}
        self._standing_kw = standing_kw
        self._spoken: dict[str, set[str]] = {}

    def speaks_for(self, wire_id: str, order_ids: Collection[str]) -> None:
        """Note that acks for `wire_id` are about these orders."""
        for order_id in order_ids:
            self._spoken.setdefault(order_id, set()).add(wire_id)

    def wire_ids(self, order_id: str) -> frozenset[str]:
        """Event ids under which the site acks this order; raises KeyError for an order never sent."""
        return frozenset(self._spoken[order_id])

    def forget_ended(self, now: datetime, finished: Collection[str] = ()) -> None:
        """Drop orders that have ended and are terminal at the site, or ended a while ago."""
        for order_id, live in list(self.live.items()):
            ended = not live.latched and now >= live.ends_at
            if ended and (order_id in finished or now >= live.ends_at + ENDED_STAYS):
                del self.live[order_id]

    def running(self, now: datetime) -> dict[str, Live]:
        """Orders in force at this moment."""
        return {
            order_id: live
            for order_id, live in self.live.items()
            if live.starts_at <= now and (live.latched or now < live.ends_at)
        }

    def next_change(self, now: datetime) -> datetime | None:
        """When the set of running orders changes next."""
        moments = [live.starts_at for live in self.live.values()]
        moments += [live.ends_at for live in self.live.values() if not live.latched]
        return min((moment for moment in moments if moment > now), default=None)

    def statement(self, now: datetime) -> Statement | None:
        """The running orders as one simple statement; None when there is nothing to say.

        The newest set-point counts, of the limits the smallest, and the standing allocation where nothing limits.
        """
        running = list(self.running(now).values())
        emergency = any(live.latched for live in running)
        limits = [live.order.limit_kw for live in running if live.order.limit_kw is not None]
        if emergency and not limits:
            limits = [0.0]
        targets = [live for live in running if live.order.target_kw is not None]
        newest = max(targets, key=lambda live: (live.starts_at, live.created_at), default=None)
        target_kw = None if newest is None or emergency else newest.order.target_kw
        limit_kw = min(limits, default=self._standing_kw)
        if target_kw is None and limit_kw is None:
            return None
        ends = [live.ends_at for live in running if not live.latched]
        return Statement(
            target_kw=target_kw,
            limit_kw=limit_kw,
            valid_until=min(ends) + OVERLAP if ends else now + STANDING_VALID,
            event_class=EventClass.EMERGENCY if emergency else None,
        )
