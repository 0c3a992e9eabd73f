"""An inbox that writes everything down, for sources that have no broker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from farmctl.core.grid import EventDelete, EventPut, GridEvent, LinkStatus
from farmctl.ports.grid import Notice, Receipt, Refusal


class Notebook:
    """Keeps what it is given, and its states across sources."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.refusals: list[Refusal] = []
        self.notices: list[Notice] = []
        self.states: dict[str, bytes] = {}
        self.status: LinkStatus | None = None

    @property
    def put(self) -> list[GridEvent]:
        messages = [receipt.message for receipt in self.receipts]
        return [message.event for message in messages if isinstance(message, EventPut)]

    @property
    def deleted(self) -> list[str]:
        messages = [receipt.message for receipt in self.receipts]
        return [message.event_id for message in messages if isinstance(message, EventDelete)]

    async def accept(self, receipt: Receipt) -> None:
        self.states.update(receipt.states)
        self.receipts.append(receipt)

    async def refuse(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    async def note(self, notice: Notice) -> None:
        self.states.update(notice.states)
        self.notices.append(notice)

    async def keep(self, states: Mapping[str, bytes]) -> None:
        self.states.update(states)

    def link(
        self,
        source: str,
        *,
        connected: bool,
        last_valid_ms: int,
        confirmed: bool,
        clock_offset_ms: int,
        told_all_ms: int | None = None,
    ) -> None:
        self.status = LinkStatus(
            source=source,
            connected=connected,
            last_valid_ms=last_valid_ms,
            confirmed=confirmed,
            clock_offset_ms=clock_offset_ms,
            told_all_ms=told_all_ms,
        )

    async def state(self, name: str) -> bytes | None:
        return self.states.get(name)


class HandClock:
    """Time that moves when it is told to; a sleeper wakes at once, one turn at a time."""

    def __init__(self, now_ms: int) -> None:
        self.at_ms = now_ms
        self.turns = 0
        self._go = asyncio.Semaphore(0)

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1_000

    async def sleep(self, seconds: float) -> None:
        del seconds
        self.turns += 1
        await self._go.acquire()

    async def turn(self, source: asyncio.Task[None], by_ms: int = 0) -> None:
        """Let the source go round once."""
        self.at_ms += by_ms
        wanted = self.turns + 1
        self._go.release()
        async with asyncio.timeout(10):
            while self.turns < wanted and not source.done():  # noqa: ASYNC110 - another task's progress
                await asyncio.sleep(0.001)

    async def first(self, source: asyncio.Task[None]) -> None:
        """Wait for the end of the source's first round."""
        async with asyncio.timeout(10):
            while self.turns == 0 and not source.done():  # noqa: ASYNC110 - another task's progress
                await asyncio.sleep(0.001)
