"""Who steers: more than three changes of authority, lease or dispatcher's epoch in ten minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from farmctl.core.alarms import Condition

WITHIN_MS = 600_000
MOST = 3


@dataclass(slots=True, kw_only=True)
class AuthorityWatch:
    """Told of every picture, asked once a minute."""

    _last: tuple[object, ...] | None = None
    _changes: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=100))

    def see(self, at_ms: int, holder: str, epochs: frozenset[tuple[str, int]]) -> None:
        """`holder` of the lease, empty for nobody; `epochs` of the live events by source."""
        now = (holder, epochs)
        if self._last is not None and now != self._last:
            told = f"the lease went to {holder or 'nobody'}" if holder != self._last[0] else "another epoch took over"
            if holder != self._last[0] or _later(self._last[1], epochs):
                self._changes.append((at_ms, told))
        self._last = now

    def look(self, now_ms: int) -> Sequence[Condition]:
        """lease_flapping."""
        recent = [told for at_ms, told in tuple(self._changes) if now_ms - at_ms < WITHIN_MS]
        if len(recent) <= MOST:
            return ()
        text = f"{len(recent)} changes in 10 min; the last: {recent[-1]}"
        return (Condition(alarm="lease_flapping", priority=2, where="site", detail=text),)


def _later(before: object, after: frozenset[tuple[str, int]]) -> bool:
    """A source that was there before speaks in a new epoch; events that come and go are no change."""
    known = dict(before) if isinstance(before, frozenset) else {}
    return any(source in known and known[source] != epoch for source, epoch in after)
