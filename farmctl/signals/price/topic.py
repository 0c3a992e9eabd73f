"""A market that is published on an MQTT topic: every message is a document with new values."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

import aiomqtt

from farmctl.errors import ConfigError, MalformedReplyError
from farmctl.ports.site import Clock
from farmctl.signals._intake.shape import MAX_BYTES, json_object
from farmctl.signals._intake.verdict import NotAcceptedError
from farmctl.signals.price.config import MqttFeed
from farmctl.signals.price.quotes import Quote, from_message

CONNECT_S = 10.0
KEEPALIVE_S = 20
AGAIN_S = 5.0
_QUIET = logging.getLogger("farmctl.price.mqtt")
_QUIET.setLevel(logging.CRITICAL)  # what breaks is told once, by the source

Heard = Callable[[tuple[Quote, ...], bytes], None]


async def listen(feed: MqttFeed, clock: Clock, heard: Heard, lost: Callable[[str], None]) -> None:
    """Hand over what each message says, for ever; `lost` is told why nothing is heard, or a message was of no use."""
    while True:
        try:
            async with _client(feed) as client:
                await client.subscribe(feed.topic, qos=1)
                async for message in client.messages:
                    if message.topic.matches(feed.topic):
                        _take(message, feed, clock.now_ms(), heard, lost)
        except (aiomqtt.MqttError, OSError, ConfigError) as fault:
            lost(f"{feed.url}: {fault}")
        await asyncio.sleep(AGAIN_S)


def _take(message: aiomqtt.Message, feed: MqttFeed, now_ms: int, heard: Heard, lost: Callable[[str], None]) -> None:
    raw = message.payload if isinstance(message.payload, bytes) else b""
    try:
        document = json_object(b'{"document":' + raw + b"}", max_bytes=MAX_BYTES)["document"]
        heard(from_message(document, feed, None if message.retain else now_ms), raw)
    except NotAcceptedError as fault:
        lost(f"{feed.url}: {fault.detail}")
    except MalformedReplyError as fault:
        lost(str(fault))


def _client(feed: MqttFeed) -> aiomqtt.Client:
    return aiomqtt.Client(
        feed.host,
        feed.port,
        username=feed.user,
        password=feed.password,
        tls_context=_tls(feed),
        keepalive=KEEPALIVE_S,
        timeout=CONNECT_S,
        logger=_QUIET,
    )


def _tls(feed: MqttFeed) -> ssl.SSLContext | None:
    if not feed.is_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=None if feed.ca is None else str(feed.ca))
        if feed.cert is not None:
            context.load_cert_chain(feed.cert, feed.key)
    except (OSError, ssl.SSLError) as fault:
        raise ConfigError(f"TLS files {feed.ca}, {feed.cert}, {feed.key}: {fault}") from fault
    return context
