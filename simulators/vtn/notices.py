"""Notifications of a VTN: to webhooks of subscriptions and to MQTT topics, in the order things happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
import aiomqtt

DEADLINE_S = 5.0
OPERATIONS = ("CREATE", "UPDATE", "DELETE")
Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something happened to an object."""

    operation: str
    item: Body
    venue: tuple[str, ...]
    """MQTT topics that carry it."""
    callbacks: tuple[tuple[str, str | None], ...]
    """Webhooks and their bearer tokens."""

    def text(self) -> str:
        """The notification of the official document."""
        body = {"objectType": self.item["objectType"], "operation": self.operation, "object": self.item}
        return json.dumps(body)


def topics_of(prefix: str, operations: Iterable[str] = OPERATIONS) -> Body:
    """The answer to a question for topics."""
    return {"topics": {**{name: f"{prefix}/{name.lower()}" for name in operations}, "ALL": f"{prefix}/+"}}


class Messenger:
    """Carries notices one after the other; one that cannot be delivered is dropped, as a subscriber must poll."""

    def __init__(self, broker: tuple[str, int] | None) -> None:
        self._broker = broker
        self._queue: asyncio.Queue[Notice] = asyncio.Queue()
        self.failed = 0

    def tell(self, notice: Notice) -> None:
        """Queue one notice."""
        self._queue.put_nowait(notice)

    async def run(self) -> None:
        """Deliver until cancelled."""
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                notice = await self._queue.get()
                for url, token in notice.callbacks:
                    await self._call(session, url, token, notice)
                if self._broker is not None and notice.venue:
                    await self._publish(self._broker, notice)

    async def _call(self, session: aiohttp.ClientSession, url: str, token: str | None, notice: Notice) -> None:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        try:
            async with session.post(url, data=notice.text(), headers=headers) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self.failed += 1

    async def _publish(self, broker: tuple[str, int], notice: Notice) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S), aiomqtt.Client(broker[0], broker[1]) as client:
                for topic in notice.venue:
                    await client.publish(topic, notice.text(), qos=1)
        except (aiomqtt.MqttError, TimeoutError):
            self.failed += 1
