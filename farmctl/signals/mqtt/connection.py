"""One connection to a broker: will, status, subscriptions, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from typing_extensions import override

from farmctl.errors import TryAgainError
from farmctl.ports.site import Clock
from farmctl.signals._intake.desk import Route
from farmctl.signals.mqtt import calls
from farmctl.signals.mqtt.config import MqttSourceConfig, TlsFiles
from farmctl.signals.mqtt.rivals import Rivals
from farmctl.signals.mqtt.topics import OPTIONAL, Topics
from farmctl.signals.uplink import Sender, encoded, status_json

FAREWELL_WITHIN_S = 1.0
WILL_DELAY_S = 10
MOST_QUEUED = 10_000
"""Messages read but not yet judged; what a flood drops beyond it shows up as a gap and is resynced."""
AT_ONCE = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""An ack follows another before that one's TCP ack: with Nagle it would wait 40 ms for it (Linux's delayed ACK)."""
LIFE = frozenset({Route.HEARTBEAT, Route.SIMPLE})
"""What an issuer says again and again; by it one hears whether a broker carries its voice."""
Status = Literal["ONLINE", "OFFLINE"]
ONLINE: Status = "ONLINE"
OFFLINE: Status = "OFFLINE"
UNKNOWN_VERSION = (1, 132)
"""CONNACK codes of a broker that does not speak the version: in the words of 3.1.1 and of 5 (amqtt 0.12.1 says 132)."""
_PROTOCOLS = {"3.1.1": aiomqtt.ProtocolVersion.V311, "5": aiomqtt.ProtocolVersion.V5}


class PrimaryIsBackError(TryAgainError):
    """The session on another broker ends in order: the primary serves again."""


class ErrorCount(logging.Handler):
    """Counts what the MQTT library complains about; it says "pending publish calls" far too often to print it."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = 0

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.errors += 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Connector:
    """Opens connections for one source."""

    config: MqttSourceConfig
    topics: Topics
    sender: Sender
    clock: Clock
    errors: ErrorCount
    rivals: Rivals
    spoken: dict[tuple[str, int], str] = field(default_factory=dict)
    """Broker -> the protocol of the last connection to it."""

    @contextlib.asynccontextmanager
    async def open(self, broker: tuple[str, int]) -> AsyncIterator[aiomqtt.Client]:
        """A connected client that listens and has said ONLINE; says OFFLINE when left in order.

        Raises aiomqtt.MqttError when the broker cannot be reached, refuses, or the connection breaks.
        """
        async with contextlib.AsyncExitStack() as stack:
            client = await self._entered(stack, broker)
            try:
                await self._subscribe(client)
                await self.say(client, ONLINE)
                yield client
            except (asyncio.CancelledError, PrimaryIsBackError):
                with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                    async with asyncio.timeout(FAREWELL_WITHIN_S):
                        await self.say(client, OFFLINE)
                raise

    @contextlib.asynccontextmanager
    async def overhear(self, broker: tuple[str, int]) -> AsyncIterator[aiomqtt.Client]:
        """A nameless client that hears the grid's signs of life and says nothing.  Raises aiomqtt.MqttError."""
        config = self.config
        client = quiet_client(
            broker,
            name=config.name,
            errors=ErrorCount(),
            username=config.username,
            password=config.password,
            keepalive_s=config.keepalive_s,
            tls=config.tls,
        )
        async with connection(client):
            for downlink in self.topics.downlink.values():
                if downlink.route in LIFE:
                    await calls.subscribe(client, downlink.topic, qos=downlink.qos)
            yield client

    async def say(self, client: aiomqtt.Client, status: Status) -> None:
        """Publish the status, retained."""
        payload = self._status(status)
        self.rivals.said(payload)
        await calls.publish(client, self.topics.status, payload, retain=True)

    async def resubscribe(self, client: aiomqtt.Client, topic: str) -> None:
        """Ask for the retained message of a topic again."""
        await calls.unsubscribe(client, topic)
        await calls.subscribe(client, topic)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for downlink in self.topics.downlink.values():
            subscribe = calls.may_subscribe if downlink.route in OPTIONAL else calls.subscribe
            await subscribe(client, downlink.topic, qos=downlink.qos)
        await calls.may_subscribe(client, self.topics.status)  # a broker's older rules may not let us

    def is_mqtt5(self, broker: tuple[str, int]) -> bool:
        """Whether the last connection to it speaks MQTT 5."""
        return self.spoken.get(broker) == "5"

    async def _entered(self, stack: contextlib.AsyncExitStack, broker: tuple[str, int]) -> aiomqtt.Client:
        """Connected by the newest protocol that may be spoken and that the broker does not refuse."""
        protocols = ("5", "3.1.1") if self.config.protocol == "auto" else (self.config.protocol,)
        for protocol in protocols[:-1]:
            try:
                client = await stack.enter_async_context(connection(self._client(broker, protocol)))
            except aiomqtt.MqttCodeError as refused:
                if _code(refused) not in UNKNOWN_VERSION:
                    raise
            else:
                self.spoken[broker] = protocol
                return client
        client = await stack.enter_async_context(connection(self._client(broker, protocols[-1])))
        self.spoken[broker] = protocols[-1]
        return client

    def _client(self, broker: tuple[str, int], protocol: str) -> aiomqtt.Client:
        config = self.config
        delayed = _delayed() if protocol == "5" else None
        return quiet_client(
            broker,
            name=config.name,
            errors=self.errors,
            username=config.username,
            password=config.password,
            keepalive_s=config.keepalive_s,
            tls=config.tls,
            # a stable id: the broker ends a half-open session of ours at once, so its will cannot come late
            identifier=f"farmctl-{config.site}-{config.name}-{config.controller_id}",
            protocol=protocol,
            will=aiomqtt.Will(self.topics.status, self._status(OFFLINE), qos=1, retain=True, properties=delayed),
        )

    def _status(self, status: Status) -> bytes:
        body = status_json(status, self.sender, self.clock.now_ms())
        return encoded(body, topic=self.topics.status, sender=self.sender)


@contextlib.asynccontextmanager
async def connection(client: aiomqtt.Client) -> AsyncIterator[aiomqtt.Client]:
    """The client while it is connected.  Raises aiomqtt.MqttError.

    A cancel waits for the connecting thread, which cannot be stopped, and closes what it opened: aiomqtt 2.5.1
    connects in an executor thread; left alone it would leave its socket and its misc task behind.
    """
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        with contextlib.suppress(aiomqtt.MqttError):
            await entering
            await client.__aexit__(None, None, None)
        raise
    try:
        yield client
    finally:
        with contextlib.suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


def quiet_client(  # noqa: PLR0913 - all by name, each a setting of the connection
    broker: tuple[str, int],
    *,
    name: str,
    errors: ErrorCount,
    username: str | None,
    password: str | None,
    keepalive_s: int,
    tls: TlsFiles | None,
    identifier: str | None = None,
    protocol: str = "3.1.1",
    will: aiomqtt.Will | None = None,
) -> aiomqtt.Client:
    """A client with a clean session, bounded queues and a logger of our own that prints nothing.

    Errors are counted; warnings are not even that.
    """
    logger = logging.getLogger(f"farmctl.signals.mqtt.{name}")
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.handlers = [errors]
    version = _PROTOCOLS[protocol]
    return aiomqtt.Client(
        broker[0],
        broker[1],
        username=username,
        password=password,
        logger=logger,
        identifier=identifier,
        protocol=version,
        clean_session=None if version is aiomqtt.ProtocolVersion.V5 else True,
        will=will,
        timeout=calls.ANSWER_WITHIN_S,
        keepalive=keepalive_s,
        max_queued_incoming_messages=MOST_QUEUED,
        tls_context=None if tls is None else tls.context(),
        socket_options=AT_ONCE,
    )


def _code(refused: aiomqtt.MqttCodeError) -> int | None:
    code = refused.rc
    return code if isinstance(code, int) or code is None else int(code.value)


def _delayed() -> Properties:
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = WILL_DELAY_S
    return properties
