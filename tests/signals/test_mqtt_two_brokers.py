"""Primary and secondary broker: away when the primary fails, back when the grid has been heard there for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from farmctl.signals._intake.desk import Route
from farmctl.signals.mqtt import MqttSource
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import (
    CLOCK,
    QUICK,
    Dispatcher,
    ack_of,
    config,
    dispatching,
    hearing,
    listening,
    put_ids,
    until,
)
from tests.signals.site_loop import StoryClock
from tests.signals.words import RULES, Ledger, heartbeat

pytestmark = pytest.mark.peer

PACE = replace(QUICK, primary_s=0.1, steady_s=0.8)
BEAT_S = 0.2


@pytest.fixture
async def second(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """Another broker, not started yet."""
    folder = tmp_path / "second"
    folder.mkdir()
    broker = Mosquitto(mosquitto.program, folder)
    yield broker
    await broker.kill()


def connected(ledger: Ledger) -> bool:
    return ledger.status is not None and ledger.status.connected


@contextlib.asynccontextmanager
async def beating(*grids: Dispatcher) -> AsyncIterator[None]:
    """The same heartbeat on every broker, again and again, as one dispatcher says it."""

    async def beat() -> None:
        first = grids[0]
        while True:
            first.hb += 1
            body = heartbeat(first.hb, seq=first.seq, of=first.said, at_ms=CLOCK.now_ms())
            for grid in grids:
                await grid.says(Route.HEARTBEAT, body)
            await asyncio.sleep(BEAT_S)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(beat())
        yield
        task.cancel()


async def test_the_site_returns_to_the_primary_when_the_grid_has_been_heard_there_and_not_before(
    mosquitto: Mosquitto, second: Mosquitto
) -> None:
    await second.start()
    ledger = Ledger()
    one = MqttSource(config(mosquitto.port, second.port), CLOCK, pace=PACE)
    async with listening(one, ledger), dispatching(second.port) as there:
        await until(lambda: connected(ledger))
        assert one.place == 1
        await there.lists()
        await there.beats()
        await until(lambda: ledger.status is not None and ledger.status.confirmed)
        await there.creates("before")
        await until(lambda: put_ids(ledger) == ["before"])
        await mosquitto.start()  # a broker without the grid behind it is no reason to move
        await asyncio.sleep(3 * PACE.steady_s)
        assert one.place == 1
        async with dispatching(mosquitto.port) as here, hearing(mosquitto.port, "site/v1/site-07/ack") as heard:
            here.said, here.seq, here.hb = there.said, there.seq, there.hb
            async with beating(here, there):
                await until(lambda: one.place == 0 and connected(ledger))
                here.seq += 1
                after = await here.creates("after")
                await here.lists(after)
                await until(lambda: "after" in put_ids(ledger))
                await one.ack(ack_of("after"))
                await until(lambda: {"before", "after"} <= {body["eventId"] for _, body, _ in heard})
    assert Counter(put_ids(ledger)) == {"before": 1, "after": 1}


async def test_a_primary_that_flaps_is_left_alone(mosquitto: Mosquitto, second: Mosquitto) -> None:
    await second.start()
    ledger = Ledger()
    one = MqttSource(config(mosquitto.port, second.port), CLOCK, pace=PACE)
    async with listening(one, ledger), dispatching(second.port) as there:
        await until(lambda: connected(ledger))
        await there.lists()
        await there.beats()
        for _ in range(4):
            await mosquitto.start()
            with contextlib.suppress(Exception):
                async with dispatching(mosquitto.port) as here:
                    here.said, here.seq, here.hb = there.said, there.seq, there.hb
                    for _ in range(2):
                        await here.beats()
                        await asyncio.sleep(PACE.steady_s / 8)
            await mosquitto.kill()
        assert one.place == 1
        assert connected(ledger)


async def test_a_broker_that_lives_and_brings_nothing_is_left_for_the_next(
    mosquitto: Mosquitto, second: Mosquitto
) -> None:
    await mosquitto.start()
    await second.start()
    clock = StoryClock(CLOCK.now_ms())
    ledger = Ledger()
    one = MqttSource(config(mosquitto.port, second.port), clock, pace=PACE)
    async with listening(one, ledger), dispatching(second.port, clock) as there:
        await until(lambda: connected(ledger))
        assert one.place == 0
        await asyncio.sleep(5 * PACE.watch_s)
        assert one.place == 0
        clock.at_ms += 61_000
        await until(lambda: one.place == 1 and connected(ledger))
        await there.lists()
        await there.beats()
        await until(lambda: ledger.status is not None and ledger.status.confirmed)


async def test_a_strangers_voice_on_the_primary_lures_nobody(mosquitto: Mosquitto, second: Mosquitto) -> None:
    await second.start()
    await mosquitto.start()
    ledger = Ledger()
    one = MqttSource(config(mosquitto.port, second.port, auth="ed25519", keys=RULES["pinned"]), CLOCK, pace=PACE)
    one.place = 1
    async with listening(one, ledger), dispatching(mosquitto.port) as forger:
        await until(lambda: connected(ledger))
        for _ in range(12):
            await forger.beats()  # unsigned
            await asyncio.sleep(PACE.steady_s / 6)
        assert one.place == 1
