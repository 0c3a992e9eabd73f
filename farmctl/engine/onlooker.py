"""Outsiders who may not command: their signals are recorded and answered OPTED_OUT, and reach nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import assert_never

from typing_extensions import override

from farmctl.core.events import RESPONSE_CODE
from farmctl.core.grid import Ack, EventDelete, EventPut, EventState, GridEvent, OptOut, SignalMessage, SnapshotPut
from farmctl.ports.grid import (
    Capability,
    CapabilityUplink,
    GridEnd,
    Inbox,
    Notice,
    Receipt,
    Refusal,
    SiteState,
    Telemetry,
    Uplink,
)
from farmctl.ports.site import Clock

NOT_PARTICIPATING = "notParticipating"
"""One of the seven opt reasons of OpenADR 2.0b, as acks say it; the journal has it as the reason of the refusal."""
ANSWER_AFTER_S = 0.2
"""A source says RECEIVED right after the inbox took a signal; the opt-out follows that, never the other way round."""


class Onlooker(GridEnd):
    """A source whose signals are kept out, with `control.outside_control` off; what the site tells goes out as ever."""

    def __init__(self, source: GridEnd, clock: Clock) -> None:
        self.name = source.name
        self._source = source
        self._clock = clock

    @override
    async def run(self, inbox: Inbox) -> None:
        gate = _Gate(inbox, self._source, self._clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(gate.answer_for_ever())
            tasks.create_task(self._source.run(gate))

    @override
    async def ack(self, ack: Ack) -> None:
        await self._source.ack(ack)

    @override
    async def telemetry(self, telemetry: Telemetry) -> None:
        await self._source.telemetry(telemetry)

    @override
    async def site_state(self, state: SiteState) -> None:
        await self._source.site_state(state)

    async def capability(self, able: Capability) -> None:
        """As the source does it, where it does."""
        if isinstance(self._source, CapabilityUplink):
            await self._source.capability(able)


def opted_out(message: SignalMessage, source: str, now_ms: int) -> Iterator[Ack]:
    """What the grid is told about a signal that nobody here obeys; a withdrawal is simply true."""
    match message:
        case EventPut():
            yield _told(message.event, now_ms)
        case SnapshotPut():
            yield from (_told(event, now_ms) for event in message.events)
        case EventDelete():
            yield Ack(
                source=source,
                event_id=message.event_id,
                msg_id=message.msg_id,
                epoch=message.epoch,
                seq=message.seq,
                state=EventState.CANCELLED,
                code=RESPONSE_CODE[EventState.CANCELLED],
                reason=NOT_PARTICIPATING,
                at_ms=now_ms,
            )
        case OptOut():
            return  # the site said it, not the grid
        case _ as never:
            assert_never(never)


def _told(event: GridEvent, now_ms: int) -> Ack:
    return Ack(
        source=event.source,
        event_id=event.event_id,
        msg_id=event.msg_id,
        epoch=event.epoch,
        seq=event.seq,
        state=EventState.OPTED_OUT,
        code=RESPONSE_CODE[EventState.OPTED_OUT],
        reason=NOT_PARTICIPATING,
        at_ms=now_ms,
    )


class _Gate(Inbox):
    """Stands before the real inbox; nothing that arrives here is ever queued for the core."""

    def __init__(self, inbox: Inbox, uplink: Uplink, clock: Clock) -> None:
        self._inbox = inbox
        self._uplink = uplink
        self._clock = clock
        self._answers: asyncio.Queue[Ack] = asyncio.Queue()
        self._told: set[tuple[str, str]] = set()

    async def answer_for_ever(self) -> None:
        """Send the opt-outs, each behind its RECEIVED."""
        while True:
            ack = await self._answers.get()
            await self._clock.sleep(ANSWER_AFTER_S)
            await self._uplink.ack(ack)

    @override
    async def accept(self, receipt: Receipt) -> None:
        await self._inbox.note(
            Notice(
                source=receipt.source,
                topic=receipt.topic,
                what="outside control is off: recorded, not obeyed",
                raw=receipt.raw,
                states=receipt.states,
                refused=NOT_PARTICIPATING,
            )
        )
        message = receipt.message
        if isinstance(message, EventDelete) and message.event_id in {event_id for event_id, _ in self._told}:
            return  # the source has answered: what was opted out stays so
        for ack in opted_out(message, receipt.source, self._clock.now_ms()):
            if (ack.event_id, ack.msg_id) not in self._told:  # a snapshot repeats what was answered before
                self._told.add((ack.event_id, ack.msg_id))
                self._answers.put_nowait(ack)

    @override
    async def refuse(self, refusal: Refusal) -> None:
        await self._inbox.refuse(refusal)

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
        self._inbox.link(
            source,
            connected=connected,
            last_valid_ms=last_valid_ms,
            confirmed=confirmed,
            clock_offset_ms=clock_offset_ms,
            told_all_ms=told_all_ms,
        )

    @override
    async def state(self, name: str) -> bytes | None:
        return await self._inbox.state(name)

    @override
    async def note(self, notice: Notice) -> None:
        await self._inbox.note(notice)

    @override
    async def keep(self, states: Mapping[str, bytes]) -> None:
        await self._inbox.keep(states)
