"""Calls to a broker that end in time and never swallow a cancel.

aiomqtt 2.5.1 waits for each answer with `asyncio.wait_for`, which before Python 3.12 drops a cancel that comes in the
moment the answer does (cpython 86296): a session whose connection broke then waited for ever for its last publish.
Without a timeout of its own `wait_for` only awaits, so the deadline is set here.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Coroutine

import aiomqtt
from paho.mqtt.properties import Properties

ANSWER_WITHIN_S = 5.0
REFUSED_FROM = 128
"""A SUBACK code from here on is a refusal, in 3.1.1 and in 5."""


async def publish(
    client: aiomqtt.Client,
    topic: str,
    payload: bytes,
    *,
    qos: int = 1,
    retain: bool = False,
    properties: Properties | None = None,
) -> None:
    """Publish, and wait for the broker's answer to it.  Raises aiomqtt.MqttError."""
    async with _deadline():
        await client.publish(topic, payload, qos=qos, retain=retain, properties=properties, timeout=math.inf)


async def subscribe(client: aiomqtt.Client, topic: str, *, qos: int = 1) -> None:
    """Subscribe.  Raises aiomqtt.MqttError, also where the broker refuses."""
    if not await may_subscribe(client, topic, qos=qos):
        raise aiomqtt.MqttError(f"the broker refuses the subscription to {topic}")


async def may_subscribe(client: aiomqtt.Client, topic: str, *, qos: int = 1) -> bool:
    """Subscribe; False where the broker refuses.  Raises aiomqtt.MqttError."""
    async with _deadline():
        granted = await client.subscribe(topic, qos=qos, timeout=math.inf)
    codes = granted if isinstance(granted, list | tuple) else (granted,)
    return all(
        (code if isinstance(code, int) else getattr(code, "value", REFUSED_FROM)) < REFUSED_FROM for code in codes
    )


async def unsubscribe(client: aiomqtt.Client, topic: str) -> None:
    """Unsubscribe.  Raises aiomqtt.MqttError."""
    async with _deadline():
        await client.unsubscribe(topic, timeout=math.inf)


async def until_one_fails(*works: Coroutine[None, None, None]) -> None:
    """Run them side by side until one fails or all are done; the others are then ended, and what it raised is raised.

    A TaskGroup before Python 3.13 forgets a cancel from outside that comes together with a failure inside.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled():
            task.result()


@contextlib.asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            yield
    except TimeoutError:
        raise aiomqtt.MqttError(f"the broker did not answer within {ANSWER_WITHIN_S:g} s") from None
