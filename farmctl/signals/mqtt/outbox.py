"""Acks and reports that wait for the grid: in order, durable, and sent again until the grid says that it holds them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from farmctl.errors import StoreError
from farmctl.ports.grid import Inbox
from farmctl.ports.site import Clock

log = structlog.get_logger()

SLOTS = 4_096
"""About an hour of acks for 60 events a minute; a longer outage has lost its readers."""
AGAIN_MS = 600_000
"""For a grid that acknowledges nothing, what the broker has taken is kept this long: a broker that dies with it has
delivered nothing."""
PATIENCE_MS = 30_000
"""A living grid that acknowledges has so long to do it before it is told again; doubled at each vain repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message that must not be lost."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """By what the grid may acknowledge a parcel."""

    box: str
    """Drawn anew with each new store, so that numbers never mean two things."""
    number: int


Writer = Callable[[Mark], Parcel]
Span = tuple[int, int]
"""First and last number of a run, both held."""


class Outbox:
    """A ring of named states in the store; a broker's queue is never trusted.

    The broker's own answer only says that it has a message.  A grid that acknowledges (`held` of the contract) has each
    parcel sent over every new connection until it has done so.  To one that never does, what the broker took in the
    last minutes of a connection is sent once more over the next one.  Always byte for byte the same.
    """

    def __init__(self, source: str, clock: Clock, *, slots: int = SLOTS, again_ms: int = AGAIN_MS) -> None:
        self.dropped = 0
        """How many were thrown away because it was full: unsent, or unacknowledged by a grid that acknowledges."""
        self.acknowledged = False
        """Whether the grid has ever acknowledged anything."""
        self._box = secrets.token_hex(8)
        self._owed: set[int] = set()
        self._cursor_owed = False
        self._early: list[Writer] = []
        self._source = source
        self._clock = clock
        self._slots = slots
        self._again_ms = again_ms
        self._patience_ms = PATIENCE_MS
        self._parcels: dict[int, Parcel] = {}
        self._sent_ms: dict[int, int] = {}
        self._head = self._next = self._tail = self._first = 0
        self._inbox: Inbox | None = None

    @property
    def unkept(self) -> int:
        """How many are in memory only, because the store failed or is not open yet."""
        return len(self._owed) + len(self._early)

    @property
    def unsettled(self) -> int:
        """How many are kept, sent or not."""
        return len(self._parcels) + len(self._early)

    def __len__(self) -> int:
        """How many the broker has not taken yet."""
        return self._tail - self._next + len(self._early)

    async def open(self, inbox: Inbox) -> None:
        """Take up what the last run left; what was put before goes behind it.  Raises StoreError."""
        stored = await inbox.state(self._cursor)
        head, tail, *named = json.loads(stored) if stored else (0, 0)
        kept: dict[int, Parcel] = {}
        for number in range(head, tail):
            parcel = _parcel(await inbox.state(self._slot(number)), number)
            if parcel is not None:
                kept[number] = parcel
        # Nothing waits from here on: the first decisions of a run put their acks while the last run's are being read.
        self._box, self._first, self.acknowledged = named or (self._box, tail, False)
        self._parcels, self._inbox = kept, inbox
        self._head, self._tail = min(kept, default=tail), tail
        self._next = self._head
        early, self._early = self._early, []
        for write in early:
            self._add(write)
        await self.keep()

    async def put(self, write: Writer) -> None:
        """Add at the end, written with its own mark, durable on return; when full the oldest goes."""
        if self._inbox is None:
            self._early.append(write)
            return
        self._add(write)
        await self.keep()

    def oldest(self) -> Parcel | None:
        """The next to send, which stays until `done`."""
        while self._next < self._tail and self._next not in self._parcels:
            self._next += 1  # acknowledged meanwhile, or a slot that could not be read back
        return self._parcels.get(self._next)

    def done(self, parcel: Parcel) -> None:
        """The broker has it."""
        if self._parcels.get(self._next) is parcel:
            self._sent_ms[self._next] = self._clock.now_ms()
            self._next += 1

    def settle(self, box: str, spans: Sequence[Span]) -> None:
        """The grid holds these durably: let go of them.  What names another box means nothing."""
        if box != self._box:
            return
        self._cursor_owed |= not self.acknowledged
        self.acknowledged = True
        held = [n for n in self._parcels if any(first <= n <= last for first, last in spans)]
        for number in held:
            self._let_go(number)
        if held:
            self._patience_ms = PATIENCE_MS
        self._forget()

    def remind(self) -> bool:
        """A living grid did not acknowledge in time: begin again at the oldest.  True where something is to be sent."""
        self._forget()
        sent_ms = self._sent_ms.get(self._head)
        overdue = sent_ms is not None and self._clock.now_ms() - sent_ms >= self._patience_ms
        if not self._waits(self._head) or not overdue:
            return False
        self._patience_ms = min(2 * self._patience_ms, self._again_ms)
        self._next = self._head
        return True

    def rewind(self) -> None:
        """A connection broke: what is kept is sent once more."""
        self._forget()
        self._next = self._head

    def _add(self, write: Writer) -> None:
        self._parcels[self._tail] = write(Mark(box=self._box, number=self._tail))
        self._owed.add(self._tail)
        self._tail += 1
        self._forget()

    def _waits(self, number: int) -> bool:
        """Whether it stays until the grid acknowledges it; what an older farmctl left carries no mark."""
        return self.acknowledged and number >= self._first

    def _forget(self) -> None:
        """Let go of what is settled, and of the oldest when the ring is full."""
        horizon_ms = self._clock.now_ms() - self._again_ms
        while self._head < self._tail:
            head, sent = self._head, self._head < self._next
            old = sent and self._sent_ms.get(head, horizon_ms + 1) <= horizon_ms
            settled = head not in self._parcels or (old and not self._waits(head))
            if not settled and self._tail - head <= self._slots:
                return
            self.dropped += not settled and (not sent or self._waits(head))
            self._let_go(head)
            self._head += 1
            self._next = max(self._next, self._head)

    def _let_go(self, number: int) -> None:
        self._parcels.pop(number, None)
        self._owed.discard(number)
        self._sent_ms.pop(number, None)

    async def keep(self) -> None:
        """Make durable what is not: also what a full disk refused when it was put."""
        if self._inbox is None or not (self._owed or self._cursor_owed):
            return
        states = {self._slot(number): _written(number, self._parcels[number]) for number in sorted(self._owed)}
        place = [self._head, self._tail, self._box, self._first, self.acknowledged]
        states[self._cursor] = json.dumps(place).encode()
        keeping = frozenset(self._owed)
        try:
            await self._inbox.keep(states)
        except StoreError as fault:
            log.error("grid_ack_not_stored", source=self._source, fault=str(fault))  # noqa: TRY400 - the text says it all
        else:
            self._owed -= keeping
            self._cursor_owed = False

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
