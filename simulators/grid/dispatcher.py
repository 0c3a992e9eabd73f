"""A grid dispatcher on MQTT: sends events or simple statements to one site and listens to its answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Literal, Self

from simulators.grid import messages
from simulators.grid.ledger import Ledger, Live, Sent
from simulators.grid.link import SEND_S, Link
from simulators.grid.messages import Envelope, Statement
from simulators.grid.orders import EventClass, Order, utc_now, uuid7
from simulators.grid.signing import Payload, Signer, seal, snapshot_hash
from simulators.grid.uplink import FAILSAFE_MODES, TERMINAL, Ack, Uplink

HEARTBEAT_S = 10.0
SNAPSHOT_S = 300.0
SIMPLE_REPEAT_S = 20.0
SHORTEST_S = 1.0
"""How long a simple statement is still valid that is being taken back with nothing to replace it."""
EMERGENCY_AUTHORITY_S = 900.0
MAX_DOWNLINK = 65_536
MAX_SIMPLE = 1_024

Form = Literal["openadr", "simple"]


class Dispatcher:
    """One operator talking to one site; `async with` connects it and keeps it connected.

    MQTT 3.1.1 without credentials, so for loopback.  `epoch` defaults to the Unix time of the start, so that a
    restarted dispatcher is above its predecessor.  `standing_kw` is the limit that the simple form states while no
    order limits; without it that form falls silent when no order runs.
    """

    def __init__(  # noqa: PLR0913 - each is an independent fact about the link, all but the address by keyword
        self,
        host: str,
        port: int,
        *,
        op: str,
        site: str,
        programme_id: str = "surplus-dispatch",
        form: Form = "openadr",
        signer: Signer | None = None,
        epoch: int | None = None,
        standing_kw: float | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.site = site
        self.form: Form = form
        self.epoch = int(now().timestamp()) if epoch is None else epoch
        self.uplink = Uplink()
        self.ledger = Ledger(standing_kw=standing_kw)
        self.heartbeats = 0
        self.snapshots = 0
        self.muted = False
        """True stops heartbeats, periodic snapshots and repeats: the dispatcher has gone quiet."""
        self._op = op
        self._programme_id = programme_id
        self._signer = signer
        self._kid = f"{op}-unsigned" if signer is None else signer.kid
        self._now = now
        self._seq = 0
        self._hash = ""
        self._snapshot_s = -math.inf
        self._announce = asyncio.Event()
        self._restated = asyncio.Event()
        self._sending = asyncio.Lock()
        self._link = Link(host, port, listen_to=f"site/v1/{site}/#", heard=self._hear, connected=self._announce.set)
        self._tasks: asyncio.TaskGroup | None = None
        self._background: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        periodic = self._repeat_statement if self.form == "simple" else self._beat
        jobs = (self._link.keep(), self._announce_on_demand(), periodic())
        self._background = [self._tasks.create_task(job) for job in jobs]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        for task in self._background:
            task.cancel()
        if tasks is None:
            return
        if isinstance(error, asyncio.CancelledError):
            await tasks.__aexit__(kind, error, trace)
        else:
            # The caller's own error goes on as it is; the group would wrap it.
            await tasks.__aexit__(None, None, None)

    @property
    def connections(self) -> int:
        """How often the broker was reached."""
        return self._link.connections

    @property
    def acks(self) -> list[Ack]:
        """Every ack of the site, in the order they came."""
        return self.uplink.acks

    async def create_event(self, order: Order) -> Sent:
        """Send a new event; returns once the broker has it."""
        stem = order.name or "ev"
        order_id = f"{stem}-{self.epoch}-{self._seq + 1}"
        return await self._order("create", order_id, order)

    async def update(self, order_id: str, order: Order) -> Sent:
        """Replace an order under the same id; an id never sent is a CREATE to the site, as OpenADR has it."""
        return await self._order("update", order_id, order)

    async def delete(self, order_id: str, *, release: bool = False) -> Sent:
        """Cancel an order; raises KeyError for one that is not live.  An emergency goes only with `release`."""
        live = self.ledger.live[order_id]
        async with self._sending:
            if release or not live.latched:
                del self.ledger.live[order_id]
            if self.form == "simple":
                return await self._send_statement("delete", order_id, live.order, release=release)
            envelope = self._envelope()
            body = messages.deletion_object(
                envelope, event_id=order_id, programme_id=self._programme_id, order=live.order, release=release
            )
            sent = await self._send_event("delete", order_id, live.order, body)
            await self._send_snapshot()
            return sent

    async def emergency(
        self, *, limit_kw: float | None = None, text: str = "grid emergency", respond_within_s: int = 30
    ) -> Sent:
        """Shed now: to `limit_kw`, or to the site's own emergency level.  Stays until `release`."""
        order = Order(
            limit_kw=limit_kw,
            alert=None if limit_kw is not None else text,
            event_class=EventClass.EMERGENCY,
            name="emergency",
            priority=0,
            respond_within_s=respond_within_s,
            expires_in_s=EMERGENCY_AUTHORITY_S,
        )
        return await self.create_event(order)

    async def release(self, order_id: str) -> Sent:
        """End an emergency."""
        return await self.delete(order_id, release=True)

    async def send_raw(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Publish anything at all, for tests of what a site must withstand."""
        await self._link.publish(topic, payload, qos=qos, retain=retain)

    async def send_snapshot(self) -> None:
        """Publish the live set now, followed by a heartbeat that confirms it."""
        async with self._sending:
            await self._send_snapshot()
            await self._send_heartbeat()

    async def wait_for(self, order_id: str, states: set[str], *, within_s: float) -> Ack:
        """Wait until the site has reported one of these states for an order; raises TimeoutError."""
        return await self.uplink.wait_for(self.ledger.wire_ids(order_id), states, within_s=within_s)

    async def wait_online(self, *, within_s: float = SEND_S) -> None:
        """Wait for the broker; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            await self._link.online.wait()

    def topic(self, leaf: str) -> str:
        """Downlink topic of this site."""
        return f"grid/v1/{self._op}/{self.site}/{leaf}"

    async def _order(self, operation: str, order_id: str, order: Order) -> Sent:
        async with self._sending:
            issued_at = self._now()
            known = self.ledger.live.get(order_id)
            live = Live(
                order=order,
                created_at=issued_at if known is None else known.created_at,
                starts_at=issued_at + timedelta(seconds=order.lead_s),
                ends_at=messages.ends_at(order, issued_at),
            )
            if self.form == "simple":
                self.ledger.live[order_id] = live
                return await self._send_statement(operation, order_id, order)
            live.body = messages.event_object(
                order,
                self._envelope(issued_at),
                event_id=order_id,
                programme_id=self._programme_id,
                site=self.site,
                created_at=live.created_at,
            )
            sent = await self._send_event(operation, order_id, order, live.body)
            self.ledger.live[order_id] = live
            await self._send_snapshot()
            return sent

    async def _send_event(self, operation: str, order_id: str, order: Order, body: Payload) -> Sent:
        topic = self.topic(f"events/{operation}")
        sealed = seal(topic, messages.notification(operation, body), self._signer)
        body["x-farmctl"] = sealed["object"]["x-farmctl"]
        self.ledger.speaks_for(order_id, [order_id])
        return await self._send_order(operation, order_id, order, topic, sealed)

    async def _send_statement(self, operation: str, order_id: str, order: Order, *, release: bool = False) -> Sent:
        now = self._now()
        statement = self.ledger.statement(now)
        if statement is None:
            limit_kw = 0.0 if order.target_kw is None and order.limit_kw is None else order.limit_kw
            until = now + timedelta(seconds=SHORTEST_S)
            statement = Statement(target_kw=order.target_kw, limit_kw=limit_kw, valid_until=until)
        if release:
            statement = replace(statement, event_class=EventClass.EMERGENCY, release=True)
        payload = self._number_statement(statement, {order_id, *self.ledger.running(now)})
        topic = self.topic("simple")
        sent = await self._send_order(operation, order_id, order, topic, seal(topic, payload, self._signer))
        self._restated.set()
        return sent

    def _number_statement(self, statement: Statement, order_ids: set[str]) -> Payload:
        self._seq += 1
        self.ledger.speaks_for(f"simple-{self.epoch}-{self._seq}", order_ids)
        kid = None if self._signer is None else self._signer.kid
        return messages.simple(statement, epoch=self.epoch, seq=self._seq, kid=kid)

    async def _send_order(self, operation: str, order_id: str, order: Order, topic: str, sealed: Payload) -> Sent:
        payload = self._encode(topic, sealed)
        sent_s = time.monotonic()  # before: the first ack may overtake the broker's
        await self._link.publish(topic, payload, qos=1, retain=False)
        extension = sealed.get("object", {}).get("x-farmctl", {})
        sent = Sent(
            order_id=order_id,
            operation=operation,
            order=order,
            topic=topic,
            msg_id=extension.get("msgId", ""),
            epoch=self.epoch,
            seq=self._seq,
            sent_s=sent_s,
            starts_s=sent_s + order.lead_s,
            payload=payload,
        )
        self.ledger.sent.append(sent)
        return sent

    async def _send_snapshot(self) -> None:
        finished = {ack.event_id for ack in self.uplink.acks if ack.state in TERMINAL}
        now = self._now()
        self.ledger.forget_ended(now, finished)
        events = [live.body for live in self.ledger.live.values()]
        topic = self.topic("snapshot")
        sealed = seal(topic, messages.snapshot(self._envelope(now), events), self._signer)
        await self._link.publish(topic, self._encode(topic, sealed), qos=1, retain=True)
        self._hash = snapshot_hash(sealed)
        self._snapshot_s = time.monotonic()
        self.snapshots += 1

    async def _send_heartbeat(self) -> None:
        self.heartbeats += 1
        topic = self.topic("heartbeat")
        head = Envelope(issuer=self._op, kid=self._kid, epoch=self.epoch, seq=self._seq, issued_at=self._now())
        unsigned = messages.heartbeat(head, beat=self.heartbeats, snapshot_hash=self._hash)
        await self._link.publish(topic, self._encode(topic, seal(topic, unsigned, self._signer)), qos=0, retain=False)

    def _envelope(self, issued_at: datetime | None = None) -> Envelope:
        self._seq += 1
        at = issued_at or self._now()
        return Envelope(issuer=self._op, kid=self._kid, epoch=self.epoch, seq=self._seq, issued_at=at, msg_id=uuid7(at))

    def _encode(self, topic: str, payload: Payload) -> bytes:
        encoded = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
        longest = MAX_SIMPLE if self.form == "simple" else MAX_DOWNLINK
        if len(encoded) > longest:
            raise ValueError(f"{topic}: {len(encoded)} bytes, expected at most {longest}")
        return encoded

    def _hear(self, topic: str, payload: bytes) -> None:
        channel = topic.removeprefix(f"site/v1/{self.site}/")
        known = len(self.uplink.modes)
        self.uplink.take(channel, payload, time.monotonic())
        if any(mode in FAILSAFE_MODES for _, mode in self.uplink.modes[known:]):
            self._announce.set()

    async def _announce_on_demand(self) -> None:
        while True:
            await self._announce.wait()
            self._announce.clear()
            if self.form == "simple":
                await self._restate()
            elif self._may_speak():
                with contextlib.suppress(TimeoutError):  # offline again: the next connection announces
                    await self.send_snapshot()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            async with self._sending:
                if not self._may_speak():
                    continue
                with contextlib.suppress(TimeoutError):
                    if time.monotonic() - self._snapshot_s >= SNAPSHOT_S:
                        await self._send_snapshot()
                    await self._send_heartbeat()

    async def _repeat_statement(self) -> None:
        while True:
            now = self._now()
            change = self.ledger.next_change(now)
            left_s = SIMPLE_REPEAT_S if change is None else (change - now).total_seconds()
            try:
                async with asyncio.timeout(min(left_s, SIMPLE_REPEAT_S)):
                    await self._restated.wait()
                self._restated.clear()
            except TimeoutError:
                await self._restate()

    async def _restate(self) -> None:
        async with self._sending:
            now = self._now()
            self.ledger.forget_ended(now)
            statement = self.ledger.statement(now)
            if statement is None or not self._may_speak():
                return
            topic = self.topic("simple")
            payload = self._number_statement(statement, set(self.ledger.running(now)))
            with contextlib.suppress(TimeoutError):
                encoded = self._encode(topic, seal(topic, payload, self._signer))
                await self._link.publish(topic, encoded, qos=1, retain=False)

    def _may_speak(self) -> bool:
        # Offline, a sign of life would only wait and arrive with an old time in it.
        return self._link.online.is_set() and not self.muted
