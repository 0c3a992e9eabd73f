"""Acks and reports that wait for the grid: in order, durable, and sent again after a connection that broke."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from farmctl.errors import StoreError
from farmctl.ports.grid import Inbox
from farmctl.ports.site import Clock

log = structlog.get_logger()

SLOTS = 4_096
"""About an hour of acks for 60 events a minute; a longer outage has lost its readers."""
AGAIN_MS = 600_000
"""What the broker has taken is kept this long: a broker that dies with it has delivered nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message that must not be lost."""

    topic: str
    payload: bytes


class Outbox:
    """A ring of named states in the store; a broker's queue is never trusted.

    The broker's own answer only says that it has a message.  What it took in the last minutes of a connection is sent
    once more over the next one, byte for byte the same, and readers are idempotent by `msgId`, `state` and `ts`.
    """

    def __init__(self, source: str, clock: Clock, *, slots: int = SLOTS, again_ms: int = AGAIN_MS) -> None:
        self.dropped = 0
        """How many were thrown away unsent because it was full."""
        self._owed: set[int] = set()
        self._source = source
        self._clock = clock
        self._slots = slots
        self._again_ms = again_ms
        self._parcels: dict[int, Parcel] = {}
        self._sent_ms: dict[int, int] = {}
        self._head = self._next = self._tail = 0
        self._inbox: Inbox | None = None

    @property
    def unkept(self) -> int:
        """How many are in memory only, because the store failed or is not open yet."""
        return len(self._owed)

    def __len__(self) -> int:
        """How many the broker has not taken yet."""
        return self._tail - self._next

    async def open(self, inbox: Inbox) -> None:
        """Take up what the last run left; what was put before goes behind it.  Raises StoreError."""
        stored = await inbox.state(self._cursor)
        head, tail = json.loads(stored) if stored else (0, 0)
        kept: dict[int, Parcel] = {}
        for number in range(head, tail):
            parcel = _parcel(await inbox.state(self._slot(number)), number)
            if parcel is not None:
                kept[number] = parcel
        # Nothing waits from here on: the first decisions of a run put their acks while the last run's are being read.
        fresh = [self._parcels[n] for n in range(self._head, self._tail) if n in self._parcels]
        self._parcels, self._inbox = kept, inbox
        self._sent_ms.clear()
        self._owed.clear()
        self._head, self._tail = min(kept, default=tail), tail
        self._next = self._head
        for parcel in fresh:
            self._add(parcel)
        await self.keep()

    async def put(self, parcel: Parcel) -> None:
        """Add at the end, durable on return; when full the oldest goes."""
        self._add(parcel)
        await self.keep()

    def oldest(self) -> Parcel | None:
        """The next to send, which stays until `done`."""
        while self._next < self._tail and self._next not in self._parcels:
            self._next += 1  # a slot that could not be read back
        return self._parcels.get(self._next)

    def done(self, parcel: Parcel) -> None:
        """The broker has it."""
        if self._parcels.get(self._next) is parcel:
            self._sent_ms[self._next] = self._clock.now_ms()
            self._next += 1

    def rewind(self) -> None:
        """A connection broke: what the broker took of late is sent once more."""
        self._forget()
        self._next = self._head

    def _add(self, parcel: Parcel) -> None:
        self._parcels[self._tail] = parcel
        self._owed.add(self._tail)
        self._tail += 1
        self._forget()

    def _forget(self) -> None:
        """Let go of what was sent long ago, and of the oldest when the ring is full."""
        horizon_ms = self._clock.now_ms() - self._again_ms
        while self._head < self._tail:
            full = self._tail - self._head > self._slots
            settled = self._head < self._next and self._sent_ms.get(self._head, horizon_ms + 1) <= horizon_ms
            if not full and not settled:
                return
            self.dropped += self._head >= self._next and self._head in self._parcels
            self._parcels.pop(self._head, None)
            self._owed.discard(self._head)
            self._sent_ms.pop(self._head, None)
            self._head += 1
            self._next = max(self._next, self._head)

    async def keep(self) -> None:
        """Make durable what is not: also what a full disk refused when it was put."""
        if self._inbox is None or not self._owed:
            return
        states = {self._slot(number): _written(number, self._parcels[number]) for number in sorted(self._owed)}
        states[self._cursor] = json.dumps([self._head, self._tail]).encode()
        keeping = frozenset(self._owed)
        try:
            await self._inbox.keep(states)
        except StoreError as fault:
            log.error("grid_ack_not_stored", source=self._source, fault=str(fault))  # noqa: TRY400 - the text says it all
        else:
            self._owed -= keeping

    @property
    def _cursor(self) -> str:
        return f"signals.{self._source}.outbox"

    def _slot(self, number: int) -> str:
        return f"signals.{self._source}.outbox.{number % self._slots}"


def _written(number: int, parcel: Parcel) -> bytes:
    return json.dumps([number, parcel.topic, parcel.payload.decode()], separators=(",", ":")).encode()


def _parcel(stored: bytes | None, number: int) -> Parcel | None:
    """What lies in a slot, None where it is another round's or cannot be read."""
    try:
        found, topic, payload = json.loads(stored or b"")
    except (ValueError, TypeError):
        return None
    return Parcel(topic=str(topic), payload=str(payload).encode()) if found == number else None
