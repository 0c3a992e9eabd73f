"""What leaves by MQTT: acks in order and kept, state retained, telemetry as long as it is fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from farmctl.core.grid import Ack
from farmctl.ports.grid import Capability, SiteState, Telemetry
from farmctl.signals.mqtt import calls
from farmctl.signals.mqtt.outbox import Mark, Outbox, Parcel
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
from farmctl.signals.uplink.bodies import MarkBody, ReportValues
from farmctl.signals.uplink.reports import encoded_report, report_json

TELEMETRY_EXPIRES_S = 10
"""Five periods: what a slow reader has not fetched by then is not the site any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latest:
    """A message of which only the last one counts."""

    parcel: Parcel
    qos: int
    retain: bool
    expires_s: int | None = None
    """MQTT 5 message expiry; nothing of it with 3.1.1."""


class Post:
    """The uplink of one source; whoever calls it never waits for the network."""

    def __init__(self, *, topics: Topics, sender: Sender, outbox: Outbox) -> None:
        self.outbox = outbox
        self._topics = topics
        self._sender = sender
        self._mqtt5 = False
        self._retained: dict[str, _Latest] = {}
        self._due: dict[str, _Latest] = {}
        self._wake = asyncio.Event()
        self._seq = 0
        self._connected = False

    async def ack(self, ack: Ack) -> None:
        """Queue one ack behind those before it."""
        await self.outbox.put(lambda mark: self._parcel(self._topics.ack, ack_json(ack, self._sender, _mark(mark))))
        self._wake.set()

    def telemetry(self, telemetry: Telemetry) -> None:
        """Send if connected, in place of an older one that still waits; else drop."""
        if not self._connected:
            return
        parcel = self._parcel(self._topics.telemetry, telemetry_json(telemetry, self._sender))
        self._due[parcel.topic] = _Latest(parcel=parcel, qos=0, retain=False, expires_s=TELEMETRY_EXPIRES_S)
        self._wake.set()

    def site_state(self, state: SiteState) -> None:
        """Send as retained, again after each reconnect."""
        self._seq += 1
        self._retain(self._topics.state, state_json(state, self._sender, self._seq))

    def capability(self, able: Capability, offer: Offer) -> None:
        """Send as retained, again after each reconnect."""
        self._seq += 1
        self._retain(self._topics.capability, capability_json(able, offer, self._sender, self._seq))

    async def report(self, event_id: str, values: list[ReportValues], span: tuple[int, int]) -> None:
        """Queue one report behind the acks before it."""
        self._seq += 1
        seq, topic = self._seq, self._topics.report

        def written(mark: Mark) -> Parcel:
            body = report_json(event_id, values, span, self._sender, seq, _mark(mark))
            return Parcel(topic=topic, payload=encoded_report(body, topic=topic, sender=self._sender))

        await self.outbox.put(written)
        self._wake.set()

    def remind(self) -> None:
        """The grid lives: what it should have acknowledged by now is said again."""
        if self.outbox.remind():
            self._wake.set()

    async def deliver(self, client: aiomqtt.Client, *, mqtt5: bool) -> None:
        """Publish until cancelled; `mqtt5`: with expiry.

        Raises aiomqtt.MqttError when the connection breaks; acks then stay queued.
        """
        self._connected, self._mqtt5 = True, mqtt5
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
        await calls.publish(client, parcel.topic, parcel.payload)
        self.outbox.done(parcel)
        return True

    async def _latest(self, client: aiomqtt.Client) -> bool:
        due, self._due = self._due, {}
        for latest in due.values():
            parcel, expiry = latest.parcel, self._expiry(latest.expires_s)
            await calls.publish(
                client, parcel.topic, parcel.payload, qos=latest.qos, retain=latest.retain, properties=expiry
            )
        return bool(due)

    def _retain(self, topic: str, body: Mapping[str, object]) -> None:
        latest = _Latest(parcel=self._parcel(topic, body), qos=1, retain=True)
        self._retained[topic] = latest
        if self._connected:
            self._due[topic] = latest
            self._wake.set()

    def _expiry(self, seconds: int | None) -> Properties | None:
        if seconds is None or not self._mqtt5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho
        properties.MessageExpiryInterval = seconds
        return properties

    def _parcel(self, topic: str, body: Mapping[str, object]) -> Parcel:
        return Parcel(topic=topic, payload=encoded(body, topic=topic, sender=self._sender))


def _mark(mark: Mark) -> MarkBody:
    return {"id": mark.box, "no": mark.number}
