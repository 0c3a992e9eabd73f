"""MQTT 5 is spoken where the broker has it, and 3.1.1 to one that refuses it, in whichever words it does."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest

from farmctl.signals.mqtt import MqttSource
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, config, dispatching, listening, until
from tests.signals.words import Ledger

pytestmark = [pytest.mark.peer, pytest.mark.timeout(60)]
CHUNK = 65_536
VERSION_5 = re.compile(rb"MQTT\x05")
"""Protocol name and level of a CONNECT."""
REFUSALS = {"in the words of 5": b"\x20\x03\x00\x84\x00", "in the words of 3.1.1": b"\x20\x02\x00\x01"}


class OldBroker:
    """A port that behaves as a broker without MQTT 5, and is a real one to whoever speaks 3.1.1."""

    def __init__(self, mosquitto: Mosquitto, refusal: bytes) -> None:
        self.refused = 0
        self._mosquitto = mosquitto
        self._refusal = refusal
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._accept, self._mosquitto.host, 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # also where it was cancelled before it began

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(CHUNK)
        if VERSION_5.search(connect):
            self.refused += 1
            writer.write(self._refusal)
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(self._mosquitto.host, self._mosquitto.port)
        far_writer.write(connect)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data)
    finally:
        writer.close()


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_broker_that_refuses_mqtt_5_is_spoken_to_in_the_older_one(mosquitto: Mosquitto, refusal: bytes) -> None:
    await mosquitto.start()
    ledger, old = Ledger(), OldBroker(mosquitto, refusal)
    async with old.open() as port:
        source = MqttSource(config(port, protocol="auto"), CLOCK, pace=QUICK)
        async with dispatching(mosquitto.port) as grid, listening(source, ledger):
            await until(lambda: ledger.status is not None and ledger.status.connected)
            await grid.lists()
            await grid.beats()
            await until(lambda: ledger.status is not None and ledger.status.confirmed)
        assert source._connector.spoken == {("127.0.0.1", port): "3.1.1"}
    assert old.refused == 1
