"""The TCP listener: TLS, and a token for every person; never one without the other."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from farmctl.control.tokens import TokenBook
from farmctl.errors import AskHumanError


class RemoteError(AskHumanError):
    """The TCP listener cannot be opened as the configuration says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where the API is served beside the Unix socket."""

    host: str
    port: int
    context: ssl.SSLContext
    tokens: TokenBook


def remote(host: str, port: int, cert: Path, key: Path, tokens: TokenBook) -> Remote:
    """Read certificate and key. Raises RemoteError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        message = f"{cert}, {key}: expected a certificate chain and its private key, PEM: {error}"
        raise RemoteError(message) from error
    return Remote(host=host, port=port, context=context, tokens=tokens)
