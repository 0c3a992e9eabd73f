"""A whole site in small: a real source on a real broker, the engine's inbox, the real core, a farm that is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt
import pytest
from typing_extensions import override

from farmctl.core.fleet import FleetView
from farmctl.core.grid import Ack
from farmctl.core.memory import Memory
from farmctl.engine.answer import capability, site_state, telemetry
from farmctl.engine.inbox import GridInbox
from farmctl.engine.onlooker import Onlooker
from farmctl.ports.store import Store
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals.mqtt import MqttSource, MqttSourceConfig
from farmctl.store.memory import MemoryStore
from tests.scenarios.day import Day, farm
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import PATIENCE_S, QUICK, Dispatcher, config
from tests.signals.words import JsonObject, WallClock, event, note

MINERS = 40


class StoryClock(WallClock):
    """Time goes on only when the story says so; waiting for the network takes none."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.gate = asyncio.Event()
        """While it is shut nobody's wait ends: nothing connects again."""
        self.gate.set()

    @override
    def now_ms(self) -> int:
        return self.at_ms

    @override
    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self.gate.wait()


class Site:
    """One controller; cycles of one second, driven by the story."""

    def __init__(self, config: MqttSourceConfig, *, store: Store | None = None, outsiders: bool = True) -> None:
        self.day = Day(farm(MINERS), grid_expected=outsiders)  # as farmctl.config.build makes it
        self.day.memory = Memory.at_boot(self.day.table.miner_id, self.day.now_ms)  # no grid was heard yet
        self.day.modes.clear()
        self.clock = StoryClock(self.day.now_ms)
        self.store = store or MemoryStore()
        self.inbox = GridInbox(self.store, self.clock, asyncio.Event())
        self.source = MqttSource(config, self.clock, pace=QUICK)
        self.listener = self.source if outsiders else Onlooker(self.source, self.clock)
        self.rated_kw = self.day.rated_w / 1_000
        self.acks: list[Ack] = []
        self.stride_s = 1
        """Seconds from one cycle to the next; more for a long story."""
        self.lookouts: list[Callable[[FleetView], None]] = []
        """Who sees what each cycle saw, after it."""
        self.reader: Overheard | None = None
        """Who must have read each change of mode before time goes on: only the latest `state` is ever sent."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.listener.run(self.inbox))
            yield
            task.cancel()

    async def run(self, seconds: int, *, each: Callable[[], Any] | None = None) -> None:
        """So many seconds, a cycle in each, with what the network brought in between."""
        for _ in range(seconds):
            if each is not None:
                await each()
            await self.cycle()

    async def cycle(self) -> None:
        """One second: what waits in the inbox, one step, the answers."""
        day = self.day
        await asyncio.sleep(0)
        before = day.decision.mode
        day.changes["links"] = self.inbox.links
        day.inbox += [arrival.message for arrival in self.inbox.drain()]
        day.now_ms += (self.stride_s - 1) * 1_000
        day.farm.advance(float(self.stride_s - 1))
        day.run(1)
        self.clock.at_ms = day.now_ms
        for ack in day.decision.acks:
            self.acks.append(ack)
            await self.listener.ack(ack)
        if day.decision.ask_again:
            self.source.ask_again()
        view = day.view()
        for lookout in self.lookouts:
            lookout(view)
        await self.listener.telemetry(telemetry(view, day.decision, day.memory))
        if day.decision.mode is not before or day.decision.transitions:
            state = site_state(view, day.decision, day.memory, signed=True, audit_head="")
            await self.listener.site_state(state)
            await self.listener.capability(capability(view, day.decision))
        reader, mode = self.reader, day.decision.mode
        if reader is not None and mode is not before:
            await self.until(lambda: reader.modes()[-1:] == [mode.value])

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait for the network; no time passes for the site."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - what is waited for lies behind a real broker
                await asyncio.sleep(0.005)


class Grid(Dispatcher):
    """A dispatcher that lives in the story's time and waits until it was heard."""

    site: Site

    async def orders(
        self,
        event_id: str,
        *,
        target_kw: float | None = None,
        limit_kw: float | None = None,
        starts_in_s: int = 0,
        for_s: int = 60,
        priority: int = 10,
        event_class: str = "",
        **x: Any,
    ) -> JsonObject:
        """Say it, and wait until the site has judged it."""
        self.seq += 1
        stated_kinds = (("IMPORT_CAPACITY_LIMIT", limit_kw), ("DISPATCH_SETPOINT", target_kw))
        kinds = (*stated_kinds, ("PRICE", x.pop("price", None)))
        payloads = [{"type": kind, "values": [value]} for kind, value in kinds if value is not None]
        now_ms = self.clock.now_ms() // 1000 * 1000
        end_ms = now_ms + (starts_in_s + for_s) * 1000
        stated: JsonObject = {
            "issuedAt": rfc3339(now_ms),
            "expiresAt": rfc3339(end_ms),
            "class": event_class or ("LIMIT" if target_kw is None else "TARGET"),
            "respondWithinS": 20,
            "toleranceKw": 0.03 * self.site.rated_kw,
        }
        body = event(
            self.seq,
            x={**stated, **x},
            id=event_id,
            priority=priority,
            intervalPeriod={"start": rfc3339(now_ms + starts_in_s * 1000), "duration": f"PT{for_s}S"},
            payloads=payloads,
        )
        await self.heard(Route.CREATE, note(body))
        return body

    async def withdraws(self, event_id: str, *, event_class: str = "LIMIT", **x: Any) -> None:
        """Delete it, and wait until the site has judged that."""
        self.seq += 1
        stated = event(self.seq, x={**self._times(600), "class": event_class, **x})["x-farmctl"]
        body = {"id": event_id, "programID": "surplus-dispatch", "x-farmctl": stated}
        await self.heard(Route.DELETE, note(body, "DELETE"))

    async def heard(self, route: Route, payload: JsonObject) -> None:
        judged = self.site.inbox.accepted + self.site.inbox.refused.total()
        await self.says(route, payload)
        await self.site.until(lambda: self.site.inbox.accepted + self.site.inbox.refused.total() > judged)

    async def is_alive(self, *events: JsonObject) -> None:
        """A snapshot with these events and a heartbeat that confirms it."""
        await self.lists(*events)
        await self.beat()
        await self.site.until(lambda: self.site.source._intake.standing.pair == (3, self.seq))
        await self.site.until(lambda: any(link.confirmed for link in self.site.inbox.links))

    async def lets_pass(self, seconds: int) -> None:
        """So much time, with a heartbeat every 10 s."""
        for at in range(seconds):
            if at % 10 == 0:
                await self.beat()
            await self.site.cycle()

    async def beat(self) -> None:
        """A heartbeat, heard."""
        await self.beats()
        await self.site.until(lambda: self.site.source._intake.hearing.beat == (3, self.hb))


class Overheard:
    """mosquitto_sub as an independent reader of everything the site publishes."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, JsonObject]] = []

    def states_of(self, event_id: str) -> list[str]:
        """The states that were acked, in the order in which they arrived, repeats left out."""
        found: list[str] = []
        seen: set[str] = set()
        for topic, body in self.messages:
            said = json.dumps(body, sort_keys=True)
            if topic.endswith("/ack") and body["eventId"] == event_id and said not in seen:
                seen.add(said)
                found.append(body["state"])
        return found

    def modes(self) -> list[str]:
        """The modes that `state` told, each change once."""
        told = [body["mode"] for topic, body in self.messages if topic.endswith("/state")]
        return [mode for place, mode in enumerate(told) if place == 0 or told[place - 1] != mode]

    async def read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            topic, _, payload = line.decode().partition(" ")
            self.messages.append((topic, json.loads(payload)))


@contextlib.asynccontextmanager
async def overhearing(port: int, *options: str) -> AsyncIterator[Overheard]:
    """A mosquitto_sub on the site's topics while the block runs."""
    program = shutil.which("mosquitto_sub")
    if program is None:
        pytest.skip("mosquitto_sub is not installed")
    overheard = Overheard()
    words = ("-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", "site/v1/site-07/#", "-F", "%t %p", *options)
    process = await asyncio.create_subprocess_exec(program, *words, stdout=asyncio.subprocess.PIPE)
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(overheard.read(process))
        try:
            await asyncio.sleep(0.3)  # its subscription; what was retained before comes anyway
            yield overheard
        finally:
            process.terminate()
            await process.wait()
            await reader


@contextlib.asynccontextmanager
async def on_stage(
    mosquitto: Mosquitto, *, outsiders: bool = True, **changes: Any
) -> AsyncIterator[tuple[Site, Grid, Overheard]]:
    """A site, its dispatcher and a stranger who listens."""
    await mosquitto.start()
    site = Site(config(mosquitto.port, **changes), outsiders=outsiders)
    async with (
        overhearing(mosquitto.port) as overheard,
        site.running(),
        aiomqtt.Client(mosquitto.host, mosquitto.port) as client,
    ):
        grid = Grid(client, site.clock)
        grid.site = site
        await site.until(lambda: any(link.connected for link in site.inbox.links))
        yield site, grid, overheard
