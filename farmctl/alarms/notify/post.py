"""The post: every channel sends what waits in its outbox, patiently, and the others hear of one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from farmctl.alarms.notify.herald import Herald
from farmctl.alarms.notify.message import Message
from farmctl.alarms.notify.outbox import Outbox, Parcel
from farmctl.alarms.notify.rules import Sieve
from farmctl.alarms.watches.outbox import Waiting
from farmctl.core.units import MS_PER_S
from farmctl.errors import AskHumanError, FarmError, RefusedError, StoreError
from farmctl.ports.control import SitePicture
from farmctl.ports.site import Clock

log = structlog.get_logger(__name__)

RETRY_S = (2.0, 5.0, 15.0, 60.0, 300.0)
"""Pause after each failure in a row; the last one is kept."""
LOOK_S = 1.0
FAILING = 3
"""Failures in a row after which the other channels are told."""
LIFE_MS = 24 * 3_600_000
"""What could not be delivered in a day is given up; the journal has it."""


class Sends(Protocol):
    """One way to a person."""

    async def send(self, delivery: str, message: Message) -> None:
        """Deliver it. Raises FarmError; RefusedError and AskHumanError where trying again changes nothing soon."""
        ...


@dataclass(slots=True, kw_only=True)
class Channel:
    """One way with its rules and its outbox."""

    name: str
    way: Sends
    sieve: Sieve
    outbox: Outbox
    failures: int = 0
    error: str = ""
    arrivals: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)


class Post:
    """Told of every picture; sends until cancelled."""

    def __init__(self, channels: Iterable[Channel], herald: Herald, clock: Clock) -> None:
        self._channels: Mapping[str, Channel] = {channel.name: channel for channel in channels}
        self._herald = herald
        self._clock = clock

    def see(self, picture: SitePicture) -> None:
        """One more cycle; only queues, so the cycle never waits for a disk or a network."""
        if self._channels:
            for message in self._herald.news(picture):
                self.tell(message)

    def tell(self, message: Message, *, but: str = "") -> None:
        """Every channel but one."""
        for channel in self._channels.values():
            if channel.name != but:
                channel.arrivals.put_nowait(message)

    def waiting(self) -> list[Waiting]:
        """Channels with something undelivered that was due."""
        now_ms = self._clock.now_ms()
        late = []
        for channel in self._channels.values():
            due = [
                parcel
                for parcel in list(channel.outbox.parcels.values())
                if channel.failures or parcel.due_ms <= now_ms
            ]
            if due:
                since_ms = min(parcel.message.at_ms for parcel in due)
                late.append(
                    Waiting(channel=channel.name, since_ms=since_ms, n=len(due), error=channel.error or "queued")
                )
        return late

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for channel in self._channels.values():
                tasks.create_task(self._served(channel))

    async def _served(self, channel: Channel) -> None:
        try:
            await asyncio.to_thread(channel.outbox.load)
        except StoreError as error:
            log.warning("outbox_unreadable", channel=channel.name, error=str(error))
        while True:
            await self._take(channel)
            now_ms = self._clock.now_ms()
            due = [parcel for parcel in channel.outbox.parcels.values() if parcel.due_ms <= now_ms]
            for parcel in sorted(due, key=lambda each: (each.message.priority or 5, each.message.at_ms)):
                if not await self._sent(channel, parcel):
                    break

    async def _take(self, channel: Channel) -> None:
        """Put down everything that has arrived, or wait a second for something."""
        try:
            async with asyncio.timeout(LOOK_S):
                message = await channel.arrivals.get()
        except TimeoutError:
            return
        while True:
            taken = channel.sieve.take(message)
            if taken is not None:
                try:
                    await asyncio.to_thread(channel.outbox.put, *taken)
                except StoreError as error:
                    log.warning("message_not_kept", channel=channel.name, error=str(error))
            if channel.arrivals.empty():
                return
            message = channel.arrivals.get_nowait()

    async def _sent(self, channel: Channel, parcel: Parcel) -> bool:
        """Try one; False where the channel is to be left alone for a while."""
        now_ms = self._clock.now_ms()
        try:
            await channel.way.send(parcel.delivery, parcel.message)
        except FarmError as error:
            self._failed(channel, parcel, error, now_ms)
            return False
        await asyncio.to_thread(channel.outbox.done, parcel.delivery)
        if channel.failures >= FAILING:
            log.info("channel_back", channel=channel.name)
        channel.failures, channel.error = 0, ""
        return True

    def _failed(self, channel: Channel, parcel: Parcel, error: FarmError, now_ms: int) -> None:
        channel.failures += 1
        channel.error = str(error)
        last = isinstance(error, RefusedError | AskHumanError)
        pause_s = RETRY_S[-1] if last else RETRY_S[min(channel.failures, len(RETRY_S)) - 1]
        log.info("message_not_sent", channel=channel.name, error=channel.error, again_s=pause_s)
        until_ms = now_ms + int(pause_s * MS_PER_S)
        for other in list(channel.outbox.parcels.values()):
            if now_ms - other.message.at_ms > LIFE_MS:
                channel.outbox.done(other.delivery)
            elif other.due_ms < until_ms:
                channel.outbox.later(other.delivery, until_ms)
        if channel.failures == FAILING and parcel.message.kind != "channel":
            told = Message(
                kind="channel", key=channel.name, state="failing", at_ms=now_ms, where=channel.name,
                title=f"notifications by {channel.name} do not get through", detail=channel.error,
            )  # fmt: skip
            self.tell(told, but=channel.name)
