"""Memory on disk: the journal's records, the inventory's rows, and the Store that keeps both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from farmctl.core.model import MinerId


class RecordKind(StrEnum):
    """What a journal record is about; append-only."""

    START = "start"
    STOP = "stop"
    SIGNAL = "signal"
    REFUSAL = "refusal"
    DECISION = "decision"
    COMMAND = "command"
    FATE = "fate"
    MODE = "mode"
    EVENT = "event"
    OVERRIDE = "override"
    ALARM = "alarm"
    OPERATOR = "operator"
    INPUT = "input"
    CONFIG = "config"
    SHARES = "shares"
    """How one figure was split over the sites of a programme, with all that it was made from."""
    UPLINK = "uplink"
    """An ack or a report of a site of the programme, as it came; held from here on, and acknowledged to the site."""
    SERIES = "series"
    """A stretch of the site's power at one second, packed: what settlement is computed from."""


JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecord:
    """One thing that happened, before it is numbered and chained."""

    kind: RecordKind
    at_ms: int
    body: Mapping[str, JsonValue]
    blob: bytes = b""
    """Packed columns, where the body alone would be wasteful; hashed with the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record in its place in the chain."""

    seq: int
    """1, 2, 3, ... without gaps."""
    record: JournalRecord
    prev_hash: str
    hash: str
    """SHA-256, hex, over the previous hash and the canonical record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRow:
    """One miner as the site knows it."""

    miner_id: MinerId
    host: str
    ports: Mapping[str, int]
    driver: str
    model: str = ""
    firmware: str = ""
    serial: str = ""
    circuit: str = ""
    container: str = ""
    rack: str = ""
    slot: str = ""
    phase: str = ""
    """Phases that feed it: L1, L2, L3, two of them such as L1-L2, or L1-L2-L3; empty: not known."""
    tier: int = 0
    protected: bool = False
    tags: tuple[str, ...] = ()
    owner: str = ""


class Store(Protocol):
    """Memory on disk: journal, small named states, inventory. Durable when the call returns.

    Every method raises StoreError where durability cannot be given.
    """

    async def append(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None = None
    ) -> StoredRecord | None:
        """Chain the records and set the named states, all in one transaction; the last record, None for no records."""
        ...

    def records(
        self,
        *,
        after_seq: int = 0,
        kinds: frozenset[RecordKind] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StoredRecord]:
        """Read the journal in order."""
        ...

    async def head(self) -> StoredRecord | None:
        """The last record, None for an empty journal."""
        ...

    async def state(self, name: str) -> bytes | None:
        """One named state as last set."""
        ...

    async def inventory(self) -> tuple[InventoryRow, ...]:
        """All miners, sorted by miner id."""
        ...

    async def put_inventory(self, rows: Sequence[InventoryRow]) -> None:
        """Insert or replace by miner id."""
        ...

    async def remove_inventory(self, miners: Sequence[MinerId]) -> None:
        """Forget miners; unknown ids are ignored."""
        ...

    async def close(self) -> None:
        """Flush and release the file."""
        ...
