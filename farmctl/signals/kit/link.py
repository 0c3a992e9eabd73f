"""One connection of a dispatcher to a broker, made again whenever it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from farmctl.errors import ConfigError, SilentPeerError

ANSWER_WITHIN_S = 5.0
CONNECT_WITHIN_S = 4.0
"""Below the time that a caller waits, so that the caller is told what went wrong."""
AGAIN_S = 0.5
KEEPALIVE_S = 15
_QUIET = logging.getLogger("farmctl.signals.kit")
_QUIET.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where the broker is and how one gets in."""

    host: str
    port: int
    ca: Path | None = None
    """Authority of the broker's certificate; None: plain text."""
    cert: Path | None = None
    key: Path | None = None
    user: str | None = None
    password: str | None = None

    def hint(self, fault: str) -> str:
        """What to try, given how we speak and what went wrong; empty where the fault says it all."""
        if "refused" in fault or "Name or service" in fault:
            return "; does a broker listen there?"
        if self.ca is None:
            return "; this was plain text: a broker that speaks TLS needs --ca, and mostly --cert and --cert-key"
        if self.cert is None:
            return "; a broker that asks for certificates needs --cert and --cert-key"
        return f"; is {self.cert} of an authority that the broker trusts, and still valid?"

    def context(self) -> ssl.SSLContext | None:
        """TLS 1.2 or newer.  Raises ConfigError naming the files."""
        if self.ca is None:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as fault:
            raise ConfigError(f"TLS files {self.ca}, {self.cert}, {self.key}: {fault}") from fault
        return context


class Link:
    """Publishes, and hands over what arrives on one filter; `keep` must run for anything to happen."""

    def __init__(self, address: BrokerAddress, *, listen_to: str, heard: Callable[[str, bytes, bool], None]) -> None:
        self.online = asyncio.Event()
        self._address = address
        self._listen_to = listen_to
        self._heard = heard
        self._client: aiomqtt.Client | None = None
        self._fault = "no connection yet"

    async def keep(self) -> None:
        """Connect, listen, begin again after a loss, until cancelled."""
        while True:
            try:
                async with self._made() as client:
                    await client.subscribe(self._listen_to, qos=1, timeout=math.inf)
                    self._client = client
                    self.online.set()
                    async for message in client.messages:
                        if message.topic.matches(self._listen_to) and isinstance(message.payload, bytes):
                            self._heard(message.topic.value, message.payload, bool(message.retain))
            except (aiomqtt.MqttError, OSError) as fault:
                self._fault = str(fault)
            finally:
                self._client = None
                self.online.clear()
            await asyncio.sleep(AGAIN_S)

    async def is_online(self, within_s: float = ANSWER_WITHIN_S) -> None:
        """Wait for the broker.  Raises SilentPeerError with what it said instead."""
        try:
            async with asyncio.timeout(within_s):
                await self.online.wait()
        except TimeoutError:
            where = f"{self._address.host}:{self._address.port}"
            raise SilentPeerError(
                f"broker {where}: not reached within {within_s:g} s: {self._fault}{self._address.hint(self._fault)}"
            ) from None

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """At QoS 1; return once the broker has it; sent again where the connection broke.  Raises SilentPeerError."""
        for _ in range(3):
            await self.is_online()
            client = self._client
            if client is not None:
                with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                    async with asyncio.timeout(ANSWER_WITHIN_S):  # not aiomqtt's own: it may swallow a cancel
                        await client.publish(topic, payload, qos=1, retain=retain, timeout=math.inf)
                    return
            await asyncio.sleep(AGAIN_S)
        raise SilentPeerError(f"{topic}: the broker took nothing; may this user write there?")

    async def publish_now(self, topic: str, payload: bytes) -> None:
        """Say what is worth nothing later: at QoS 0, once, and not at all without a connection."""
        client = self._client
        if client is not None:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await client.publish(topic, payload, qos=0, timeout=math.inf)

    def _made(self) -> aiomqtt.Client:
        address = self._address
        return aiomqtt.Client(
            address.host,
            address.port,
            username=address.user,
            password=address.password,
            tls_context=address.context(),
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_WITHIN_S,
            logger=_QUIET,
        )
