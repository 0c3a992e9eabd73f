"""A market on an MQTT topic, through a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import pytest

from farmctl.errors import ConfigError, MalformedReplyError
from farmctl.signals._intake.duration import rfc3339, time_ms_of
from farmctl.signals.price import MqttFeed, PriceConfig, PriceSource, SurplusRule
from farmctl.signals.price.config import check
from farmctl.signals.price.quotes import Quote, from_message, joined
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import until
from tests.signals.notebook import HandClock, Notebook

T0 = time_ms_of("2026-11-24T10:00:00Z")
HOUR = 3_600_000
TOPIC = "market/zone-3"


def feed(url: str = "mqtt://127.0.0.1/market/zone-3", **changes: Any) -> MqttFeed:
    return MqttFeed(**{"url": url, "value": "spare_mw", "scale": 1_000.0, **changes})


class Market:
    """A surplus source that listens, and the market that publishes."""

    def __init__(self, source: PriceSource, clock: HandClock, task: asyncio.Task[None], client: aiomqtt.Client) -> None:
        self.source, self.clock, self.task, self.client = source, clock, task, client

    async def says(self, body: Any) -> None:
        """Publish something good, and wait until it is known."""
        raw = json.dumps(body).encode()
        await self.client.publish(TOPIC, raw, qos=1)
        await until(lambda: self.source._raw[0] == raw)
        await self.clock.turn(self.task, by_ms=5_000)


@contextlib.asynccontextmanager
async def listening(mosquitto: Mosquitto, notebook: Notebook, retained: str = "") -> AsyncIterator[Market]:
    await mosquitto.start()
    config = PriceConfig(
        name="spare",
        feeds=(feed(f"mqtt://127.0.0.1:{mosquitto.port}/{TOPIC}"),),
        rule=SurplusRule(baseline_w=1e6),
    )
    clock = HandClock(T0)
    source = PriceSource(config, clock, tuple)
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        if retained:
            await client.publish(TOPIC, retained, qos=1, retain=True)
        task = asyncio.create_task(source.run(notebook))
        try:
            await clock.first(task)
            yield Market(source, clock, task, client)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.peer
async def test_what_a_topic_says_becomes_power_and_rubbish_on_it_becomes_nothing(mosquitto: Mosquitto) -> None:
    notebook = Notebook()
    async with listening(mosquitto, notebook, retained='{"spare_mw": 9}') as market:
        await until(lambda: "retained" in market.source._faults[0])  # of any age: it says nothing
        await market.says({"start": rfc3339(T0), "spare_mw": 3})
        assert notebook.put[-1].intervals[0].setpoint_w == 4e6
        await market.says({"start": rfc3339(T0), "spare_mw": 2.5})
        assert notebook.put[-1].intervals[0].setpoint_w == 3.5e6
        for rubbish in (b"", b"\xff", b'{"spare_mw": NaN}', b'{"spare_mw": "much"}', b'{"spare": 1}', b"[]"):
            await market.client.publish(TOPIC, rubbish, qos=1)
        await until(lambda: "expected a list" in market.source._faults[0])  # of the last of them
        ahead = [{"start": rfc3339(T0 + hour * HOUR), "spare_mw": hour} for hour in (1, 2)]
        await market.says(ahead)
        assert len(market.source._quotes[0]) == 3
        assert market.source._faults == [""]
    assert [event.intervals[0].setpoint_w for event in notebook.put] == [4e6, 3.5e6]


def test_a_single_value_holds_from_its_arrival_and_a_bare_number_is_one() -> None:
    plain = feed(scale=1.0, step_s=300.0)
    held = Quote(start_ms=T0, end_ms=T0 + 300_000, value=0.05)
    assert from_message({"spare_mw": 0.05}, plain, T0) == (held,)
    assert from_message(0.05, plain, T0) == (held,)
    with pytest.raises(MalformedReplyError, match="retained"):
        from_message(0.05, plain, None)
    with pytest.raises(MalformedReplyError, match="number"):
        from_message({"spare_mw": True}, plain, T0)


def test_the_newer_word_about_a_time_counts_and_what_is_over_is_forgotten() -> None:
    def quote(start: int, value: float) -> Quote:
        return Quote(start_ms=T0 + start * HOUR, end_ms=T0 + (start + 1) * HOUR, value=value)

    assert joined([quote(-2, 1), quote(0, 2), quote(1, 3)], [quote(1, 4)], T0) == (quote(0, 2), quote(1, 4))


@pytest.mark.parametrize(
    "url", ["mqtt://market.example/spot", "mqtts://market.example", "mqtts://market.example/spot/+"]
)
def test_a_topic_in_the_clear_none_or_many_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="mqtts"):
        check(PriceConfig(name="spot", feeds=(feed(url),), rule=SurplusRule(baseline_w=0.0)))
