"""The demo's broker: mosquitto as a child, amqtt in the process."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiomqtt
import pytest

from simulators.broker import Broker, BrokerError, broker, find_mosquitto, free_port
from simulators.grid import Dispatcher, Order

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


# amqtt 0.12 leaves a socket of each run to the collector, also after its shutdown: here, and only here, it is ignored.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    yield
    gc.collect()  # not in whatever story the collector runs next


@asynccontextmanager
async def client_of(running: Broker) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client(running.host, running.port, protocol=aiomqtt.ProtocolVersion.V311, timeout=10) as client:
        yield client


async def first(client: aiomqtt.Client, topic: str) -> tuple[str, bytes]:
    async with asyncio.timeout(15):
        async for message in client.messages:
            if message.topic.matches(topic):
                assert isinstance(message.payload, bytes)
                return message.topic.value, message.payload
    raise AssertionError("the connection ended")


async def round_trip(running: Broker) -> None:
    async with client_of(running) as client:
        await client.subscribe("a/#", qos=1)
        await client.publish("a/b", b"hello", qos=1)
        assert await first(client, "a/#") == ("a/b", b"hello")


@pytest.mark.peer
@needs_mosquitto
async def test_mosquitto_is_chosen_where_it_is_installed() -> None:
    async with broker() as running:
        assert (running.kind, running.host) == ("mosquitto", "127.0.0.1")
        await round_trip(running)


async def test_amqtt_carries_messages_without_mosquitto() -> None:
    async with broker(kind="amqtt") as running:
        assert running.kind == "amqtt"
        await round_trip(running)


async def test_a_dispatcher_reaches_a_site_over_amqtt() -> None:
    async with broker(kind="amqtt") as running, client_of(running) as site:
        await site.subscribe("grid/v1/grid-op/site-07/#", qos=1)
        async with Dispatcher(running.host, running.port, op="grid-op", site="site-07") as grid:
            await grid.wait_online()
            sent = await grid.create_event(Order(target_kw=900.0))
            _, event = await first(site, "grid/v1/grid-op/site-07/events/create")
            assert json.loads(event)["object"]["id"] == sent.order_id
            ack = {"eventId": sent.order_id, "state": "RECEIVED", "code": 1, "epoch": sent.epoch, "seq": sent.seq}
            await site.publish("site/v1/site-07/ack", json.dumps(ack), qos=1)
            await grid.wait_for(sent.order_id, {"RECEIVED"}, within_s=20)


async def test_amqtt_comes_back_on_its_port_and_refuses_to_be_killed() -> None:
    async with broker(kind="amqtt") as running:
        port = running.port
        with pytest.raises(RuntimeError, match="cannot be killed"):
            await running.kill()
        await running.restart()
        assert running.port == port
        await round_trip(running)


@pytest.mark.peer
@needs_mosquitto
async def test_a_killed_mosquitto_drops_its_clients_and_restarts_on_its_port() -> None:
    async with broker() as running:
        port = running.port
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(client_of(running))
            await client.subscribe("never")
            await running.kill()
            with pytest.raises(aiomqtt.MqttError):
                await first(client, "never")
        with pytest.raises(aiomqtt.MqttError):
            await round_trip(running)
        await running.restart()
        assert running.port == port
        await round_trip(running)


@pytest.mark.peer
@needs_mosquitto
@pytest.mark.parametrize("persistent", [True, False])
async def test_retained_messages_survive_an_orderly_restart_only_when_asked(persistent: bool) -> None:  # noqa: FBT001
    async with broker(persistent=persistent) as running:
        async with client_of(running) as client:
            await client.publish("kept", b"old", qos=1, retain=True)
        await running.restart()
        async with client_of(running) as client:
            await client.subscribe("kept", qos=1)
            await client.publish("kept", b"new", qos=1)
            _, payload = await first(client, "kept")
    assert payload == (b"old" if persistent else b"new")


@pytest.mark.peer
@needs_mosquitto
async def test_a_port_in_use_is_said() -> None:
    async with broker() as running:
        with pytest.raises(BrokerError, match="cannot listen"):
            async with broker(port=running.port):
                pass


async def test_the_command_says_which_broker_it_runs() -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from simulators.broker import main; main()", "--port", str(port),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(40):
            assert process.stdout is not None
            ready = json.loads(await process.stdout.readline())
            assert ready["kind"] == ("mosquitto" if find_mosquitto() else "amqtt")
            async with aiomqtt.Client("127.0.0.1", port):
                process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
