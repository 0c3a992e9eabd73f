"""A small dispatcher: sends and withdraws events, keeps the link alive, listens to one site."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from types import TracebackType
from typing import Self

from farmctl.errors import SilentPeerError
from farmctl.ports.site import Clock
from farmctl.signals.kit.book import Book, Payload
from farmctl.signals.kit.gate import Gate
from farmctl.signals.kit.heard import Heard
from farmctl.signals.kit.holding import Holding, Keeper
from farmctl.signals.kit.link import BrokerAddress, Link
from farmctl.signals.kit.voice import Voice, Wish

BEAT_S = 10.0
SNAPSHOT_S = 300.0
LOOK_S = 0.02
HELD_PAUSE_S = 0.5
"""Between two acknowledgements: a burst of acks is answered by a few messages."""
MOST_SPANS = 256
"""The highest runs; a site keeps nothing that lies below so many gaps."""
STATE_WITHIN_S = 2.0
"""A retained `state` comes with the subscription."""


class Console:
    """One operator at one site; `async with` connects it."""

    def __init__(
        self,
        address: BrokerAddress,
        voice: Voice,
        book: Book,
        clock: Clock,
        *,
        up_root: str = "site/v1",
        keeper: Keeper | None = None,
        gate: Gate | None = None,
    ) -> None:
        """With a keeper the site's acks and reports are made durable there and acknowledged.

        With a gate only what it admits was ever heard; without one the broker is believed.
        """
        self.voice = voice
        self.book = book
        self.clock = clock
        self.heard = Heard()
        self.up = f"{up_root}/{voice.site}"
        self.silent = False
        """True stops heartbeats and periodic snapshots: the dispatcher has gone."""
        self._link = Link(address, listen_to=f"{self.up}/#", heard=self._hear)
        self._snapshot: Payload = {}
        self._snapshot_ms = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._gate = gate
        repeated = None if gate is None else gate.repeated
        self.holding = None if keeper is None else Holding(voice.site, keeper, repeated=repeated)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._link.keep())]
        if self._gate is not None:
            self._tasks.append(asyncio.create_task(self._gate.run()))
        try:
            await self._link.is_online()
        except BaseException:
            await self._ended()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ended()

    @property
    def online(self) -> bool:
        """The broker is there now."""
        return self._link.online.is_set()

    async def speak(self) -> None:
        """Take the link: a snapshot of what lives, a heartbeat that confirms it, and both again in time.

        Where the site has heard more than this book has said, another dispatcher spoke: a new epoch takes over.
        """
        await self.until(lambda: "state" in self.heard.latest, STATE_WITHIN_S)
        above = self.overtaken_by()
        if above is not None:
            self.book.rises_above(above[0], now_epoch=self.clock.now_ms() // 1_000)
        await self.list_live()
        self._tasks.append(asyncio.create_task(self._beats()))
        if self.holding is not None:
            self._tasks.append(asyncio.create_task(self._holds(self.holding)))

    def overtaken_by(self) -> tuple[int, int] | None:
        """The (epoch, seq) that the site accepted last, where it is above all that this console has sent."""
        found = self.heard.latest.get("state")
        last = (None, None) if found is None else (found.body.get("lastEpoch"), found.body.get("lastSeq"))
        match last:
            case (int(epoch), int(seq)) if (epoch, seq) > (self.book.epoch, self.book.seq):
                return epoch, seq
            case _:
                return None

    def why_silent(self) -> str:
        """The likeliest reason for an answer that does not come, with what to do about it."""
        site, status = self.voice.site, self.heard.latest.get("status")
        if not self.heard.latest:
            return (
                f"nothing was heard on {self.up}/#: is {site} the id of the site, is it connected to this broker, "
                "and may this user read there?"
            )
        if status is not None and status.body.get("status") == "OFFLINE":
            return f"the site says OFFLINE since {status.body.get('ts')}"
        if (above := self.overtaken_by()) is not None:
            return (
                f"the site follows another dispatcher of {self.voice.op}: (epoch, seq) {above} is above ours, "
                f"{(self.book.epoch, self.book.seq)}; stop that one, or speak under an operator id of your own"
            )
        trust = "unsigned: give --key" if self.voice.seed is None else f"signed by {self.voice.kid}"
        return (
            f"the site is there and does not answer: it drops without a word what is forged. This was {trust}"
            f", operator {self.voice.op}, topics {self.voice.topic('#')}. At the site "
            "`farmctl journal list --kind refusal` says what it thought of it"
        )

    async def create(self, wish: Wish, *, operation: str = "CREATE", listed: bool = True) -> Payload:
        """Send an event, and the snapshot that lists it; what was sent.

        With `listed` False no snapshot follows: for an event that is meant to be refused.
        """
        now_ms = self._second()
        body = self.voice.event(wish, epoch=self.book.epoch, seq=self.book.next_seq(), now_ms=now_ms)
        topic, message = self.voice.notification(operation, body)
        if listed:
            self.book.live[wish.event_id] = body
        await self.say(topic, message)
        if listed:
            await self.list_live()
        return message

    async def withdraw(self, event_id: str, *, release: bool = False) -> Payload:
        """Send a DELETE, and the snapshot without the event; raises KeyError for one that this book does not have.

        An EMERGENCY stays listed until it is released.
        """
        old = self.book.live[event_id]
        seq = self.book.next_seq()
        body = self.voice.withdrawal(old, epoch=self.book.epoch, seq=seq, now_ms=self._second(), release=release)
        topic, message = self.voice.notification("DELETE", body)
        if release or old["x-farmctl"]["class"] != "EMERGENCY":
            del self.book.live[event_id]
        await self.say(topic, message)
        await self.list_live()
        return message

    async def list_live(self) -> None:
        """Publish the live set, retained, and confirm it."""
        now_ms = self._second()
        self.book.forget_ended(now_ms)
        events = list(self.book.live.values())
        self._snapshot = self.voice.snapshot(events, epoch=self.book.epoch, seq=self.book.next_seq(), now_ms=now_ms)
        self._snapshot_ms = self.clock.now_ms()
        await self.say(self.voice.topic("snapshot"), self._snapshot, retain=True)
        await self.beat()

    async def beat(self) -> None:
        """One heartbeat; one that waited for its broker would look like a clock that is late."""
        body = self.voice.heartbeat(
            self.book.next_beat(),
            epoch=self.book.epoch,
            seq=self.book.seq,
            now_ms=self.clock.now_ms(),
            snapshot=self._snapshot,
        )
        await self._link.publish_now(self.voice.topic("heartbeat"), json.dumps(body).encode())

    async def say(self, topic: str, message: Payload | bytes, *, retain: bool = False) -> None:
        """Publish anything.  Raises SilentPeerError."""
        raw = message if isinstance(message, bytes) else json.dumps(message, allow_nan=False).encode()
        await self._link.publish(topic, raw, retain=retain)

    async def until(self, holds: Callable[[], object], within_s: float) -> bool:
        """Wait for something heard; False where it did not come in time."""
        end_ms = self.clock.now_ms() + round(within_s * 1_000)
        while not holds():
            if self.clock.now_ms() >= end_ms:
                return False
            await self.clock.sleep(LOOK_S)
        return True

    def _second(self) -> int:
        return self.clock.now_ms() // 1_000 * 1_000

    async def _beats(self) -> None:
        while True:
            await self.clock.sleep(BEAT_S)
            if self.silent:
                continue
            with contextlib.suppress(SilentPeerError):  # the broker is gone for now; the next one comes in 10 s
                if self.clock.now_ms() - self._snapshot_ms >= SNAPSHOT_S * 1_000:
                    await self.list_live()
                else:
                    await self.beat()

    async def _holds(self, holding: Holding) -> None:
        """Make durable what came, then say so; what was said too early or not at all comes again."""
        while True:
            await holding.some()
            for box, spans in (await holding.told()).items():
                body = self.voice.held(box, spans.listed(MOST_SPANS), now_ms=self.clock.now_ms())
                with contextlib.suppress(SilentPeerError):
                    await self.say(self.voice.topic("held"), body)
            await self.clock.sleep(HELD_PAUSE_S)

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as the link hands it over
        now_ms = self.clock.now_ms()
        if self._gate is not None and not self._gate.admits(topic.removeprefix(f"{self.up}/"), payload, now_ms):
            return
        said = self.heard.take(topic, payload, retained=retained, at_ms=now_ms)
        if said is not None and self.holding is not None:
            self.holding.take(said)

    async def _ended(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.book.save()
