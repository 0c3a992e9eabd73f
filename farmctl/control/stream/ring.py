"""The last revisions, encoded once and shared by every client; bounded in number and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

KEPT = 240
"""Two minutes at two a second."""
SLOW_BYTES = 2**20
"""A client that is further behind than this takes a snapshot (OPERATIONS section 3)."""
KEPT_BYTES = 2 * SLOW_BYTES
"""What is older is of use to nobody."""
TOPICS = ("delta", "alarm", "event", "job", "decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What one revision says, by topic."""

    rev: int
    topics: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of all topics."""
        return sum(len(data) for data in self.topics.values())

    def frame(self, wanted: frozenset[str]) -> bytes:
        """Server-sent events of the wanted topics; the last one carries the id, so a cut frame is asked for again."""
        told = [topic for topic in TOPICS if topic in self.topics and topic in wanted]
        events = [b"event: %s\ndata: %s\n" % (topic.encode(), self.topics[topic]) for topic in told]
        if not events:
            return b""
        return b"\n".join(events) + b"id: %d\n\n" % self.rev


class Ring:
    """Revisions in order; `base` is the oldest one that a client may start from."""

    def __init__(self) -> None:
        """Nothing is known before `restart`."""
        self.base = -1
        self.last = -1
        self._revisions: deque[Revision] = deque()
        self._bytes = 0

    def restart(self, rev: int) -> None:
        """Forget everything: row numbers have changed, or time was skipped."""
        self._revisions.clear()
        self._bytes = 0
        self.base = self.last = rev

    def push(self, revision: Revision) -> None:
        """Add the next one; the oldest leave."""
        self._revisions.append(revision)
        self._bytes += revision.size
        self.last = revision.rev
        while len(self._revisions) > KEPT or (self._bytes > KEPT_BYTES and len(self._revisions) > 1):
            gone = self._revisions.popleft()
            self._bytes -= gone.size
            self.base = gone.rev

    def after(self, rev: int) -> tuple[Revision, ...] | None:
        """What a client at `rev` has not seen; None where it must take a snapshot."""
        if not self.base <= rev <= self.last:
            return None
        waiting: list[Revision] = []
        for revision in reversed(self._revisions):
            if revision.rev <= rev:
                break
            waiting.append(revision)
        if len(waiting) > 1 and sum(revision.size for revision in waiting) > SLOW_BYTES:
            return None
        return tuple(reversed(waiting))
