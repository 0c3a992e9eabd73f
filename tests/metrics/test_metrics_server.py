"""The metrics endpoint over real HTTP on loopback."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, ClientTimeout
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from farmctl.config.shipped import runbook
from farmctl.metrics.controller import ControllerMetrics
from farmctl.metrics.door import Login
from farmctl.metrics.server import MetricsAddressError, MetricsConfig, MetricsServer
from farmctl.metrics.snapshot import MetricsSnapshot
from farmctl.metrics.text import Dialect

PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


class FarmClock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.at_ms = 0

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1_000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1_000)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    server: MetricsServer
    controller: ControllerMetrics
    clock: FarmClock
    http: ClientSession

    def publish(self, snapshot: MetricsSnapshot) -> None:
        self.server.publish(snapshot.at_ms, lambda: snapshot)

    async def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.get(f"http://127.0.0.1:{self.server.port}{path}", headers=sent) as answer:
            return answer.status, answer.headers["Content-Type"], await answer.text()


@asynccontextmanager
async def served(*, miners: bool = False) -> AsyncIterator[Served]:
    controller, clock = ControllerMetrics("north", "0.1.0"), FarmClock()
    server = MetricsServer(MetricsConfig(port=0, miners=miners), controller, clock)
    await server.start()
    try:
        async with ClientSession(timeout=ClientTimeout(total=20)) as http:
            yield Served(server=server, controller=controller, clock=clock, http=http)
    finally:
        await server.stop()


def names(text: str) -> set[str]:
    return {sample.name for family in parse_text(text) for sample in family.samples}


async def test_a_scrape_before_the_first_cycle_has_the_controller_alone() -> None:
    async with served() as farm:
        status, kind, text = await farm.get("/metrics")
        assert (status, kind) == (200, Dialect.TEXT.value)
        assert "farmctl_build_info" in names(text)
        assert "farmctl_site_power_watts" not in names(text)


async def test_prometheus_is_given_open_metrics(small_farm: MetricsSnapshot) -> None:
    async with served(miners=True) as farm:
        farm.publish(small_farm)
        for path in ("/metrics", "/metrics/miners?shard=1/1"):
            status, kind, text = await farm.get(path, Accept=PROMETHEUS_ACCEPT)
            assert (status, kind) == (200, Dialect.OPEN_METRICS.value)
            assert text.endswith("# EOF\n")
            assert list(parse_open_metrics(text))  # type: ignore[no-untyped-call]  # untyped there


@pytest.mark.parametrize(
    ("accept", "dialect"),
    [
        ("", Dialect.TEXT),
        ("*/*", Dialect.TEXT),
        ("text/plain", Dialect.TEXT),
        ("application/openmetrics-text", Dialect.OPEN_METRICS),
        ("application/openmetrics-text;q=0, text/plain", Dialect.TEXT),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", Dialect.TEXT),
        ("application/openmetrics-text;q=rubbish", Dialect.TEXT),
    ],
)
async def test_the_accept_header_decides(accept: str, dialect: Dialect) -> None:
    async with served() as farm:
        assert (await farm.get("/metrics", Accept=accept))[1] == dialect.value


async def test_compressed_and_plain_are_the_same(small_farm: MetricsSnapshot) -> None:
    async with served() as farm:
        farm.publish(small_farm)
        plain = await farm.get("/metrics", Accept_Encoding="identity")
        packed = await farm.get("/metrics", Accept_Encoding="gzip, deflate")
        assert plain == packed


async def test_a_new_cycle_is_seen_and_the_controllers_numbers_move_while_it_hangs(
    small_farm: MetricsSnapshot,
) -> None:
    async with served() as farm:
        farm.publish(small_farm)
        assert 'farmctl_site_power_watts{site="north"} 7250.0\n' in (await farm.get("/metrics"))[2]
        farm.controller.count_journal(5)
        assert 'farmctl_journal_records_total{site="north"} 5.0\n' in (await farm.get("/metrics"))[2]
        farm.publish(dataclasses.replace(small_farm, power_w=6_000.0))
        assert 'farmctl_site_power_watts{site="north"} 6000.0\n' in (await farm.get("/metrics"))[2]


async def test_miners_are_off_unless_switched_on(small_farm: MetricsSnapshot) -> None:
    async with served() as farm:
        farm.publish(small_farm)
        assert (await farm.get("/metrics/miners?shard=1/2"))[0] == 404


async def test_shards_are_written_again_when_a_sweep_has_passed(small_farm: MetricsSnapshot) -> None:
    async with served(miners=True) as farm:
        farm.publish(small_farm)
        first = await farm.get("/metrics/miners?shard=1/2")
        assert "farmctl_miner_up" in names(first[2])
        assert (await farm.get("/metrics/miners?shard=2/2"))[2] != first[2]
        farm.publish(dataclasses.replace(small_farm, at_ms=small_farm.at_ms + 1_000))
        assert await farm.get("/metrics/miners?shard=1/2") == first
        farm.publish(dataclasses.replace(small_farm, at_ms=small_farm.at_ms + 60_000))
        later = await farm.get("/metrics/miners?shard=1/2")
        assert "farmctl_miner_power_watts" in names(first[2]) - names(later[2])  # a minute old is unknown


async def test_a_bad_shard_is_refused_with_what_was_expected() -> None:
    async with served(miners=True) as farm:
        status, _, text = await farm.get("/metrics/miners?shard=9/2")
        assert status == 400
        assert "shard '9/2'" in text


async def test_health_follows_the_cycle(small_farm: MetricsSnapshot) -> None:
    async with served() as farm:
        assert (await farm.get("/healthz"))[0] == 503
        farm.publish(small_farm)
        farm.clock.at_ms = small_farm.at_ms + 10_000
        assert (await farm.get("/healthz"))[0] == 200
        farm.clock.at_ms += 1
        status, _, text = await farm.get("/healthz")
        assert (status, '"stalled"' in text) == (503, True)


async def test_an_address_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        server = MetricsServer(MetricsConfig(port=port), ControllerMetrics("north", "0.1.0"), FarmClock())
        with pytest.raises(MetricsAddressError, match=f"127.0.0.1:{port}"):
            await server.start()


async def test_the_runbooks_that_the_rules_link_to_are_served_beside_the_figures() -> None:
    controller, clock = ControllerMetrics("north", "0.1.0"), FarmClock()
    config = MetricsConfig(port=0, page=runbook, login=Login(user="prometheus", password="x"))  # noqa: S106 - a test
    server = MetricsServer(config, controller, clock)
    await server.start()
    try:
        async with ClientSession() as http:
            at = f"http://127.0.0.1:{server.port}/runbooks/"
            for name in ("signal_stale", "signal_stale.md"):
                async with http.get(at + name) as answer:
                    assert answer.status == 200
                    assert (await answer.text()).startswith("# signal_stale (P1)\n")
            for name in ("no_such_alarm", "..%2Fmetrics"):
                async with http.get(at + name) as answer:
                    assert answer.status == 404
    finally:
        await server.stop()
