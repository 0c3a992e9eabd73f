"""The round that asks every watch and tells the desk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from farmctl.core.alarms import Condition
from farmctl.errors import StoreError
from farmctl.ports.site import Clock

log = structlog.get_logger(__name__)

EVERY_S = 60.0


class Looks(Protocol):
    """One watch."""

    def look(self, now_ms: int) -> Sequence[Condition]:
        """What holds now; called off the loop, may read files."""
        ...


class Rounds:
    """Asks all watches once a minute; one that fails keeps what it saw last and is named in the log."""

    def __init__(
        self,
        watches: Mapping[str, Looks],
        observe: Callable[[str, Sequence[Condition]], None],
        clock: Clock,
        keep: Callable[[], Awaitable[None]],
    ) -> None:
        """`keep` makes durable what the watches remember; called after each round."""
        self._watches = watches
        self._observe = observe
        self._clock = clock
        self._keep = keep

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.once()
            await self._clock.sleep(EVERY_S)

    async def once(self) -> None:
        """Ask every watch."""
        for name, watch in self._watches.items():
            try:
                found = await asyncio.to_thread(watch.look, self._clock.now_ms())
            except Exception:
                # One watch must not end the others; what it saw last stays in force.
                log.exception("watch_failed", watch=name)
            else:
                self._observe(name, found)
        try:
            await self._keep()
        except StoreError as error:
            log.warning("trends_not_kept", error=str(error))
