"""What waits where: acks in the site's own store over any death, nothing in a broker, and stale telemetry nowhere."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from farmctl.engine.inbox import GridInbox
from farmctl.signals.mqtt import MqttSource, post
from farmctl.store.sqlite import open_sqlite
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, ack_of, config, listening, telemetry, until
from tests.signals.site_loop import StoryClock, overhearing
from tests.signals.words import Ledger

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]
ENOUGH = 40
ROOT = Path(__file__).parents[2]


async def killed_while_it_queued(journal: Path) -> int:
    """Kill -9 a process that queues acks; the last of them that it called durable."""
    words = (sys.executable, "-m", "tests.signals.outbox_writer", str(journal))
    child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    last = -1
    while last < ENOUGH:
        last = int(await child.stdout.readline())
    child.kill()
    rest = (await child.stdout.read()).split(b"\n")[:-1]
    await child.wait()
    return int(rest[-1]) if rest else last


async def test_acks_outlive_a_kill_of_the_site_and_then_a_kill_of_the_broker_that_had_taken_them(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    last = await killed_while_it_queued(journal)
    store = await open_sqlite(journal)
    clock = StoryClock(CLOCK.now_ms())
    one = MqttSource(config(mosquitto.port), clock, pace=QUICK)
    wanted = [f"ev-{number}" for number in range(last + 1)]
    await mosquitto.start()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(one.run(GridInbox(store, CLOCK, asyncio.Event())))
        # the broker says that it has them all, with nobody there to read, and dies
        await until(lambda: one._post._connected and len(one._post.outbox) == 0)
        clock.gate.clear()
        await mosquitto.kill()
        await until(lambda: not one._post._connected)
        await mosquitto.start()
        async with overhearing(mosquitto.port) as heard:
            clock.gate.set()
            await until(lambda: f"ev-{last}" in [body.get("eventId") for _, body in heard.messages])
        running.cancel()
    told = [body["eventId"] for topic, body in heard.messages if topic.endswith("/ack")]
    assert [name for name in dict.fromkeys(told) if name in set(wanted)] == wanted
    await store.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_with_mqtt_5_a_reader_who_was_away_finds_the_acks_and_no_stale_telemetry(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    program = shutil.which("mosquitto_sub")
    if program is None:
        pytest.skip("mosquitto_sub is not installed")
    monkeypatch.setattr(post, "TELEMETRY_EXPIRES_S", 1)
    mosquitto.configured(f"listener {mosquitto.port} 127.0.0.1\nallow_anonymous true\nqueue_qos0_messages true\n")
    await mosquitto.start()
    late = ("-V", "5", "-i", "late", "-c", "-x", "60")
    words = (*late, "-h", "127.0.0.1", "-p", str(mosquitto.port), "-q", "1", "-t", "site/v1/site-07/#", "-E")
    assert await (await asyncio.create_subprocess_exec(program, *words)).wait() == 0
    ledger = Ledger()
    one = MqttSource(config(mosquitto.port, protocol=protocol), CLOCK, pace=QUICK)
    async with listening(one, ledger):
        await until(lambda: one._post._connected)
        await one.telemetry(telemetry())
        await one.ack(ack_of("ev-a"))
        await until(lambda: not one._post._due and len(one._post.outbox) == 0)
        await asyncio.sleep(2.2)
        async with overhearing(mosquitto.port, *late) as heard:
            await until(lambda: any(topic.endswith("/ack") for topic, _ in heard.messages))
            await one.ack(ack_of("ev-b"))
            await until(lambda: "ev-b" in [body.get("eventId") for _, body in heard.messages])
    stale = any(topic.endswith("/telemetry") for topic, _ in heard.messages)
    assert stale is (protocol == "3.1.1")
