"""Where headquarters keeps what its sites say: in its own journal, before it acknowledges anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from farmctl.ports.store import JournalRecord, RecordKind, Store
from farmctl.signals.kit.holding import Keeper, Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalKeeper(Keeper):
    """One site's acks and reports, verbatim; what is held stands in a named state of the same transaction."""

    site: str
    store: Store

    @override
    async def state(self) -> bytes | None:
        """Raises StoreError."""
        return await self.store.state(self._name)

    @override
    async def keep(self, letters: Sequence[Letter], state: bytes) -> None:
        """Raises StoreError."""
        records = [
            JournalRecord(
                kind=RecordKind.UPLINK,
                at_ms=letter.at_ms,
                body={
                    "site": letter.site,
                    "channel": letter.channel,
                    "outbox": letter.box,
                    "no": letter.number,
                    "message": letter.body,
                },
            )
            for letter in letters
        ]
        await self.store.append(records, {self._name: state})

    @property
    def _name(self) -> str:
        return f"programme.{self.site}.held"
