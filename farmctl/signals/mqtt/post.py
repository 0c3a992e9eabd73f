"""What leaves by MQTT: acks in order and kept, state retained, telemetry as long as it is fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiomqtt

from farmctl.core.grid import Ack
from farmctl.ports.grid import Capability, SiteState, Telemetry
from farmctl.signals.mqtt.outbox import Outbox, Parcel
from farmctl.signals.mqtt.topics import Topics
from farmctl.signals.uplink import (
    Offer,
    Sender,
    ack_json,
    capability_json,
    encoded,
    state_json,
    telemetry_json,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latest:
    """A message of which only the last one counts."""

    parcel: Parcel
    qos: int
    retain: bool


class Post:
    """The uplink of one source; whoever calls it never waits for the network."""

    def __init__(self, *, topics: Topics, sender: Sender, outbox: Outbox) -> None:
        self.outbox = outbox
        self._topics = topics
        self._sender = sender
        self._retained: dict[str, _Latest] = {}
        self._due: dict[str, _Latest] = {}
        self._wake = asyncio.Event()
        self._seq = 0
        self._connected = False

    async def ack(self, ack: Ack) -> None:
        """Queue one ack behind those before it."""
        await self.outbox.put(self._parcel(self._topics.ack, ack_json(ack, self._sender)))
        self._wake.set()

    def telemetry(self, telemetry: Telemetry) -> None:
        """Send if connected, in place of an older one that still waits; else drop."""
        if not self._connected:
            return
        parcel = self._parcel(self._topics.telemetry, telemetry_json(telemetry, self._sender))
        self._due[parcel.topic] = _Latest(parcel=parcel, qos=0, retain=False)
        self._wake.set()

    def site_state(self, state: SiteState) -> None:
        """Send as retained, again after each reconnect."""
        self._seq += 1
        self._retain(self._topics.state, state_json(state, self._sender, self._seq))

    def capability(self, able: Capability, offer: Offer) -> None:
        """Send as retained, again after each reconnect."""
        self._seq += 1
        self._retain(self._topics.capability, capability_json(able, offer, self._sender, self._seq))

    async def deliver(self, client: aiomqtt.Client) -> None:
        """Publish until cancelled.  Raises aiomqtt.MqttError when the connection breaks; acks then stay queued."""
        self._connected = True
        self.outbox.rewind()
        self._due = dict(self._retained)
        try:
            while True:
                self._wake.clear()
                sent = await self._one_ack(client)
                sent = await self._latest(client) or sent
                if not sent:
                    await self._wake.wait()
        finally:
            self._connected = False
            self._due.clear()

    async def _one_ack(self, client: aiomqtt.Client) -> bool:
        parcel = self.outbox.oldest()
        if parcel is None:
            return False
        await client.publish(parcel.topic, parcel.payload, qos=1)
        self.outbox.done(parcel)
        return True

    async def _latest(self, client: aiomqtt.Client) -> bool:
        due, self._due = self._due, {}
        for latest in due.values():
            await client.publish(latest.parcel.topic, latest.parcel.payload, qos=latest.qos, retain=latest.retain)
        return bool(due)

    def _retain(self, topic: str, body: Mapping[str, object]) -> None:
        latest = _Latest(parcel=self._parcel(topic, body), qos=1, retain=True)
        self._retained[topic] = latest
        if self._connected:
            self._due[topic] = latest
            self._wake.set()

    def _parcel(self, topic: str, body: Mapping[str, object]) -> Parcel:
        return Parcel(topic=topic, payload=encoded(body, topic=topic, sender=self._sender))
