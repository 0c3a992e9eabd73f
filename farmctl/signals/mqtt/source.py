"""The grid over MQTT: listens for ever, judges every message, answers it, and tells how alive the link is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import assert_never

import aiomqtt
import structlog

from farmctl.core.events import TERMINAL
from farmctl.core.grid import Ack, SnapshotPut
from farmctl.core.units import MS_PER_S, NEVER_MS
from farmctl.errors import ConfigError, StoreError
from farmctl.ports.grid import Capability, Inbox, Notice, Refusal, SiteState, Telemetry
from farmctl.ports.site import Clock
from farmctl.signals._intake import keys
from farmctl.signals._intake.desk import Delivery, Route, keys_state, sequence_state
from farmctl.signals._intake.intake import Intake
from farmctl.signals._intake.liveness import Liveness
from farmctl.signals._intake.verdict import Accepted, Deferred, Duplicate, Heartbeat, Held, KeysChanged, Refused
from farmctl.signals.mqtt import calls
from farmctl.signals.mqtt.config import Form, MqttSourceConfig, check
from farmctl.signals.mqtt.connection import ONLINE, Connector, ErrorCount, PrimaryIsBackError
from farmctl.signals.mqtt.outbox import Outbox
from farmctl.signals.mqtt.pace import Pace
from farmctl.signals.mqtt.post import Post
from farmctl.signals.mqtt.rivals import Rivals
from farmctl.signals.mqtt.topics import topics_of
from farmctl.signals.mqtt.vigil import Vigil
from farmctl.signals.uplink import Sender
from farmctl.signals.uplink.reports import Reports

log = structlog.get_logger()


class MqttSource:
    """A SignalSource and the Uplink to the same operator.  Raises ConfigError for a configuration with faults."""

    def __init__(
        self,
        config: MqttSourceConfig,
        clock: Clock,
        *,
        outbox: Outbox | None = None,
        pace: Pace | None = None,
        dice: Random | None = None,
    ) -> None:
        check(config)
        if config.tls is not None:
            config.tls.context()
        self.name = config.name
        self.place = 0
        """Which of its brokers serves, or is tried: 0 is the primary."""
        self.strays = 0
        """Messages on topics that were never asked for, dropped unread."""
        self._config = config
        self._clock = clock
        self._pace = pace or Pace()
        self._dice = dice or Random()  # noqa: S311 - jitter, not a secret
        self._topics = topics_of(config)
        sender = Sender(site=config.site, controller_id=config.controller_id, seed=config.site_seed)
        self._errors = ErrorCount()
        self._rivals = Rivals(self._topics.status, sender, clock)
        self._connector = Connector(
            config=config,
            topics=self._topics,
            sender=sender,
            clock=clock,
            errors=self._errors,
            rivals=self._rivals,
        )
        self._post = Post(
            topics=self._topics,
            sender=sender,
            outbox=outbox or Outbox(config.name, clock),
        )
        self._intake = Intake(config.rules())
        self._live = self._unheard()
        self._resync = asyncio.Event()
        self._connected = False
        self._told_lost = False
        self._unkept_keys: Notice | None = None
        self._told_all_ms = NEVER_MS
        self._told_confirmed = False
        self._reports = Reports()

    @property
    def rival(self) -> str:
        """Controller id of another one that says it is this site; empty for none."""
        return self._rivals.now()

    @property
    def wire_errors(self) -> int:
        """Errors that the MQTT library logged."""
        return self._errors.errors

    async def run(self, inbox: Inbox) -> None:
        """Listen until cancelled; reconnects for ever."""
        self._intake = Intake(
            self._config.rules(),
            sequence=await inbox.state(sequence_state(self.name)),
            keyring=await inbox.state(keys_state(self.name)),
        )
        self._live = self._unheard()
        await self._post.outbox.open(inbox)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(inbox))
            tasks.create_task(self._stay_connected(inbox))

    async def ack(self, ack: Ack) -> None:
        """Queue one ack about a message of this source; acks about others are not this operator's business."""
        if ack.source != self.name:
            return
        self._intake.note_ack(ack)
        if ack.state in TERMINAL:
            self._reports.forget(ack.event_id)
        await self._post.ack(ack)

    @property
    def unkept(self) -> int:
        """Acks that a kill would lose."""
        return self._post.outbox.unkept

    async def telemetry(self, telemetry: Telemetry) -> None:
        """Send if connected, else drop; the reports that events asked for are measured by it."""
        self._post.telemetry(telemetry)
        for event_id, values, start_ms, end_ms in self._reports.sample(telemetry):
            await self._post.report(event_id, values, (start_ms, end_ms))

    async def site_state(self, state: SiteState) -> None:
        """Send as retained, and again after a reconnect; the sequence is the last accepted one, snapshots included."""
        pair = self._intake.standing.pair
        if pair is not None:
            state = replace(state, last_epoch=pair[0], last_seq=pair[1])
        self._post.site_state(state)

    async def capability(self, able: Capability) -> None:
        """Send as retained, and again after a reconnect."""
        self._post.capability(able, self._config.offer())

    def ask_again(self) -> None:
        """Read the snapshot anew and apply it though it is the same; the link counts again once that is confirmed."""
        self._intake.forget_applied()
        self._live = self._live.unconfirmed()
        self._resync.set()

    def _unheard(self) -> Liveness:
        simple_only = self._config.forms == {Form.SIMPLE}
        return Liveness(loss_after_ms=round(self._config.loss_after_s * MS_PER_S), simple_only=simple_only)

    async def _watch(self, inbox: Inbox) -> None:
        """Tell the age of the link, also while there is none."""
        while True:
            self._tell(inbox)
            await self._keep_keys(inbox)
            await self._post.outbox.keep()
            if self._live.confirmed:
                self._post.remind()
            await self._clock.sleep(self._pace.watch_s)

    def _tell(self, inbox: Inbox) -> None:
        self._live = self._live.on_time(self._clock.now_ms())
        if self._live.confirmed and not self._told_confirmed:
            self._told_all_ms = self._clock.now_ms()
        self._told_confirmed = self._live.confirmed
        inbox.link(
            self.name,
            connected=self._connected,
            last_valid_ms=self._live.last_valid_ms,
            confirmed=self._live.confirmed,
            clock_offset_ms=self._intake.hearing.offset_ms,
            told_all_ms=self._told_all_ms,
        )

    async def _stay_connected(self, inbox: Inbox) -> None:
        failures = 0
        while True:
            since = self._clock.monotonic_s()
            broker = self._config.brokers[self.place]
            try:
                fault = await self._session(broker, inbox)
            except PrimaryIsBackError:
                log.info("grid_primary_back", source=self.name, broker=_name(self._config.brokers[0]))
                self.place = failures = 0
                self._tell(inbox)
                continue
            if self._clock.monotonic_s() - since >= self._pace.settled_s:
                failures = 0
            self._say_lost(broker, fault)
            self._tell(inbox)
            failures += 1
            self.place = (self.place + 1) % len(self._config.brokers)
            if failures % len(self._config.brokers) == 0:
                await self._clock.sleep(self._pace.wait_s(failures // len(self._config.brokers), self._dice))

    async def _session(self, broker: tuple[str, int], inbox: Inbox) -> str:
        """One connection from open to break; what broke it.  Raises PrimaryIsBackError."""
        others = [self._moves_on] if len(self._config.brokers) > 1 else []
        others += [self._returns] if self.place else []
        try:
            async with self._connector.open(broker) as client:
                self._say_back(broker)
                self._tell(inbox)
                await calls.until_one_fails(
                    self._listen(client, inbox),
                    self._post.deliver(client, mqtt5=self._connector.is_mqtt5(broker)),
                    self._resyncs(client),
                    self._status(client),
                    *[work() for work in others],
                )
        except (aiomqtt.MqttError, ConfigError) as broken:  # a certificate may be missing while it is renewed
            return str(broken)
        finally:
            self._connected = False
        return "closed"

    async def _returns(self) -> None:
        """Back to the primary broker once the grid has been heard there for a while.  Raises PrimaryIsBackError."""
        vigil = Vigil(connector=self._connector, clock=self._clock, pace=self._pace, speaks=self._speaks_of_now)
        await vigil.until_back(self._config.brokers[0])
        raise PrimaryIsBackError

    def _speaks_of_now(self, delivery: Delivery) -> bool:
        return self._intake.speaks_of_now(delivery, self._clock.now_ms())

    async def _moves_on(self) -> None:
        """A broker that lives and brings nothing is left for the next one.  Raises aiomqtt.MqttError."""
        since_ms = self._clock.now_ms()
        while True:
            await self._clock.sleep(self._pace.watch_s)
            now_ms = self._clock.now_ms()
            since_ms = min(since_ms, now_ms)
            quiet_s = (now_ms - max(since_ms, self._live.last_valid_ms)) / MS_PER_S
            if quiet_s >= self._config.loss_after_s:
                raise aiomqtt.MqttError(f"nothing valid was heard on it for {quiet_s:.0f} s")

    async def _status(self, client: aiomqtt.Client) -> None:
        """Say ONLINE again, in case a will of an older session came late."""
        while True:
            await self._clock.sleep(self._pace.status_s)
            await self._connector.say(client, ONLINE)

    async def _resyncs(self, client: aiomqtt.Client) -> None:
        """Read the retained snapshot again whenever something is missing, but not in a flurry."""
        snapshot = self._topics.of(Route.SNAPSHOT)
        if snapshot is None:
            return
        self._resync.clear()  # the subscription of this connection is a resync
        while True:
            await self._resync.wait()
            self._resync.clear()
            await self._connector.resubscribe(client, snapshot.topic)
            await self._clock.sleep(self._pace.resync_s)

    async def _listen(self, client: aiomqtt.Client, inbox: Inbox) -> None:
        async for message in client.messages:
            downlink = self._topics.heard(str(message.topic))
            raw = message.payload if isinstance(message.payload, bytes) else bytes(message.payload)
            if str(message.topic) == self._topics.status:
                self._rivals.hear(raw)
                continue
            if downlink is None:
                self.strays += 1
                continue
            await self._take(
                Delivery(route=downlink.route, topic=downlink.canonical, raw=raw, retained=bool(message.retain)),
                inbox,
            )

    async def _take(self, delivery: Delivery, inbox: Inbox) -> None:
        now_ms = self._clock.now_ms()
        self._live = self._live.on_time(now_ms)
        verdict = self._intake.judge(delivery, now_ms)
        match verdict:
            case Accepted():
                await self._accept(verdict, inbox)
            case Refused():
                await self._refuse(verdict, inbox)
            case Duplicate():
                await self._repeat(verdict, inbox)
            case Heartbeat():
                self._intake.commit(verdict)
                if verdict.fresh:
                    self._live = self._live.on_heartbeat(verdict.snapshot_hash, now_ms)
            case KeysChanged():
                await self._rekey(verdict, delivery, inbox)
            case Held():
                self._post.outbox.settle(verdict.outbox, verdict.spans)
            case Deferred():
                log.debug("grid_message_deferred", source=self.name, why=verdict.detail)
            case _ as never:
                assert_never(never)
        if verdict.resync:
            self._resync.set()
        self._tell(inbox)

    async def _accept(self, verdict: Accepted, inbox: Inbox) -> None:
        try:
            await inbox.accept(verdict.receipt)
        except StoreError as fault:
            log.error("grid_signal_not_stored", source=self.name, topic=verdict.receipt.topic, fault=str(fault))  # noqa: TRY400 - the text says it all
            self._resync.set()
            return
        self._intake.commit(verdict)
        for event_id, types in verdict.asked.items():
            self._reports.ask(event_id, types)
        message = verdict.receipt.message
        if isinstance(message, SnapshotPut):
            self._live = self._live.on_snapshot(verdict.pair, verdict.snapshot_hashes, verdict.issued_ms)
        else:
            self._live = self._live.on_message(verdict.issued_ms)
        if verdict.ack is not None:
            await self._post.ack(verdict.ack)

    async def _rekey(self, verdict: KeysChanged, delivery: Delivery, inbox: Inbox) -> None:
        """A revocation counts at once, and again after a restart; what cannot be stored is tried again."""
        self._intake.commit(verdict)
        log.info("grid_keys_changed", source=self.name, kids=sorted(verdict.keyring.keys))
        states = {keys_state(self.name): keys.to_bytes(verdict.keyring)}
        self._unkept_keys = Notice(source=self.name, topic=delivery.topic, what="keys", raw=delivery.raw, states=states)
        await self._keep_keys(inbox)

    async def _keep_keys(self, inbox: Inbox) -> None:
        notice = self._unkept_keys
        if notice is None:
            return
        try:
            await inbox.note(notice)
        except StoreError as fault:
            log.error("grid_keys_not_stored", source=self.name, fault=str(fault))  # noqa: TRY400 - the text says it all
            return
        if self._unkept_keys is notice:
            self._unkept_keys = None

    async def _refuse(self, verdict: Refused, inbox: Inbox) -> None:
        log.debug("grid_signal_refused", source=self.name, reason=verdict.reason, detail=verdict.refusal.detail)
        await self._journal(verdict.refusal, inbox)
        self._intake.commit(verdict)
        if verdict.ack is not None:
            await self._post.ack(verdict.ack)

    async def _repeat(self, verdict: Duplicate, inbox: Inbox) -> None:
        if verdict.refusal is not None:
            await self._journal(verdict.refusal, inbox)
        if verdict.ack is not None:
            await self._post.ack(verdict.ack)

    async def _journal(self, refusal: Refusal, inbox: Inbox) -> None:
        try:
            await inbox.refuse(refusal)
        except StoreError as fault:
            log.error("grid_refusal_not_stored", source=self.name, fault=str(fault))  # noqa: TRY400 - the text says it all

    def _say_lost(self, broker: tuple[str, int], fault: str) -> None:
        if not self._told_lost:
            log.warning("grid_link_lost", source=self.name, broker=_name(broker), fault=fault)
        self._told_lost = True

    def _say_back(self, broker: tuple[str, int]) -> None:
        self._connected = True
        if self._told_lost:
            log.info("grid_link_back", source=self.name, broker=_name(broker))
        self._told_lost = False


def _name(broker: tuple[str, int]) -> str:
    return f"{broker[0]}:{broker[1]}"
