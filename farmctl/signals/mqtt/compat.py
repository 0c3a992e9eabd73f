"""The on/off adapter over MQTT: listens to all its brokers at once, says nothing, and may only lower the load."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from random import Random

import aiomqtt
import structlog

from farmctl.core.grid import Ack
from farmctl.core.units import NEVER_MS
from farmctl.errors import ConfigError, StoreError
from farmctl.ports.grid import Inbox, Receipt, Refusal, SiteState, Telemetry
from farmctl.ports.site import Clock
from farmctl.signals._intake import compat
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.mqtt import calls
from farmctl.signals.mqtt.config import TlsFiles, is_loopback
from farmctl.signals.mqtt.connection import ErrorCount, connection, quiet_client
from farmctl.signals.mqtt.pace import Pace

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatConfig:
    """Brokers and topic of an on/off publisher, and what off means here."""

    name: str
    brokers: tuple[tuple[str, int], ...]
    """All are listened to; the newest timestamp wins."""
    topic: str
    off_w: float
    """Limit while off; the site's safe minimum unless configured otherwise."""
    tls: TlsFiles | None = None
    username: str | None = None
    password: str | None = None
    keepalive_s: int = 15


class CompatSource:
    """A SignalSource for unsigned on/off messages.  Raises ConfigError unless each broker is on loopback or mTLS."""

    def __init__(self, config: CompatConfig, clock: Clock, *, pace: Pace | None = None) -> None:
        _check(config)
        self.name = config.name
        self._config = config
        self._clock = clock
        self._pace = pace or Pace()
        self._dice = Random()  # noqa: S311 - jitter, not a secret
        self._errors = ErrorCount()
        self._switch = compat.Switch(since_ms=clock.now_ms())
        self._last_valid_ms = NEVER_MS
        self._up: set[int] = set()
        self._turn = asyncio.Lock()

    @property
    def state_name(self) -> str:
        """Name of the stored switch."""
        return f"signals.{self.name}.switch"

    async def run(self, inbox: Inbox) -> None:
        """Listen until cancelled; reconnects for ever."""
        self._switch = compat.from_bytes(await inbox.state(self.state_name), self._clock.now_ms())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(inbox))
            for number in range(len(self._config.brokers)):
                tasks.create_task(self._stay_connected(number, inbox))

    def ask_again(self) -> None:
        """An off that holds is stated anew; the publisher repeats itself anyway."""
        self._switch = replace(self._switch, off_until_ms=0)

    async def _watch(self, inbox: Inbox) -> None:
        """Silence and restoring happen without a message."""
        while True:
            await self._settle(inbox, b"")
            await self._clock.sleep(self._pace.watch_s)

    async def _stay_connected(self, number: int, inbox: Inbox) -> None:
        failures = 0
        told = False
        host, port = self._config.brokers[number]
        while True:
            try:
                async with connection(self._client(number)) as client:
                    await calls.subscribe(client, self._config.topic)
                    failures, told = 0, self._say_back(number, told=told)
                    async for message in client.messages:
                        if str(message.topic) == self._config.topic:
                            await self._take(bytes(message.payload), number, inbox, retained=bool(message.retain))
            except aiomqtt.MqttError as fault:
                if not told:
                    log.warning("grid_link_lost", source=self.name, broker=f"{host}:{port}", fault=str(fault))
                told = True
            finally:
                self._up.discard(number)
            failures += 1
            await self._clock.sleep(self._pace.wait_s(failures, self._dice))

    async def _take(self, raw: bytes, number: int, inbox: Inbox, *, retained: bool) -> None:
        now_ms = self._clock.now_ms()
        try:
            body = compat.read(raw, retained=retained, now_ms=now_ms)
            self._switch = compat.heard(self._switch, body, broker=number, now_ms=now_ms)
        except NotAcceptedError as fault:
            refusal = Refusal(
                source=self.name,
                topic=self._config.topic,
                reason=fault.reason,
                detail=f"{self._config.topic}: {fault.detail}",
                ack=None,
                raw=raw,
            )
            try:
                await inbox.refuse(refusal)
            except StoreError as broken:
                log.error("grid_refusal_not_stored", source=self.name, fault=str(broken))  # noqa: TRY400 - the text says it all
            return
        self._last_valid_ms = now_ms
        await self._settle(inbox, raw)

    async def _settle(self, inbox: Inbox, raw: bytes) -> None:
        """Say what is due; what cannot be stored stays due."""
        async with self._turn:
            said = compat.due(self._switch, source=self.name, off_w=self._config.off_w, now_ms=self._clock.now_ms())
            if said is not None:
                after, message = said
                states = {self.state_name: compat.to_bytes(after)}
                receipt = Receipt(source=self.name, topic=self._config.topic, message=message, raw=raw, states=states)
                try:
                    await inbox.accept(receipt)
                    self._switch = compat.said(self._switch, after)
                except StoreError as broken:
                    log.error("grid_signal_not_stored", source=self.name, fault=str(broken))  # noqa: TRY400 - the text says it all
        inbox.link(
            self.name,
            connected=bool(self._up),
            last_valid_ms=self._last_valid_ms,
            confirmed=self._last_valid_ms != NEVER_MS and not compat.is_silent(self._switch, self._clock.now_ms()),
            clock_offset_ms=0,
        )

    async def ack(self, ack: Ack) -> None:
        """This form has no answers."""

    async def telemetry(self, telemetry: Telemetry) -> None:
        """Not in this form."""

    async def site_state(self, state: SiteState) -> None:
        """Not in this form."""

    def _client(self, number: int) -> aiomqtt.Client:
        config = self._config
        return quiet_client(
            config.brokers[number],
            name=config.name,
            errors=self._errors,
            username=config.username,
            password=config.password,
            keepalive_s=config.keepalive_s,
            tls=config.tls,
        )

    def _say_back(self, number: int, *, told: bool) -> bool:
        """The link is up; True is never left told."""
        self._up.add(number)
        if told:
            host, port = self._config.brokers[number]
            log.info("grid_link_back", source=self.name, broker=f"{host}:{port}")
        return False


def _check(config: CompatConfig) -> None:
    mutual = config.tls is not None and config.tls.certificate is not None
    outside = [host for host, _ in config.brokers if not is_loopback(host)]
    faults = []
    if not config.brokers:
        faults.append("brokers is empty, expected at least one (host, port)")
    if outside and not mutual:
        faults.append(f"unsigned messages need loopback or a TLS certificate of the site, for {', '.join(outside)}")
    if not config.off_w >= 0:
        faults.append(f"off_w is {config.off_w}, expected at least 0")
    if not config.topic or any(c in config.topic for c in "#+\x00"):
        faults.append(f"topic is {config.topic!r}, expected a topic without wildcards")
    if faults:
        raise ConfigError(f"grid source {config.name!r}: " + "; ".join(faults))
