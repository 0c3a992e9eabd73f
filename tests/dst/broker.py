"""A broker in memory that loses, repeats, delays and swaps messages, and the client that the real source is given."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import aiomqtt


@dataclass(frozen=True, slots=True)
class Message:
    """As aiomqtt hands it over."""

    topic: str
    payload: bytes
    retain: bool


@dataclass(slots=True)
class Weather:
    """Chances per message that something happens to it; set by the story."""

    lose: float = 0.0
    repeat: float = 0.0
    swap: float = 0.0
    delay_s: float = 0.02


@dataclass(slots=True)
class SimBroker:
    """Carries both ways; `hits` counts what it spoiled."""

    dice: Random
    weather: Weather = field(default_factory=Weather)
    retained: dict[str, bytes] = field(default_factory=dict)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    """What the site published and the broker kept."""
    is_down: bool = False
    hits: int = 0
    _clients: list[SimClient] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """The grid says something."""
        if retain:
            self.retained[topic] = payload
        if self.is_down:
            self.hits += 1
            return
        for client in self._clients:
            self._deliver(client, Message(topic, payload, retain=False))

    def restart(self) -> None:
        """Every connection breaks; what was retained is on its disk."""
        self.hits += 1
        clients, self._clients = self._clients, []
        for client in clients:
            client.break_off()

    def join(self, client: SimClient) -> None:
        """A client connected. Raises aiomqtt.MqttError while the broker is down."""
        if self.is_down:
            raise aiomqtt.MqttError("connection refused")
        self._clients.append(client)
        for topic, payload in self.retained.items():
            client.put(Message(topic, payload, retain=True), self.weather.delay_s)

    def leave(self, client: SimClient) -> None:
        """A client went."""
        if client in self._clients:
            self._clients.remove(client)

    def _deliver(self, client: SimClient, message: Message) -> None:
        weather, roll = self.weather, self.dice.random()
        if roll < weather.lose:
            self.hits += 1
            return
        delay_s = weather.delay_s
        if self.dice.random() < weather.swap:
            self.hits += 1
            delay_s += self.dice.uniform(0.5, 4.0)
        client.put(message, delay_s)
        if self.dice.random() < weather.repeat:
            self.hits += 1
            client.put(message, delay_s + self.dice.uniform(0.0, 3.0))


class SimClient:
    """What the source takes for an aiomqtt.Client: `messages`, `publish`, and an end that raises."""

    def __init__(self, broker: SimBroker) -> None:
        self._broker = broker
        self._due: list[tuple[float, int, Message]] = []
        self._count = count()
        self._wake = asyncio.Event()
        self._broken = False

    @property
    def messages(self) -> AsyncIterator[Message]:
        """Deliveries as they come due."""
        return self._messages()

    async def publish(self, topic: str, payload: bytes, **options: Any) -> None:
        """Hand a message to the broker."""
        await asyncio.sleep(0.005)
        if self._broken:
            raise aiomqtt.MqttError("connection lost")
        if options.get("retain"):
            self._broker.retained[topic] = payload
        self._broker.heard.append((topic, payload))

    def put(self, message: Message, delay_s: float) -> None:
        """Deliver it later."""
        heapq.heappush(self._due, (asyncio.get_running_loop().time() + delay_s, next(self._count), message))
        self._wake.set()

    def break_off(self) -> None:
        """The connection is gone."""
        self._broken = True
        self._wake.set()

    async def _messages(self) -> AsyncIterator[Message]:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if self._broken:
                raise aiomqtt.MqttError("connection lost")
            if self._due and self._due[0][0] <= loop.time():
                yield heapq.heappop(self._due)[2]
                continue
            wait_s = self._due[0][0] - loop.time() if self._due else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()


class SimConnector:
    """Opens clients of the broker in memory, as the real connector opens those of a real one."""

    def __init__(self, broker: SimBroker, status_topic: str) -> None:
        self._broker = broker
        self._status_topic = status_topic

    @contextlib.asynccontextmanager
    async def open(self, broker: tuple[str, int]) -> AsyncIterator[SimClient]:
        """A connected client. Raises aiomqtt.MqttError."""
        del broker
        await asyncio.sleep(0.05)
        client = SimClient(self._broker)
        self._broker.join(client)
        try:
            yield client
        finally:
            self._broker.leave(client)

    def is_mqtt5(self, broker: tuple[str, int]) -> bool:
        """It keeps none of the properties of MQTT 5."""
        del broker
        return False

    async def say(self, client: SimClient, status: str) -> None:
        """Publish the status, retained."""
        await client.publish(self._status_topic, status.encode(), retain=True)

    async def resubscribe(self, client: SimClient, topic: str) -> None:
        """Ask for the retained message of a topic again."""
        await asyncio.sleep(0.01)
        if topic in self._broker.retained:
            client.put(Message(topic, self._broker.retained[topic], retain=True), self._broker.weather.delay_s)
