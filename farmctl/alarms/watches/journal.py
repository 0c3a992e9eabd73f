"""The journal itself: its hash chain is walked a while after the start, and once a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farmctl.core.alarms import Condition
from farmctl.core.units import DAY_MS


@dataclass(slots=True, kw_only=True)
class ChainWatch:
    """A chain that was seen broken stays so until the restart that follows the investigation."""

    verify: Callable[[], str]
    """What is wrong with the chain, empty for nothing; called in a thread, may take minutes."""
    every_ms: int = DAY_MS
    calm_ms: int = 600_000
    """After a start the site has better to do than to hash for minutes."""
    _next_ms: int | None = None
    _broken: str = ""

    def look(self, now_ms: int) -> Sequence[Condition]:
        """audit_chain_broken."""
        if self._next_ms is None:
            self._next_ms = now_ms + self.calm_ms
        if not self._broken and now_ms >= self._next_ms:
            self._next_ms = now_ms + self.every_ms
            self._broken = self.verify()
        if not self._broken:
            return ()
        return (Condition(alarm="audit_chain_broken", priority=2, where="site", detail=self._broken),)
