"""(epoch, seq) strictly increasing per issuer and site, gaps noticed, and the cache of seen messages."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto

from farmctl.core.grid import Ack
from farmctl.signals._intake.standing import Pair

MOST_SEEN = 10_000
"""SIGNALS section 8."""


class Order(Enum):
    """Where a message stands among those heard before."""

    NEXT = auto()
    GAP = auto()
    """Newer, but something before it is missing, or a new epoch began: process it and resync."""
    OLD = auto()


def order_of(pair: Pair, stored: Pair | None, heard: Pair | None) -> Order:
    """Where (epoch, seq) stands against the last accepted pair and the last one heard, accepted or not."""
    if stored is not None and pair <= stored:
        return Order.OLD
    last = max((p for p in (stored, heard) if p is not None), default=None)
    if last is None:
        return Order.NEXT
    return Order.NEXT if pair <= (last[0], last[1] + 1) else Order.GAP


class SeenMessages:
    """The last 10,000 message ids with the last ack about each; the oldest is forgotten first."""

    def __init__(self, most: int = MOST_SEEN) -> None:
        self._most = most
        self._acks: OrderedDict[str, Ack | None] = OrderedDict()

    def __contains__(self, msg_id: object) -> bool:
        return msg_id in self._acks

    def __len__(self) -> int:
        return len(self._acks)

    def last_ack(self, msg_id: str) -> Ack | None:
        """The last ack sent about that message, None if it had none."""
        return self._acks.get(msg_id)

    def remember(self, msg_id: str, ack: Ack | None) -> None:
        """Note a message, or a newer ack about it."""
        self._acks[msg_id] = ack
        self._acks.move_to_end(msg_id)
        while len(self._acks) > self._most:
            self._acks.popitem(last=False)
