"""The source against a real mosquitto: what a broker does to messages, and what the site makes of it."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from farmctl.core.grid import SnapshotPut
from farmctl.core.reasons import Reason
from farmctl.errors import StoreError
from farmctl.ports.grid import Receipt, SignalSource, Uplink
from farmctl.signals._intake.desk import Route
from farmctl.signals.mqtt import Form, MqttSource
from simulators.broker import free_port
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import (
    CLOCK,
    QUICK,
    ack_of,
    config,
    dispatching,
    hearing,
    listening,
    put_ids,
    site_state,
    telemetry,
    until,
)
from tests.signals.words import TOPIC, Ledger, WallClock, event, note

pytestmark = pytest.mark.peer


def source(*ports: int, **changes: object) -> MqttSource:
    return MqttSource(config(*ports, **changes), CLOCK, pace=QUICK)


def connected(ledger: Ledger) -> bool:
    return ledger.status is not None and ledger.status.connected


def confirmed(ledger: Ledger) -> bool:
    return ledger.status is not None and ledger.status.confirmed


def snapshot_ids(ledger: Ledger) -> list[list[str]]:
    return [[e.event_id for e in r.message.events] for r in ledger.receipts if isinstance(r.message, SnapshotPut)]


class GateClock(WallClock):
    """A clock whose sleeps end only while its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()

    @override
    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self.gate.wait()


def test_the_source_fits_its_ports() -> None:
    one = MqttSource(config(1), CLOCK)
    as_source: SignalSource = one
    as_uplink: Uplink = one
    assert as_source.name == "grid"
    assert callable(as_uplink.ack)


async def test_boot_is_confirmed_by_snapshot_and_heartbeat_and_an_event_is_answered(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    async with (
        hearing(mosquitto.port, "site/v1/site-07/ack") as heard,
        dispatching(mosquitto.port) as grid,
        listening(source(mosquitto.port), ledger),
    ):
        await until(lambda: connected(ledger))
        await grid.lists()
        await grid.beats()
        await until(lambda: confirmed(ledger))
        await grid.creates("ev-a")
        await until(lambda: put_ids(ledger) == ["ev-a"])
        await until(lambda: bool(heard))
    assert (heard[0][1]["eventId"], heard[0][1]["state"], heard[0][1]["code"]) == ("ev-a", "RECEIVED", 1)
    assert not ledger.refusals


async def test_a_broker_killed_in_the_middle_of_an_event_is_found_again_and_the_snapshot_tells_what_was_missed(
    mosquitto: Mosquitto,
) -> None:
    await mosquitto.start()
    ledger = Ledger()
    with capture_logs() as logs:
        async with listening(source(mosquitto.port), ledger):
            async with dispatching(mosquitto.port) as grid:
                await until(lambda: connected(ledger))
                await grid.lists()
                await grid.beats()
                await until(lambda: confirmed(ledger))
                await grid.creates("before")
                await until(lambda: put_ids(ledger) == ["before"])
                seq, hb = grid.seq, grid.hb
                await mosquitto.kill()
                with pytest.raises(aiomqtt.MqttError):
                    await grid.creates("lost")
                await until(lambda: not connected(ledger))
            await mosquitto.start()
            async with dispatching(mosquitto.port) as grid:
                grid.seq, grid.hb = seq, hb
                missed = await grid.creates("missed")
                await grid.lists(missed)
                await grid.beats()
                await until(lambda: connected(ledger) and ["missed"] in snapshot_ids(ledger))
                await grid.creates("after")
                await until(lambda: "after" in put_ids(ledger))
    assert confirmed(ledger)
    spoken = [e["event"] for e in logs if e["event"].startswith("grid_link")]
    assert spoken == ["grid_link_lost", "grid_link_back"]


async def test_a_broker_that_is_down_at_the_start_is_told_once_and_the_second_address_is_tried(
    mosquitto: Mosquitto,
) -> None:
    ledger = Ledger()
    with capture_logs() as logs:
        async with listening(source(free_port(), mosquitto.port), ledger):
            await until(lambda: bool(logs))
            assert not connected(ledger)
            await mosquitto.start()
            await until(lambda: connected(ledger))
    assert [e["event"] for e in logs] == ["grid_link_lost", "grid_link_back"]


async def test_acks_wait_for_the_broker_and_arrive_in_order(mosquitto: Mosquitto) -> None:
    clock = GateClock()
    one = MqttSource(config(mosquitto.port), clock, pace=QUICK)
    ledger = Ledger()
    await mosquitto.start()
    async with listening(one, ledger):
        await until(lambda: connected(ledger))
        clock.gate.clear()
        await mosquitto.kill()
        await until(lambda: not connected(ledger))
        for number in range(30):
            await one.ack(ack_of(f"ev-{number}"))
        await one.ack(ack_of("ev-of-others", "other"))
        await one.telemetry(telemetry())
        await mosquitto.start()
        async with hearing(mosquitto.port) as heard:
            clock.gate.set()
            await one.ack(ack_of("last"))
            await until(lambda: any(body.get("eventId") == "last" for _, body, _ in heard))
    acks = [body["eventId"] for topic, body, _ in heard if topic.endswith("/ack")]
    assert acks == [*(f"ev-{n}" for n in range(30)), "last"]
    assert not any(topic.endswith("/telemetry") for topic, _, _ in heard)


async def test_retained_rubbish_is_ignored(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    async with dispatching(mosquitto.port) as grid:
        grid.seq = 4
        for route, payload in (
            (Route.CREATE, note(event(99))),
            (Route.HEARTBEAT, b"\x00\xff"),
            (Route.SNAPSHOT, b"[]"),
            (Route.KEYS, b"{}"),
        ):
            await grid.says(route, payload, retain=True)
        async with listening(source(mosquitto.port), ledger):
            await until(lambda: len(ledger.refusals) == 4)
            await grid.says(Route.SNAPSHOT, b"", retain=True)
            await until(lambda: len(ledger.refusals) == 5)
            assert not ledger.receipts
            await grid.lists()
            await grid.beats()
            await until(lambda: confirmed(ledger))
    reasons = {r.topic.rsplit("/", 1)[-1]: r.reason for r in ledger.refusals[:4]}
    assert reasons["create"] == reasons["heartbeat"] == Reason.RETAINED_NOT_ALLOWED
    assert snapshot_ids(ledger) == [[]]


async def test_messages_on_topics_of_others_are_dropped_unread(mosquitto: Mosquitto) -> None:
    one = source(mosquitto.port)
    assert one._topics.heard("grid/v1/grid-op/site-08/events/create") is None
    assert one._topics.heard("grid/v1/other/site-07/events/create") is None
    assert one._topics.heard(TOPIC[Route.SIMPLE]) is None
    assert one._topics.heard(TOPIC[Route.CREATE]) is not None


async def test_a_gap_is_closed_by_reading_the_snapshot_again(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    async with dispatching(mosquitto.port) as grid, listening(source(mosquitto.port), ledger):
        await until(lambda: connected(ledger))
        await grid.lists()
        await grid.beats()
        await until(lambda: confirmed(ledger))
        await grid.beats()
        before = len(ledger.receipts)
        grid.seq += 5
        await grid.creates("late")
        await until(lambda: len(ledger.receipts) == before + 1)
        await grid.lists(await grid.creates("both"))
        await until(lambda: ["both"] in snapshot_ids(ledger))
    assert not ledger.refusals


async def test_a_message_that_cannot_be_stored_counts_as_not_received(mosquitto: Mosquitto) -> None:
    class Full(Ledger):
        full = False
        turned_away = 0

        @override
        async def accept(self, receipt: Receipt) -> None:
            if self.full:
                self.turned_away += 1
                raise StoreError("disk full")
            await super().accept(receipt)

    await mosquitto.start()
    ledger = Full()
    async with (
        dispatching(mosquitto.port) as grid,
        hearing(mosquitto.port, "site/v1/site-07/ack") as heard,
        listening(source(mosquitto.port), ledger),
    ):
        await until(lambda: connected(ledger))
        await grid.lists()
        await grid.beats()
        await until(lambda: confirmed(ledger))
        ledger.full = True
        body = await grid.creates("ev-a")
        await until(lambda: ledger.turned_away > 0)
        assert not heard
        ledger.full = False
        await grid.says(Route.CREATE, note(body))
        await until(lambda: put_ids(ledger) == ["ev-a"] and bool(heard))
    assert [body["state"] for _, body, _ in heard] == ["RECEIVED"]


async def test_status_state_and_telemetry_are_published_as_the_contract_says(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    one = source(mosquitto.port)
    ledger = Ledger()
    await one.site_state(site_state())
    async with listening(one, ledger):
        await until(lambda: connected(ledger))
        async with hearing(mosquitto.port) as heard:
            await one.telemetry(telemetry())
            wanted = {f"site/v1/site-07/{name}" for name in ("status", "state", "telemetry")}
            await until(lambda: {topic for topic, _, _ in heard} >= wanted)
    by_topic = {topic.rsplit("/", 1)[-1]: (body, retained) for topic, body, retained in heard}
    assert (by_topic["status"][0]["status"], by_topic["status"][1]) == ("ONLINE", True)
    assert (by_topic["state"][0]["mode"], by_topic["state"][1]) == ("LIMITED", True)
    assert (by_topic["telemetry"][0]["kw"], by_topic["telemetry"][1]) == (18560.0, False)
    async with hearing(mosquitto.port, "site/v1/site-07/status") as after:
        await until(lambda: bool(after))
    assert after[0][1]["status"] == "OFFLINE"


async def test_the_will_says_offline_when_the_connection_breaks(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    one = source(mosquitto.port)
    async with hearing(mosquitto.port, "site/v1/site-07/status") as heard, listening(one, ledger):
        await until(lambda: bool(heard))
        # a second client with the same id makes the broker cut the first connection, as a crash would
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, identifier="farmctl-site-07-grid-farmctl"):
            await until(lambda: any(body["status"] == "OFFLINE" for _, body, _ in heard))
        await until(lambda: heard[-1][1]["status"] == "ONLINE")


@pytest.mark.parametrize("protocol", ["5", "auto"])
async def test_mqtt_5_works_as_well_and_is_found_where_the_broker_has_it(mosquitto: Mosquitto, protocol: str) -> None:
    await mosquitto.start()
    ledger, one = Ledger(), source(mosquitto.port, protocol=protocol)
    async with dispatching(mosquitto.port) as grid, listening(one, ledger):
        await until(lambda: connected(ledger))
        await grid.lists()
        await grid.beats()
        await until(lambda: confirmed(ledger))
        assert one._connector.spoken == {("127.0.0.1", mosquitto.port): "5"}


async def test_a_simple_only_site_is_confirmed_by_its_first_message(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    one = source(mosquitto.port, forms=frozenset({Form.SIMPLE}), programmes=frozenset())
    async with dispatching(mosquitto.port) as grid, listening(one, ledger):
        await until(lambda: connected(ledger))
        assert not confirmed(ledger)
        until_text = grid._times(60)["expiresAt"]
        await grid.says(Route.SIMPLE, {"v": 1, "seq": 1, "limitKw": 500, "validUntil": until_text})
        await until(lambda: confirmed(ledger))
    assert put_ids(ledger) == ["simple-0-1"]


async def test_a_restarted_site_drops_what_it_had_accepted_and_takes_the_snapshot_again(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    ledger = Ledger()
    async with dispatching(mosquitto.port) as grid:
        async with listening(source(mosquitto.port), ledger):
            await until(lambda: connected(ledger))
            await grid.lists()
            await grid.beats()
            await until(lambda: confirmed(ledger))
            body = await grid.creates("ev-a")
            await grid.lists(body)
            await until(lambda: ["ev-a"] in snapshot_ids(ledger))
        again = Ledger()
        again.states = ledger.states
        async with listening(source(mosquitto.port), again):
            await until(lambda: snapshot_ids(again) == [["ev-a"]])
            assert not confirmed(again)
            await grid.says(Route.CREATE, note(body))
            await until(lambda: bool(again.refusals))
            await grid.beats()
            await until(lambda: confirmed(again))
    assert again.refusals[0].reason == Reason.OLD_SEQUENCE
    assert not put_ids(again)
