"""Who may scrape, over what: TLS and a login, by a real client on loopback."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientSession, ClientTimeout, TCPConnector

from farmctl.engine.clock import SystemClock
from farmctl.metrics.controller import ControllerMetrics
from farmctl.metrics.door import Login, MetricsCertificateError, Tls
from farmctl.metrics.server import MetricsConfig, MetricsServer
from tests.metrics.certificate import certificate

LOGIN = Login(user="prometheus", password="s3crét")  # noqa: S106 - of this test


@asynccontextmanager
async def serving(*, tls: Tls | None = None, login: Login | None = None) -> AsyncIterator[int]:
    config = MetricsConfig(port=0, tls=tls, login=login)
    server = MetricsServer(config, ControllerMetrics("north", "0.1.0"), SystemClock())
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


async def status(port: int, path: str = "/metrics", *, login: tuple[str, str] | None = None) -> int:
    sent = {"Authorization": "Basic " + b64encode(":".join(login).encode()).decode()} if login else {}
    async with (
        ClientSession(timeout=ClientTimeout(total=20), headers=sent) as http,
        http.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status


async def test_a_scraper_names_its_user_and_password() -> None:
    async with serving(login=LOGIN) as port:
        assert await status(port) == 401
        assert await status(port, login=("prometheus", "wrong")) == 401
        assert await status(port, login=("other", LOGIN.password)) == 401
        assert await status(port, login=("prometheus", LOGIN.password)) == 200
        assert await status(port, "/metrics/miners") == 401
        assert await status(port, "/healthz") == 503  # nothing about the site, and no cycle yet


@pytest.mark.parametrize("header", ["", "Basic", "Basic !", "Bearer abc", "Basic cHJvbWV0aGV1cw=="])
def test_a_header_that_is_no_login_admits_nobody(header: str) -> None:
    assert not LOGIN.admits(header)


async def test_with_a_certificate_it_speaks_tls_alone(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    async with serving(tls=tls) as port:
        trust = ssl.create_default_context(cafile=str(tls.cert))
        async with (
            ClientSession(timeout=ClientTimeout(total=20), connector=TCPConnector(ssl=trust)) as http,
            http.get(f"https://localhost:{port}/metrics") as answer,
        ):
            assert answer.status == 200
        async with ClientSession(timeout=ClientTimeout(total=20)) as http:
            with pytest.raises(ClientConnectorError):  # nobody vouches for it
                await http.get(f"https://localhost:{port}/metrics")


async def test_a_certificate_that_is_none_is_named_before_anything_listens(tmp_path: Path) -> None:
    tls = Tls(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    with pytest.raises(MetricsCertificateError, match=r"cert\.pem"):
        async with serving(tls=tls):
            pass
    tls.cert.write_text("rubbish")
    tls.key.write_text("rubbish")
    with pytest.raises(MetricsCertificateError, match=r"key\.pem"):
        async with serving(tls=tls):
            pass
