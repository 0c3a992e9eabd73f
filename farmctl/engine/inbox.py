"""Where signals arrive: durable first, then acted upon. Fills the Inbox port."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson
import structlog
from pydantic import TypeAdapter
from typing_extensions import override

from farmctl.core.grid import LinkStatus, SignalMessage
from farmctl.errors import StoreError
from farmctl.ports.grid import Inbox, Notice, Receipt, Refusal
from farmctl.ports.site import Clock
from farmctl.ports.store import JournalRecord, JsonValue, RecordKind, Store, StoredRecord

log = structlog.get_logger(__name__)

_MESSAGE: TypeAdapter[SignalMessage] = TypeAdapter(SignalMessage)
"""The three shapes share no set of required fields, so that validation finds the right one without a tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A signal that is durable and waits for the next cycle."""

    message: SignalMessage
    arrived_s: float
    """Monotonic time at which it was heard."""
    seq: int
    """Its place in the journal."""


class GridInbox(Inbox):
    """Journals what was heard and hands it to the next cycle."""

    def __init__(self, store: Store, clock: Clock, wake: asyncio.Event) -> None:
        """`wake` starts the next cycle at once."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self._waiting: list[Arrival] = []
        self._links: dict[str, LinkStatus] = {}
        self.refused: Counter[tuple[str, str]] = Counter()
        self.accepted = 0

    @override
    async def accept(self, receipt: Receipt) -> None:
        arrived_s = self._clock.monotonic_s()
        record = signal_record(receipt, self._clock.now_ms())
        try:
            stored = await self._store.append([record], receipt.states)
        except StoreError:
            # Nobody is told that it was taken, and the grid will say it again; what it lowers is lowered now. While
            # nothing can be written the cycle raises nothing.
            self._waiting.append(Arrival(message=receipt.message, arrived_s=arrived_s, seq=0))
            self._wake.set()
            raise
        self.accepted += 1
        self._waiting.append(Arrival(message=receipt.message, arrived_s=arrived_s, seq=stored.seq if stored else 0))
        self._wake.set()

    @override
    async def refuse(self, refusal: Refusal) -> None:
        self.refused[refusal.source, refusal.reason] += 1
        log.debug("signal_refused", source=refusal.source, reason=refusal.reason, detail=refusal.detail)
        record = JournalRecord(
            kind=RecordKind.REFUSAL,
            at_ms=self._clock.now_ms(),
            body={
                "source": refusal.source,
                "topic": refusal.topic,
                "reason": refusal.reason,
                "detail": refusal.detail,
                **_verbatim(refusal.raw),
            },
        )
        try:
            await self._store.append([record])
        except StoreError as error:
            log.warning("refusal_not_journalled", source=refusal.source, error=str(error))

    @override
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
        before = self._links.get(source)
        self._links[source] = LinkStatus(
            source=source,
            connected=connected,
            last_valid_ms=last_valid_ms,
            confirmed=confirmed,
            clock_offset_ms=clock_offset_ms,
            told_all_ms=told_all_ms,
        )
        if before is None or before.confirmed != confirmed:
            self._wake.set()

    @override
    async def state(self, name: str) -> bytes | None:
        return await self._store.state(name)

    @override
    async def note(self, notice: Notice) -> None:
        body = {"source": notice.source, "topic": notice.topic, "what": notice.what, **_verbatim(notice.raw)}
        if notice.refused:
            self.refused[notice.source, notice.refused] += 1
            body |= {"reason": notice.refused, "detail": notice.what}
        kind = RecordKind.REFUSAL if notice.refused else RecordKind.CONFIG
        await self._store.append([JournalRecord(kind=kind, at_ms=self._clock.now_ms(), body=body)], notice.states)

    @override
    async def keep(self, states: Mapping[str, bytes]) -> None:
        await self._store.append([], states)

    @property
    def links(self) -> tuple[LinkStatus, ...]:
        """All sources as last told."""
        return tuple(self._links.values())

    def recall(self, records: Iterable[StoredRecord]) -> None:
        """Queue again signals that were journalled but not yet decided on when the last run ended."""
        for stored in records:
            message = _MESSAGE.validate_json(orjson.dumps(stored.record.body["message"]))
            self._waiting.append(Arrival(message=message, arrived_s=self._clock.monotonic_s(), seq=stored.seq))

    def drain(self) -> tuple[Arrival, ...]:
        """Everything that waits, in order of arrival."""
        waiting, self._waiting = tuple(self._waiting), []
        return waiting


def signal_record(receipt: Receipt, at_ms: int) -> JournalRecord:
    """An accepted signal: as it was understood, and verbatim."""
    return JournalRecord(
        kind=RecordKind.SIGNAL,
        at_ms=at_ms,
        body={
            "source": receipt.source,
            "topic": receipt.topic,
            "message": _MESSAGE.dump_python(receipt.message, mode="json"),
            "kind": type(receipt.message).__name__,
            **_verbatim(receipt.raw),
        },
    )


def _verbatim(raw: bytes) -> dict[str, JsonValue]:
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}
