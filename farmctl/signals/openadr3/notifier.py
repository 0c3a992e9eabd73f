"""The VTN's MQTT notifier: a nudge to read the events at once. What counts is always the list, never the message."""

from __future__ import annotations

import logging
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
from yarl import URL

from farmctl.errors import ConfigError, FarmError, MalformedReplyError
from farmctl.signals._intake.shape import JsonObject
from farmctl.signals.openadr3.config import OpenAdr3Config, is_loopback
from farmctl.signals.openadr3.rest import UnknownPathError, Vtn

PORTS = {"mqtts": 8883, "ssl": 8883, "mqtt": 1883, "tcp": 1883}
CONNECT_S = 10.0
KEEPALIVE_S = 20
_QUIET = logging.getLogger("farmctl.openadr3.mqtt")
_QUIET.setLevel(logging.ERROR)  # the library warns of every ten pending calls (SIGNALS section 1, client rule 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where and how to listen, as the VTN says."""

    url: URL
    topics: tuple[str, ...]
    method: str
    username: str = ""
    pems: tuple[str, str, str] | None = None
    """Authority, certificate and key, as texts."""


async def discover(vtn: Vtn, ven_id: str) -> Broker | None:
    """The notifier for this VEN's events; None where the VTN has none.  Raises what the VTN's answers deserve."""
    try:
        binding = (await vtn.one("/notifiers")).get("MQTT")
        if not isinstance(binding, dict):
            return None
        topics = _topics(await vtn.one(f"/notifiers/mqtt/topics/vens/{ven_id}/events"))
    except UnknownPathError:
        return None
    uris = binding.get("URIS")
    first = next((u for u in uris if isinstance(u, str)), None) if isinstance(uris, list) else None
    auth = binding.get("authentication")
    if first is None or not topics or not isinstance(auth, dict) or binding.get("serialization", "JSON") != "JSON":
        raise MalformedReplyError("GET /notifiers: expected MQTT with URIS, JSON and an authentication")
    method = str(auth.get("method"))
    pems = tuple(str(auth.get(name, "")) for name in ("caCert", "clientCert", "clientKey"))
    return Broker(
        url=URL(first if "://" in first else f"mqtts://{first}"),
        topics=topics,
        method=method,
        username=str(auth.get("username", "")),
        pems=(pems[0], pems[1], pems[2]) if method == "CERTIFICATE" else None,
    )


async def listen(broker: Broker, vtn: Vtn, config: OpenAdr3Config, nudge: Callable[[], None]) -> None:
    """Nudge at every message until the connection breaks.

    Raises aiomqtt.MqttError when it does, ConfigError for a broker that would carry a token in the clear.
    """
    tls = _tls(broker, config)
    user, password = await _login(broker, vtn, config)
    if password and tls is None and not is_loopback(broker.url):
        raise ConfigError(f"notifier {broker.url}: a token would travel in the clear, expected mqtts://")
    client = aiomqtt.Client(
        hostname=broker.url.host or "",
        port=broker.url.port or PORTS.get(broker.url.scheme, 8883),
        username=user or None,
        password=password or None,
        tls_context=tls,
        keepalive=KEEPALIVE_S,
        timeout=CONNECT_S,
        logger=_QUIET,
    )
    async with client:
        for topic in broker.topics:
            await client.subscribe(topic, qos=1)
        nudge()
        async for _ in client.messages:
            nudge()


def _topics(answer: JsonObject) -> tuple[str, ...]:
    """ALL where the VTN supports it, else each operation's own."""
    named = answer.get("topics")
    if not isinstance(named, dict):
        return ()
    every = named.get("ALL")
    if isinstance(every, str) and every:
        return (every,)
    return tuple(t for name in ("CREATE", "UPDATE", "DELETE") if isinstance(t := named.get(name), str) and t)


async def _login(broker: Broker, vtn: Vtn, config: OpenAdr3Config) -> tuple[str, str]:
    if broker.method != "OAUTH2_BEARER_TOKEN":
        return "", ""
    client_id = config.login.client_id if config.login is not None else config.ven_name
    user = client_id if broker.username == "{clientID}" else broker.username
    return user, await vtn.token()


def _tls(broker: Broker, config: OpenAdr3Config) -> ssl.SSLContext | None:
    if broker.url.scheme in ("mqtt", "tcp"):
        return None
    if broker.pems is None:
        return config.certificates.context() if config.certificates is not None else ssl.create_default_context()
    authority, certificate, key = broker.pems
    try:
        context = ssl.create_default_context(cadata=authority or None)
        with tempfile.TemporaryDirectory() as folder:  # ssl reads a certificate and its key from files only
            chain, secret = Path(folder, "cert.pem"), Path(folder, "key.pem")
            secret.touch(mode=0o600)
            chain.write_text(certificate)
            secret.write_text(key)
            context.load_cert_chain(chain, secret)
    except (OSError, ssl.SSLError) as error:
        raise MalformedReplyError(f"GET /notifiers: the certificate it offers cannot be used: {error}") from error
    return context


BROKEN = (aiomqtt.MqttError, FarmError, OSError)
"""What ends a time of listening; the polls go on."""
