"""One MQTT connection that is made again whenever it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import aiomqtt

SEND_S = 30.0
"""A message that the broker has not taken by then is an error."""
ATTEMPT_S = 5.0
RECONNECT_S = (0.1, 2.0)
"""First and longest pause between attempts."""

# aiomqtt warns above ten messages in flight; that is our normal state in a burst.
_QUIET = logging.getLogger("simulators.grid.mqtt")
_QUIET.setLevel(logging.ERROR)


class Link:
    """Publishes, and hands over what arrives under one filter; `keep` must run for anything to happen."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        listen_to: str,
        heard: Callable[[str, bytes], None],
        connected: Callable[[], None],
    ) -> None:
        self.connections = 0
        self.online = asyncio.Event()
        self._address = (host, port)
        self._listen_to = listen_to
        self._heard = heard
        self._connected = connected
        self._client: aiomqtt.Client | None = None
        self._attempts: set[asyncio.Timeout] = set()

    async def keep(self) -> None:
        """Connect, listen, and begin again after a loss, until cancelled."""
        host, port = self._address
        pause_s = RECONNECT_S[0]
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                # MQTT 3.1.1: amqtt refuses 5, and the contract must work without it.
                async with aiomqtt.Client(
                    host, port, protocol=aiomqtt.ProtocolVersion.V311, logger=_QUIET, keepalive=15
                ) as client:
                    pause_s = RECONNECT_S[0]
                    await self._listen(client)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_S[1])

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Return once the broker has it (QoS 1) or it is on the wire (QoS 0); raises TimeoutError after 30 s.

        A loss in between sends it again, so the other side may see it twice.
        """
        try:
            async with asyncio.timeout(SEND_S):
                while True:
                    if await self._attempt(topic, payload, qos=qos, retain=retain):
                        return
                    await asyncio.sleep(RECONNECT_S[0])
        except TimeoutError as error:
            raise TimeoutError(f"{topic}: the broker took nothing in {SEND_S:.0f} s") from error

    async def _attempt(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> bool:
        await self.online.wait()
        if self._client is None:
            return False
        scope = asyncio.timeout(ATTEMPT_S)
        self._attempts.add(scope)
        try:
            async with scope:
                await self._client.publish(topic, payload, qos=qos, retain=retain, timeout=2 * ATTEMPT_S)
        except (aiomqtt.MqttError, TimeoutError):
            return False
        finally:
            self._attempts.discard(scope)
        return True

    async def _listen(self, client: aiomqtt.Client) -> None:
        await client.subscribe(self._listen_to, qos=1)
        self._client = client
        self.connections += 1
        self.online.set()
        self._connected()
        try:
            async for message in client.messages:
                # amqtt 0.12.1 hands retained messages to clients that never asked for them.
                if message.topic.matches(self._listen_to) and isinstance(message.payload, bytes):
                    self._heard(message.topic.value, message.payload)
        finally:
            self._client = None
            self.online.clear()
            # aiomqtt 2.5.1 lets a publish wait out its timeout although the connection is gone.
            for scope in self._attempts:
                if not scope.expired():
                    scope.reschedule(asyncio.get_running_loop().time())
