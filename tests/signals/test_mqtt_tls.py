"""The shipped broker configuration under attack: who has no business there gets nothing, whoever has gets through."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiomqtt
import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from farmctl.core.grid import EventPut
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals._intake.signature import is_genuine
from farmctl.signals.mqtt import MqttSource, TlsFiles
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, Dispatcher, config, listening, until
from tests.signals.pki import DAY, Authority
from tests.signals.words import KID, PUBLIC, SEED, TOPIC, JsonObject, Ledger, signed

pytestmark = [
    pytest.mark.peer,
    # paho 2 leaves the socket of a failed handshake to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning"),
]

CONFIGS = Path(__file__).parents[2] / "configs" / "mosquitto"
PINNED = Keyring(keys={KID: IssuerKey(public=PUBLIC)})
SETTLES_S = 0.5


class Fortress:
    """A broker that runs configs/mosquitto with nothing changed but folders and port, and its authority."""

    def __init__(self, broker: Mosquitto) -> None:
        self.broker = broker
        self.authority = Authority(broker.folder / "pki")
        self.authority.issue("127.0.0.1", file="broker")
        acl = self.authority.folder / "acl"
        acl.write_text((CONFIGS / "acl").read_text())
        data = broker.folder / "data"
        data.mkdir()
        text = (CONFIGS / "mosquitto.conf").read_text()
        text = text.replace("/etc/mosquitto/farmctl", str(self.authority.folder)).replace(
            "/var/lib/mosquitto", str(data)
        )
        text = text.replace("listener 8883", f"listener {broker.port} 127.0.0.1")
        if os.geteuid() == 0:  # it would drop to a user who may not read pytest's folders
            text += "user root\n"
        broker.configured(text)

    def client(self, files: TlsFiles | None, context: ssl.SSLContext | None = None) -> aiomqtt.Client:
        tls = context or (None if files is None else files.context())
        return aiomqtt.Client("127.0.0.1", self.broker.port, tls_context=tls, timeout=5)

    async def turns_away(self, files: TlsFiles | None, context: ssl.SSLContext | None = None) -> bool:
        """True where a connection cannot be used, whether the handshake or the first answer says so."""
        try:
            async with self.client(files, context) as client:
                await client.subscribe("grid/v1/#", qos=1)
                await client.publish("site/v1/site-07/ack", b"{}", qos=1)
        except (aiomqtt.MqttError, ssl.SSLError, OSError):
            return True
        return False


@pytest.fixture
async def fortress(mosquitto: Mosquitto) -> AsyncIterator[Fortress]:
    found = Fortress(mosquitto)
    await mosquitto.start()
    yield found
    gc.collect()


@contextlib.asynccontextmanager
async def operating(fortress: Fortress) -> AsyncIterator[Dispatcher]:
    async with fortress.client(fortress.authority.issue("grid-op")) as client:
        yield SignedDispatcher(client)


class SignedDispatcher(Dispatcher):
    """As the plain one, signing what it says."""

    @override
    async def says(self, route: Route, payload: JsonObject | bytes, *, retain: bool = False) -> None:
        if isinstance(payload, dict):
            payload = signed(route, payload)
            self.said = payload if route is Route.SNAPSHOT else self.said
        await super().says(route, payload, retain=retain)


async def test_plain_text_on_the_tls_port_is_turned_away(fortress: Fortress) -> None:
    assert await fortress.turns_away(None)


async def test_a_client_without_a_certificate_is_turned_away(fortress: Fortress) -> None:
    assert await fortress.turns_away(TlsFiles(ca=fortress.authority.file))


async def test_a_certificate_of_another_authority_is_turned_away(fortress: Fortress, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "elsewhere").issue("site-07")
    assert await fortress.turns_away(replace(stranger, ca=fortress.authority.file))


async def test_an_authority_of_the_same_name_is_still_another(fortress: Fortress, tmp_path: Path) -> None:
    twin = Authority(tmp_path / "twin", "test authority").issue("grid-op")
    assert await fortress.turns_away(replace(twin, ca=fortress.authority.file))


async def test_an_expired_certificate_is_turned_away(fortress: Fortress) -> None:
    old = fortress.authority.issue("site-07", since=-2 * DAY, until=-timedelta(minutes=1))
    assert await fortress.turns_away(old)


async def test_a_certificate_that_is_not_valid_yet_is_turned_away(fortress: Fortress) -> None:
    early = fortress.authority.issue("site-07", since=timedelta(hours=1), until=DAY)
    assert await fortress.turns_away(early)


async def test_tls_1_1_is_turned_away(fortress: Fortress) -> None:
    files = fortress.authority.issue("site-07")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.ca)
    assert files.certificate is not None
    context.load_cert_chain(files.certificate, files.key)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert await fortress.turns_away(None, context)


async def test_the_right_certificate_is_let_in(fortress: Fortress) -> None:
    assert not await fortress.turns_away(fortress.authority.issue("site-07"))


async def test_another_site_reads_nothing_that_is_not_its_own(fortress: Fortress) -> None:
    heard: list[tuple[str, bytes]] = []

    async with fortress.client(fortress.authority.issue("site-08")) as intruder, asyncio.TaskGroup() as tasks:
        with contextlib.suppress(aiomqtt.MqttError):
            for topic in ("grid/v1/grid-op/site-07/#", "grid/v1/+/site-07/events/create", "site/v1/site-07/#", "#"):
                await intruder.subscribe(topic, qos=1)
        await intruder.subscribe("grid/v1/grid-op/site-08/#", qos=1)
        listener = tasks.create_task(_collect(intruder, heard))
        async with fortress.client(fortress.authority.issue("grid-op")) as grid:
            await grid.publish(TOPIC[Route.CREATE], b"for site-07", qos=1)
            await grid.publish("grid/v1/grid-op/site-08/events/create", b"for site-08", qos=1)
        async with fortress.client(fortress.authority.issue("site-07")) as site:
            await site.publish("site/v1/site-07/ack", b"from site-07", qos=1)
            await site.publish("site/v1/site-07/state", b"from site-07", qos=1, retain=True)
        await until(lambda: bool(heard))
        await asyncio.sleep(SETTLES_S)
        listener.cancel()
    assert heard == [("grid/v1/grid-op/site-08/events/create", b"for site-08")]


async def test_a_site_can_neither_command_nor_speak_for_another(fortress: Fortress) -> None:
    heard: list[tuple[str, bytes]] = []

    victim, reader = fortress.authority.issue("site-07"), fortress.authority.issue("grid-op-reader")
    async with (
        fortress.client(victim) as site,
        fortress.client(reader) as grid,
        fortress.client(fortress.authority.issue("site-08")) as intruder,
        asyncio.TaskGroup() as tasks,
    ):
        await site.subscribe("grid/v1/+/site-07/#", qos=1)
        await grid.subscribe("site/v1/#", qos=1)
        listeners = [tasks.create_task(_collect(client, heard)) for client in (site, grid)]
        for topic in (TOPIC[Route.CREATE], TOPIC[Route.SNAPSHOT], "site/v1/site-07/ack", "site/v1/site-07/state"):
            await intruder.publish(topic, b"forged", qos=1, retain=True)
        await grid.publish(TOPIC[Route.CREATE], b"readers do not write", qos=1)
        await intruder.publish("site/v1/site-08/ack", b"own", qos=1)
        await until(lambda: bool(heard))
        await asyncio.sleep(SETTLES_S)
        for listener in listeners:
            listener.cancel()
    assert heard == [("site/v1/site-08/ack", b"own")]


async def test_signed_messages_over_mutual_tls_go_all_the_way(fortress: Fortress) -> None:
    ledger = Ledger()
    site = fortress.authority.issue("site-07")
    told = config(fortress.broker.port, auth="ed25519", keys=PINNED, tls=site, site_seed=SEED)
    heard: list[tuple[str, bytes]] = []
    async with fortress.client(fortress.authority.issue("grid-op-reader")) as reader, asyncio.TaskGroup() as tasks:
        await reader.subscribe("site/v1/site-07/ack", qos=1)
        listener = tasks.create_task(_collect(reader, heard))
        async with operating(fortress) as grid, listening(MqttSource(told, CLOCK, pace=QUICK), ledger):
            await until(lambda: ledger.status is not None and ledger.status.connected)
            await grid.lists()
            await grid.beats()
            await until(lambda: ledger.status is not None and ledger.status.confirmed)
            await grid.creates("ev-tls")
            await until(lambda: bool(heard))
        listener.cancel()
    assert [r.message.event.event_id for r in ledger.receipts if isinstance(r.message, EventPut)] == ["ev-tls"]
    assert not ledger.refusals
    ack = json.loads(heard[0][1])
    signature = ack.pop("sig")
    assert (ack["eventId"], ack["state"]) == ("ev-tls", "RECEIVED")
    assert is_genuine(PUBLIC, signature, "site/v1/site-07/ack", ack)


async def test_a_site_does_not_speak_to_a_broker_of_another_authority(fortress: Fortress, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "elsewhere")
    files = replace(fortress.authority.issue("site-07"), ca=stranger.file)
    told = config(fortress.broker.port, auth="ed25519", keys=PINNED, tls=files, site_seed=SEED)
    ledger = Ledger()
    with capture_logs() as logs:
        async with listening(MqttSource(told, CLOCK, pace=QUICK), ledger):
            await until(lambda: any(e["event"] == "grid_link_lost" for e in logs))
    assert ledger.status is not None
    assert not ledger.status.connected
    assert "certificate" in next(e["fault"] for e in logs if e["event"] == "grid_link_lost").lower()


async def _collect(client: aiomqtt.Client, heard: list[tuple[str, bytes]]) -> None:
    async for message in client.messages:
        heard.append((str(message.topic), bytes(message.payload)))  # noqa: PERF401 - readers look while it grows
