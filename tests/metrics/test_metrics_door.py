"""Who may scrape, over what: TLS and a login, by a real client on loopback."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientSession, ClientTimeout, TCPConnector
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from farmctl.engine.clock import SystemClock
from farmctl.metrics.controller import ControllerMetrics
from farmctl.metrics.door import Login, MetricsCertificateError, Tls
from farmctl.metrics.server import MetricsConfig, MetricsServer

LOGIN = Login(user="prometheus", password="s3crét")  # noqa: S106 - of this test


def certificate(folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(minutes=5))
    builder = builder.not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    signed = builder.sign(key, hashes.SHA256())
    tls = Tls(cert=folder / "cert.pem", key=folder / "key.pem")
    tls.cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    tls.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return tls


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
