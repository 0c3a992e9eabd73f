"""The way back to the primary broker: only when the grid has been heard on it for a while, so that nothing flaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import aiomqtt

from farmctl.errors import ConfigError
from farmctl.ports.site import Clock
from farmctl.signals._intake.desk import Delivery
from farmctl.signals.mqtt.connection import Connector
from farmctl.signals.mqtt.pace import Pace

SIGNS = 2
"""So many messages of proven origin that speak of now must have come within the watch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vigil:
    """Watches the primary broker while another one serves."""

    connector: Connector
    clock: Clock
    pace: Pace
    speaks: Callable[[Delivery], bool]
    """Whether a message proves that the grid speaks there now."""

    async def until_back(self, broker: tuple[str, int]) -> None:
        """Return once the grid has been heard there for the whole of one watch."""
        while not await self._lives(broker):
            await self.clock.sleep(self.pace.primary_s)

    async def _lives(self, broker: tuple[str, int]) -> bool:
        """One watch: it held from end to end, and the grid spoke."""
        signs = 0
        try:
            async with self.connector.overhear(broker) as client:
                try:
                    async with asyncio.timeout(self.pace.steady_s):
                        async for message in client.messages:
                            signs += self._is_sign(message)
                except TimeoutError:
                    return signs >= SIGNS
        except (aiomqtt.MqttError, ConfigError):
            return False
        return False

    def _is_sign(self, message: aiomqtt.Message) -> bool:
        downlink = self.connector.topics.heard(str(message.topic))
        if downlink is None or not isinstance(message.payload, bytes):
            return False
        return self.speaks(
            Delivery(route=downlink.route, topic=downlink.canonical, raw=message.payload, retained=bool(message.retain))
        )
