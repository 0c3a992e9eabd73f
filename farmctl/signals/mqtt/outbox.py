"""Acks that wait for the broker: in order, kept until the broker has them, bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

MOST_WAITING = 20_000
"""About an hour of acks for 200 events a minute; a longer outage has lost its readers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message that must not be lost."""

    topic: str
    payload: bytes


class Outbox(Protocol):
    """Where acks wait; a durable one writes through to the store."""

    dropped: int
    """How many were thrown away because it was full."""

    async def put(self, parcel: Parcel) -> None:
        """Add at the end; when full the oldest goes."""
        ...

    async def oldest(self) -> Parcel | None:
        """The next to send, which stays until `done`."""
        ...

    async def done(self, parcel: Parcel) -> None:
        """The broker has it."""
        ...


class MemoryOutbox(Outbox):
    """An outbox that lives as long as the process; the snapshot and the journal cover its loss."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.dropped = 0
        self._waiting: deque[Parcel] = deque()
        self._most = most

    def __len__(self) -> int:
        return len(self._waiting)

    @override
    async def put(self, parcel: Parcel) -> None:
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(parcel)

    @override
    async def oldest(self) -> Parcel | None:
        return self._waiting[0] if self._waiting else None

    @override
    async def done(self, parcel: Parcel) -> None:
        if self._waiting and self._waiting[0] is parcel:
            self._waiting.popleft()
