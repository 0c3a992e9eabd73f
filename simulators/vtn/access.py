"""OAuth2 client credentials: who may do what, and for how long a token is good (RFC 6749)."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_plus

MOST_CHARS = 4_096


class Role(StrEnum):
    """What a client may do: business logic writes programmes and events, a VEN writes reports and its own objects."""

    BL = "BL"
    VEN = "VEN"


SCOPES = {
    Role.BL: frozenset({"read_all", "write_programs", "write_events", "write_subscriptions", "write_vens"}),
    Role.VEN: frozenset({"read_targets", "read_ven_objects", "write_reports", "write_subscriptions", "write_vens"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One registered client."""

    client_id: str
    secret: str
    role: Role = Role.VEN


class OAuthError(ValueError):
    """A token request that RFC 6749 refuses; `error` is its word for it."""

    def __init__(self, error: str, told: str, status: int = 400) -> None:
        super().__init__(told)
        self.error = error
        self.status = status


def basic(header: str | None) -> dict[str, str]:
    """Client id and secret of an HTTP Basic header, which RFC 6749 2.3.1 lets clients use; nothing without one."""
    scheme, _, coded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}


class Tokens:
    """Tokens that were given out."""

    def __init__(self, clients: tuple[Client, ...], lasts_s: float) -> None:
        self._clients = {client.client_id: client for client in clients}
        self._lasts_s = lasts_s
        self._given: dict[str, tuple[Client, float]] = {}
        self.given = 0

    def grant(self, form: Mapping[str, str]) -> dict[str, str | int]:
        """The answer to a token request.  Raises OAuthError."""
        for name in ("grant_type", "client_id", "client_secret"):
            if not 1 <= len(form.get(name, "")) <= MOST_CHARS:
                raise OAuthError("invalid_request", f"{name}: expected 1 to {MOST_CHARS} characters")
        if form["grant_type"] != "client_credentials":
            raise OAuthError("unsupported_grant_type", "grant_type: expected client_credentials")
        client = self._clients.get(form["client_id"])
        if client is None or not hmac.compare_digest(client.secret.encode(), form["client_secret"].encode()):
            raise OAuthError("invalid_client", "unknown client or wrong secret", 401)
        token = secrets.token_urlsafe(24)
        self._given[token] = (client, time.monotonic() + self._lasts_s)
        self.given += 1
        scope = " ".join(sorted(SCOPES[client.role]))
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self._lasts_s), "scope": scope}

    def client(self, header: str | None) -> Client | None:
        """Who holds the bearer token of an Authorization header; None: nobody we know."""
        scheme, _, token = (header or "").partition(" ")
        client, until_s = self._given.get(token.strip(), (None, 0.0))
        return client if scheme.lower() == "bearer" and time.monotonic() < until_s else None

    def forget(self) -> None:
        """Every token becomes invalid, as after a restart of the authorisation service."""
        self._given.clear()
