"""The simulated dispatcher on a real broker, seen from the site's end of the wire."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from simulators.broker import Broker, broker, find_mosquitto
from simulators.grid import Dispatcher, EventClass, Order, Signer, Trace
from simulators.grid.app import find_trace, stories
from simulators.grid.signing import snapshot_hash
from simulators.grid.trace import play

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
SIGNER = Signer.from_seed(bytes(range(32)), kid="grid-op-2026-1")
DOWN = "grid/v1/grid-op/site-07/"


@dataclass(slots=True)
class Heard:
    """Everything the site has received, by the last part of the topic."""

    messages: list[tuple[str, dict[str, Any], bool]] = field(default_factory=list)

    def of(self, leaf: str) -> list[dict[str, Any]]:
        return [body for heard, body, _ in self.messages if heard == leaf]

    @property
    def leaves(self) -> list[str]:
        return [leaf for leaf, _, _ in self.messages]


@dataclass(frozen=True, slots=True)
class Site:
    """A bare MQTT client in the place of farmctl."""

    client: aiomqtt.Client
    heard: Heard

    async def until(self, condition: Callable[[Heard], bool]) -> None:
        async with asyncio.timeout(20):
            while True:
                if condition(self.heard):
                    return
                await asyncio.sleep(0.01)

    async def say(self, channel: str, body: dict[str, Any]) -> None:
        await self.client.publish(f"site/v1/site-07/{channel}", json.dumps(body), qos=1)

    async def ack(self, event_id: str, state: str, *, seq: int = 1, code: int = 2) -> None:
        body = {"v": 1, "msgId": "m", "eventId": event_id, "epoch": 3, "seq": seq, "site": "site-07"}
        await self.say("ack", body | {"state": state, "code": code, "reason": "", "ts": "2026-11-23T10:05:21Z"})


@asynccontextmanager
async def site_on(running: Broker) -> AsyncIterator[Site]:
    heard = Heard()
    async with aiomqtt.Client(running.host, running.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.subscribe(f"{DOWN}#", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                leaf = message.topic.value.removeprefix(DOWN)
                heard.messages.append((leaf, json.loads(message.payload), message.retain))

        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen())
            yield Site(client, heard)
            listening.cancel()


def _listed(snapshot: dict[str, Any]) -> set[str]:
    return {event["id"] for event in snapshot["events"]}


def dispatcher_on(running: Broker, **options: Any) -> Dispatcher:
    return Dispatcher(running.host, running.port, op="grid-op", site="site-07", epoch=3, **options)


async def test_a_new_dispatcher_announces_an_empty_snapshot_and_a_heartbeat_that_confirms_it() -> None:
    async with broker() as running, site_on(running) as site, dispatcher_on(running):
        await site.until(lambda heard: heard.leaves == ["snapshot", "heartbeat"])
    (snapshot,), (heartbeat,) = site.heard.of("snapshot"), site.heard.of("heartbeat")
    assert snapshot["events"] == []
    assert heartbeat["snapshotHash"] == snapshot_hash(snapshot)
    assert (heartbeat["seq"], heartbeat["hb"], heartbeat["epoch"]) == (snapshot["seq"], 1, 3)


async def test_every_event_is_followed_by_a_retained_snapshot_and_numbers_only_grow() -> None:
    async with broker() as running, site_on(running) as site, dispatcher_on(running) as grid:
        await site.until(lambda heard: "heartbeat" in heard.leaves)
        first = await grid.create_event(Order(target_kw=900.0, name="bp"))
        await grid.update(first.order_id, Order(target_kw=800.0, name="bp"))
        await grid.delete(first.order_id)
        await site.until(lambda heard: len(heard.of("snapshot")) == 4)
        async with site_on(running) as late:
            await late.until(lambda heard: heard.leaves == ["snapshot"])
    events = ["events/create", "snapshot", "events/update", "snapshot", "events/delete", "snapshot"]
    assert site.heard.leaves[2:] == events
    assert late.heard.messages == [("snapshot", site.heard.of("snapshot")[-1], True)]
    listed = [[event["id"] for event in snapshot["events"]] for snapshot in site.heard.of("snapshot")]
    assert listed == [[], [first.order_id], [first.order_id], []]
    numbers = [
        body["object"]["x-farmctl"]["seq"] if "object" in body else body["seq"]
        for leaf, body, _ in site.heard.messages
        if leaf != "heartbeat"
    ]
    assert numbers == list(range(1, 8))
    delete = site.heard.of("events/delete")[0]["object"]
    assert set(delete) == {"id", "objectType", "programID", "x-farmctl"}


async def test_an_emergency_stays_in_the_snapshot_until_its_release() -> None:
    async with broker() as running, site_on(running) as site, dispatcher_on(running) as grid:
        sent = await grid.emergency(limit_kw=50.0)
        await grid.delete(sent.order_id)
        await grid.release(sent.order_id)
        await site.until(lambda heard: len(heard.of("snapshot")) == 4)
    (create,) = site.heard.of("events/create")
    extensions = [body["object"]["x-farmctl"] for body in site.heard.of("events/delete")]
    assert create["object"]["x-farmctl"]["class"] == "EMERGENCY"
    assert create["object"]["intervalPeriod"]["duration"] == "P9999Y"
    assert [extension.get("release", False) for extension in extensions] == [False, True]
    assert [len(snapshot["events"]) for snapshot in site.heard.of("snapshot")[-3:]] == [1, 1, 0]


async def test_signed_messages_verify_with_the_public_key_alone() -> None:
    async with broker() as running, site_on(running) as site, dispatcher_on(running, signer=SIGNER) as grid:
        await grid.create_event(Order(limit_kw=500.0))
        await grid.send_snapshot()
        await site.until(lambda heard: heard.leaves[-1:] == ["heartbeat"] and "events/create" in heard.leaves)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(SIGNER.public_key))
    for leaf, body, _ in site.heard.messages:
        sealed = body["object"]["x-farmctl"] if "object" in body else body
        sig = base64.b64decode(sealed.pop("sig"))
        key.verify(sig, f"{DOWN}{leaf}".encode() + b"\x00" + rfc8785.dumps(body))
    assert {"snapshot", "heartbeat", "events/create"} == set(site.heard.leaves)


async def test_acks_tell_the_story_of_an_event() -> None:
    async with broker() as running, site_on(running) as site, dispatcher_on(running) as grid:
        sent = await grid.create_event(Order(target_kw=900.0))
        for state in ("RECEIVED", "ACCEPTED", "ACCEPTED", "ACTIVE", "RAMPING", "REACHED", "DEVIATING", "REACHED"):
            await site.ack(sent.order_id, state, seq=sent.seq)
        reached = await grid.wait_for(sent.order_id, {"REACHED"}, within_s=20)
        await site.ack(sent.order_id, "COMPLETED", seq=sent.seq, code=3)
        await grid.wait_for(sent.order_id, {"COMPLETED"}, within_s=20)
        with pytest.raises(TimeoutError, match=r"saw .*'REACHED', 'COMPLETED'"):
            await grid.wait_for(sent.order_id, {"FAILED"}, within_s=0.05)
    (story,) = stories(grid)
    steps = ("RECEIVED", "ACCEPTED", "ACTIVE", "RAMPING", "REACHED", "DEVIATING", "REACHED", "COMPLETED")
    assert story.states == steps
    assert story.final == "COMPLETED"
    assert story.reached_s == pytest.approx(reached.received_s - sent.sent_s, abs=0.002)
    assert len(grid.acks) == 9


async def test_what_a_site_mumbles_is_noted_and_harms_nothing() -> None:
    async with broker() as running, site_on(running) as site, dispatcher_on(running) as grid:
        await grid.wait_online()
        await site.say("ack", {"eventId": "x"})
        await site.client.publish("site/v1/site-07/telemetry", b"\xff{", qos=1)
        await site.client.publish("site/v1/site-07/ack", b"[1]", qos=1)
        telemetry = {"ts": "2026-11-23T10:05:22Z", "kw": 900.5, "quality": "OK", "mode": "FOLLOWING"}
        await site.say("telemetry", telemetry | {"setpointKw": 900, "eventId": None})
        await site.ack("x", "RECEIVED")
        await grid.uplink.wait_for({"x"}, {"RECEIVED"}, within_s=20)
    assert [channel for channel, _ in grid.uplink.unreadable] == ["ack", "telemetry", "ack"]
    assert [(sample.kw, sample.setpoint_kw, sample.event_id) for sample in grid.uplink.telemetry] == [
        (900.5, 900, None)
    ]


async def test_a_site_in_fail_safe_gets_a_newer_snapshot_and_a_heartbeat() -> None:
    async with broker() as running, site_on(running) as site, dispatcher_on(running) as grid:
        await site.until(lambda heard: heard.leaves == ["snapshot", "heartbeat"])
        await site.say("state", {"v": 1, "mode": "AUTONOMOUS"})
        await site.say("state", {"v": 1, "mode": "FAILSAFE"})
        await site.until(lambda heard: heard.leaves == ["snapshot", "heartbeat"] * 2)
        grid.muted = True
        await site.say("state", {"v": 1, "mode": "INIT_FAILSAFE"})
        await site.ack("x", "RECEIVED")
        await grid.uplink.wait_for({"x"}, {"RECEIVED"}, within_s=20)
    assert [mode for _, mode in grid.uplink.modes] == ["AUTONOMOUS", "FAILSAFE", "INIT_FAILSAFE"]
    assert len(site.heard.of("snapshot")) == 2


async def test_a_killed_broker_is_found_again_and_told_everything_that_is_live() -> None:
    async with broker() as running, dispatcher_on(running) as grid:
        await grid.wait_online()
        before = await grid.create_event(Order(target_kw=900.0, name="before"))
        await running.kill()
        async with asyncio.TaskGroup() as tasks:
            during = tasks.create_task(grid.create_event(Order(limit_kw=500.0, name="during")))
            await asyncio.sleep(0.3)
            await running.restart()
        live = {before.order_id, during.result().order_id}
        async with site_on(running) as site:
            # what was said before we subscribed, heartbeats too, depends on who reconnects first
            await site.until(lambda heard: any(_listed(snapshot) == live for snapshot in heard.of("snapshot")))
        assert grid.connections >= 2


async def test_the_simple_form_says_one_statement_and_its_successor_when_it_ends() -> None:
    async with (
        broker() as running,
        site_on(running) as site,
        dispatcher_on(running, form="simple", standing_kw=1_000.0) as grid,
    ):
        await site.until(lambda heard: heard.leaves == ["simple"])
        target = await grid.create_event(Order(target_kw=700.0, duration_s=60.0))
        limit = await grid.create_event(Order(limit_kw=600.0, duration_s=0.5))
        await site.until(lambda heard: len(heard.leaves) == 4)
        await site.ack(f"simple-3-{limit.seq}", "REACHED", seq=limit.seq)
        await grid.wait_for(target.order_id, {"REACHED"}, within_s=20)
        await grid.delete(target.order_id)
        await site.until(lambda heard: len(heard.leaves) == 5)
    said = [(body.get("targetKw"), body.get("limitKw"), body["seq"]) for body in site.heard.of("simple")]
    assert said == [(None, 1_000, 1), (700, 1_000, 2), (700, 600, 3), (700, 1_000, 4), (None, 1_000, 5)]
    assert set(site.heard.leaves) == {"simple"}
    assert all(len(json.dumps(body)) <= 1_024 for body in site.heard.of("simple"))


async def test_a_simple_emergency_latches_and_is_released() -> None:
    async with (
        broker() as running,
        site_on(running) as site,
        dispatcher_on(running, form="simple", standing_kw=1_000.0, signer=SIGNER) as grid,
    ):
        await site.until(lambda heard: heard.leaves == ["simple"])
        sent = await grid.emergency()
        await grid.release(sent.order_id)
        await site.until(lambda heard: len(heard.leaves) == 3)
    _, emergency, release = site.heard.of("simple")
    assert (emergency["class"], emergency["limitKw"], emergency["kid"]) == ("EMERGENCY", 0, SIGNER.kid)
    assert (release["class"], release["release"], release["limitKw"]) == ("EMERGENCY", True, 1_000)
    assert "sig" in release


async def test_raw_bytes_go_out_as_they_are() -> None:
    async with broker() as running, dispatcher_on(running) as grid:
        await grid.send_raw(f"{DOWN}keys", b'{"v":1,"v":2}', retain=True)
        async with site_on(running) as site:
            await site.until(lambda heard: "keys" in heard.leaves)
    assert ("keys", {"v": 2}, True) in site.heard.messages


async def test_an_error_of_the_caller_leaves_the_dispatcher_as_it_is() -> None:
    async with broker() as running:
        with pytest.raises(ZeroDivisionError):
            async with dispatcher_on(running):
                raise ZeroDivisionError


async def test_a_trace_plays_in_its_order_and_waits_for_the_end() -> None:
    trace = Trace.load(find_trace("surplus_day_demo")).scaled(rated_kw=1_000.0).faster(60.0)
    async with broker() as running, site_on(running) as site, dispatcher_on(running) as grid:
        sent = await play(grid, trace, tail_s=0.0)
        await site.until(lambda heard: len(heard.of("events/create")) == 7)
    names = ["bp-1", "bp-2", "bp-3", "bp-4", "limit-1", "bp-5", "bp-6"]
    assert [body["object"]["eventName"] for body in site.heard.of("events/create")] == names
    assert [story.target_kw for story in stories(grid)] == [row.order.target_kw for row in trace.rows]
    assert sent[4].order.effective_class is EventClass.LIMIT
    assert sent[-1].starts_s - sent[0].starts_s >= trace.rows[-1].t_s - trace.rows[0].t_s - 0.1


@pytest.mark.parametrize("early", [True, False])
async def test_the_command_ends_with_one_json_line(tmp_path: Path, early: bool) -> None:  # noqa: FBT001
    path = tmp_path / "short.csv"
    last = "500,create,b,100,5\n" if early else "0.1,create,b,100,0.2\n"
    path.write_text(f"t_s,kind,name,target_kw,duration_s\n0,create,a,400,0.2\n{last}", encoding="utf-8")
    async with broker() as running, site_on(running) as site, asyncio.timeout(40):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from simulators.grid import main; main()", "--broker"),
            *(f"{running.host}:{running.port}", "--site", "site-07", "--op", "grid-op", "--trace", str(path)),
            stdout=asyncio.subprocess.PIPE,
        )
        await site.until(lambda heard: "events/create" in heard.leaves)
        if early:
            process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
    summary = json.loads(out.splitlines()[-1])
    assert process.returncode == 0
    assert summary["complete"] is not early
    assert [event["target_kw"] for event in summary["events"]] == ([400] if early else [400, 100])
    assert summary["events"][0]["final"] is None
