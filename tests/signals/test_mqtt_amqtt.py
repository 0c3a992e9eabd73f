"""The zero-install broker: amqtt in this process, MQTT 3.1.1, loopback."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from farmctl.signals.mqtt import MqttSource
from simulators.broker import free_port
from tests.signals.dispatcher import CLOCK, QUICK, config, dispatching, listening, until
from tests.signals.words import Ledger


# amqtt 0.12 leaves a socket of each run to the collector, also after its shutdown: here, and only here, it is ignored.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_event_arrives_over_amqtt() -> None:
    amqtt = pytest.importorskip("amqtt.broker", reason="amqtt (extra demo) is not installed")
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    port = free_port()
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = amqtt.Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": plugins})
    await broker.start()
    ledger = Ledger()
    try:
        source = MqttSource(config(port), CLOCK, pace=QUICK)
        async with dispatching(port) as grid, listening(source, ledger):
            await until(lambda: ledger.status is not None and ledger.status.connected)
            await grid.lists()
            await grid.beats()
            await until(lambda: ledger.status is not None and ledger.status.confirmed)
            await grid.creates("ev-a")
            await until(lambda: len(ledger.receipts) == 2)
        await until(lambda: broker._servers["default"].conn_count == 0)  # else it forgets to close who is just leaving
    finally:
        await broker.shutdown()
        await asyncio.sleep(0)
        gc.collect()  # not in whatever story the collector runs next
    assert not ledger.refusals
