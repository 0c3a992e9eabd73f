"""One reading of the VTN's events against what was known: what to tell the site, what to refuse once."""

from __future__ import annotations

import json

from farmctl.core.grid import EventPut, GridEvent
from farmctl.core.reasons import Reason
from farmctl.ports.grid import Inbox, Receipt, Refusal
from farmctl.signals._intake import listing, standing
from farmctl.signals._intake.desk import sequence_state
from farmctl.signals._intake.listing import Change
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals._intake.standing import Standing
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.openadr3.metering import Metering
from farmctl.signals.openadr3.plain import STAMPS, plain_event

MOST_REFUSED = 10_000


class Listener:
    """Remembers what was taken and what was refused; the inbox makes each change durable before it counts."""

    def __init__(self, rules: IntakeRules, metering: Metering, *, path: str) -> None:
        self._rules = rules
        self._metering = metering
        self._path = path
        self._refused: dict[str, str] = {}
        self.standing = Standing()

    async def recall(self, inbox: Inbox) -> None:
        """Go on from what the last run knew."""
        self.standing = standing.from_bytes(await inbox.state(sequence_state(self._rules.source)))

    def forget(self) -> None:
        """Everything that is listed is told anew; a latched EMERGENCY needs it not."""
        self.standing = self.standing.without_orders()

    async def take(self, listed: list[JsonObject], rules: IntakeRules, inbox: Inbox, now_ms: int) -> list[GridEvent]:
        """Everything that changed, in the order of the list; the events that were put.

        Raises StoreError: the rest counts as not heard and is found again by the next reading.
        """
        put: list[GridEvent] = []
        for body in listed:
            change = await self._changed(body, rules, inbox, now_ms)
            if change is None:
                continue
            await self._accept(change, inbox, raw=_raw(body))
            if isinstance(change.message, EventPut):
                event = change.message.event
                self._metering.watch(event, body.get("reportDescriptors"))
                put.append(event)
        present = {body.get("id") for body in listed}
        ids = {name for name in present if isinstance(name, str)}
        for change in listing.gone(self.standing, ids, source=self._rules.source, now_ms=now_ms):
            await self._accept(change, inbox, raw=b"")
            if not isinstance(change.message, EventPut):
                self._metering.withdraw(change.message.event_id, now_ms)
        return put

    async def _changed(self, body: JsonObject, rules: IntakeRules, inbox: Inbox, now_ms: int) -> Change | None:
        event_id = body.get("id")
        name = event_id if isinstance(event_id, str) else ""
        digest = listing.listing_digest(body, without=STAMPS)
        if self._refused.get(name) == digest or listing.is_unchanged(self.standing, name, digest, now_ms):
            return None
        try:
            event = plain_event(body, rules, pair=listing.next_pair(self.standing), now_ms=now_ms)
            return None if event is None else listing.put(self.standing, event, digest, now_ms)
        except NotAcceptedError as fault:
            await self._refuse(body, fault, inbox)
            if len(self._refused) >= MOST_REFUSED:
                self._refused.clear()
            self._refused[name] = digest
            return None

    async def _accept(self, change: Change, inbox: Inbox, *, raw: bytes) -> None:
        states = {sequence_state(self._rules.source): standing.to_bytes(change.standing)}
        receipt = Receipt(source=self._rules.source, topic=self._path, message=change.message, raw=raw, states=states)
        await inbox.accept(receipt)
        self.standing = change.standing

    async def _refuse(self, body: JsonObject, fault: NotAcceptedError, inbox: Inbox) -> None:
        refusal = Refusal(
            source=self._rules.source,
            topic=self._path,
            reason=Reason(fault.reason),
            detail=f"event {str(body.get('id'))[:64]}: {fault.detail}",
            ack=None,
            raw=_raw(body),
        )
        await inbox.refuse(refusal)


def _raw(body: JsonObject) -> bytes:
    """The event as it stood in the list, for the journal."""
    return json.dumps(body, separators=(",", ":")).encode()
