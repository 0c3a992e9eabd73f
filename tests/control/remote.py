"""A TCP listener for tests: a certificate that is its own authority, a token book, and a client that trusts it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from farmctl.control import tokens
from farmctl.control.client import ControlClient, Where
from farmctl.control.remote import Remote, remote
from farmctl.control.tokens import TokenBook

LIFE_MS = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Everything that both sides need."""

    remote: Remote
    ca_file: Path
    file: Path
    """Of the tokens."""
    now_ms: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.remote.port}"

    def token(self, name: str, role: str, life_ms: int = LIFE_MS) -> str:
        text, kept = tokens.make(
            name, role, self.now_ms, self.now_ms + life_ms, made_by="test", reason="a story"
        )  # fmt: skip
        tokens.write(self.file, (*tokens.read(self.file), kept))
        return text

    def revoke(self, name: str) -> None:
        tokens.write(self.file, tokens.revoked(tokens.read(self.file), name, self.now_ms, "stolen"))

    def client(self, token: str) -> ControlClient:
        return ControlClient(Where(url=self.url, ca_file=str(self.ca_file), token=token), timeout_s=20)


def listener(folder: Path, now_ms: int) -> Listener:
    cert, key = _certificate(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    file = folder / tokens.FILE
    return Listener(
        remote=remote("127.0.0.1", port, cert, key, TokenBook(file)), ca_file=cert, file=file, now_ms=now_ms
    )


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site-07")])
    now = dt.datetime.now(dt.UTC)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(loopback, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return cert_file, key_file
