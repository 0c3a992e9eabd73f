"""Who may scrape, and over what: TLS and basic authentication, both optional."""

from __future__ import annotations

import base64
import hmac
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from farmctl.errors import AskHumanError


class MetricsCertificateError(AskHumanError):
    """The certificate or the key of the metrics endpoint cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificate chain and private key, both PEM."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 and later; raises MetricsCertificateError."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as fault:
            told = f"metrics: {self.cert} and {self.key}: expected a PEM certificate and its key: {fault}"
            raise MetricsCertificateError(told) from fault
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who may scrape, by HTTP basic authentication."""

    user: str
    password: str = field(repr=False)

    def admits(self, header: str) -> bool:
        """The Authorization header is this login (RFC 7617, UTF-8); as slow for a wrong one as for a right one."""
        scheme, _, coded = header.strip().partition(" ")
        try:
            told = base64.b64decode(coded.strip(), validate=True)
        except ValueError:
            return False
        wanted = f"{self.user}:{self.password}".encode()
        return hmac.compare_digest(told, wanted) and scheme.lower() == "basic"
