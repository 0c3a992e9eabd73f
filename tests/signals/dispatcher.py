"""A small dispatcher for tests on a real broker: it speaks now, in the right order, and listens to the site."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt

from farmctl.core.grid import Ack, EventPut, EventState, SiteMode
from farmctl.core.model import Quality
from farmctl.ports.grid import SignalSource, SiteState, Telemetry
from farmctl.ports.site import Clock
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.keys import Keyring
from farmctl.signals.mqtt import MqttSourceConfig
from farmctl.signals.mqtt.pace import Pace
from tests.signals.words import RULES, TOPIC, JsonObject, Ledger, WallClock, event, heartbeat, note, snapshot

QUICK = Pace(first_s=0.05, most_s=0.2, resync_s=0.1, watch_s=0.05)
PATIENCE_S = 20.0
CLOCK = WallClock()


def config(*ports: int, **changes: Any) -> MqttSourceConfig:
    values: dict[str, Any] = {
        "name": "grid",
        "brokers": tuple(("127.0.0.1", port) for port in ports),
        "op": "grid-op",
        "site": "site-07",
        "issuer": RULES["issuer"],
        "rating_w": 25e6,
        "emergency_w": 300e3,
        "auth": "unsigned-demo",
        "keys": Keyring(),
        "programmes": frozenset({"surplus-dispatch"}),
        "keepalive_s": 5,
    }
    return MqttSourceConfig(**{**values, **changes})


@contextlib.asynccontextmanager
async def listening(source: SignalSource, ledger: Ledger) -> AsyncIterator[None]:
    """The source runs while the block does."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(source.run(ledger))
        yield
        running.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for lies behind a real broker
            await asyncio.sleep(0.01)


class Dispatcher:
    """The grid's end of one connection."""

    def __init__(self, client: aiomqtt.Client, clock: Clock = CLOCK) -> None:
        self.client = client
        self.clock = clock
        self.seq = 0
        self.hb = 0
        self.ahead_ms = 0
        """So much the clock of its heartbeats is ahead."""
        self.said: JsonObject = {}

    async def says(self, route: Route, payload: JsonObject | bytes, *, retain: bool = False) -> None:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self.client.publish(TOPIC[route], raw, qos=1, retain=retain)

    async def creates(self, event_id: str, kw: float = 1000, **x: Any) -> JsonObject:
        self.seq += 1
        body = event(
            self.seq,
            x={**self._times(600), **x},
            id=event_id,
            intervalPeriod={"start": "0001-01-01", "duration": "PT5M"},
            payloads=[{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}],
        )
        await self.says(Route.CREATE, note(body))
        return body

    async def lists(self, *events: JsonObject) -> None:
        self.seq += 1
        self.said = snapshot(self.seq, *events, **self._times(3600))
        await self.says(Route.SNAPSHOT, self.said, retain=True)

    async def beats(self) -> None:
        self.hb += 1
        body = heartbeat(self.hb, seq=self.seq, of=self.said, at_ms=self.clock.now_ms() + self.ahead_ms)
        await self.says(Route.HEARTBEAT, body)

    def _times(self, seconds: int) -> JsonObject:
        now_ms = self.clock.now_ms() // 1000 * 1000
        return {"issuedAt": rfc3339(now_ms), "expiresAt": rfc3339(now_ms + seconds * 1000)}


@contextlib.asynccontextmanager
async def dispatching(port: int, clock: Clock = CLOCK) -> AsyncIterator[Dispatcher]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        yield Dispatcher(client, clock)


@contextlib.asynccontextmanager
async def hearing(port: int, *topics: str) -> AsyncIterator[list[tuple[str, JsonObject, bool]]]:
    """What the site publishes while the block runs: (topic, body, retained)."""
    heard: list[tuple[str, JsonObject, bool]] = []
    ready = asyncio.Event()

    async def listen() -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            for topic in topics or ("site/v1/#",):
                await client.subscribe(topic, qos=1)
            ready.set()
            with contextlib.suppress(aiomqtt.MqttError):
                async for message in client.messages:
                    found = (str(message.topic), json.loads(bytes(message.payload)), bool(message.retain))
                    heard.append(found)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listen())
        await ready.wait()
        yield heard
        task.cancel()


def telemetry(**changes: Any) -> Telemetry:
    values: dict[str, Any] = {
        "at_ms": 1_795_428_322_000,
        "power_w": 18_560_000.4,
        "power_source": "METER",
        "quality": Quality.OK,
        "setpoint_w": 18.5e6,
        "limit_w": None,
        "min_w": 310e3,
        "max_w": 24.8e6,
        "up_available_w": 6.24e6,
        "down_available_w": 18.25e6,
        "ramp_up_w_per_s": 2e6 / 60,
        "ramp_down_w_per_s": 1.5e6,
        "hash_rate_hs": 912_400e12,
        "on": 5010,
        "throttled": 430,
        "sleep": 980,
        "offline": 60,
        "mode": SiteMode.FOLLOWING,
        "event_id": "ev-1",
        "epoch": 3,
        "seq": 1207,
    }
    return Telemetry(**{**values, **changes})


def site_state(**changes: Any) -> SiteState:
    values: dict[str, Any] = {
        "at_ms": 1_795_428_322_500,
        "mode": SiteMode.LIMITED,
        "since_ms": 1_795_428_300_000,
        "limit_w": 20e6,
        "limit_source": "grid",
        "setpoint_w": None,
        "live_events": ("ev-1",),
        "emergency_latched": False,
        "signed": False,
        "last_epoch": 3,
        "last_seq": 1207,
        "link_age_s": 1.26,
        "clock_offset_ms": 12,
        "audit_head": "ab",
        "version": "0.1.0",
    }
    return SiteState(**{**values, **changes})


def put_ids(ledger: Ledger) -> list[str]:
    return [r.message.event.event_id for r in ledger.receipts if isinstance(r.message, EventPut)]


def ack_of(event_id: str, source_name: str = "grid") -> Ack:
    return Ack(
        source=source_name,
        event_id=event_id,
        msg_id="m",
        epoch=3,
        seq=1,
        state=EventState.ACCEPTED,
        code=1,
        reason="",
        at_ms=CLOCK.now_ms(),
    )
