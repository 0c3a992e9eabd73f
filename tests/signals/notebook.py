"""An inbox that writes everything down, for sources that have no broker."""

from __future__ import annotations

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

    def link(self, source: str, *, connected: bool, last_valid_ms: int, confirmed: bool, clock_offset_ms: int) -> None:
        self.status = LinkStatus(
            source=source,
            connected=connected,
            last_valid_ms=last_valid_ms,
            confirmed=confirmed,
            clock_offset_ms=clock_offset_ms,
        )

    async def state(self, name: str) -> bytes | None:
        return self.states.get(name)
