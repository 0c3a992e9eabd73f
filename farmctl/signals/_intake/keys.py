"""Public keys of an issuer by `kid`: validity, revocation, and the message that rotates them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from farmctl.signals._intake.duration import time_ms_of

PUBLIC_KEY_BYTES = 32
MOST_KEYS = 16
FOREVER_MS = 2**53 - 1
ROOT_KID = "root"
"""`kid` of the offline key, which signs nothing but keys messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKey:
    """One Ed25519 public key and when it may be believed: [not_before, not_after)."""

    public: bytes
    not_before_ms: int = 0
    not_after_ms: int = FOREVER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys of one issuer; revoked ones never come back."""

    keys: Mapping[str, IssuerKey] = field(default_factory=lambda: MappingProxyType({}))
    revoked: frozenset[str] = frozenset()
    announced_ms: int = 0
    """`issuedAt` of the last rotation message; an older one is a replay."""
    root: bytes = b""
    """Public offline key that may announce and revoke; it cannot be revoked itself. Empty: there is none."""

    def usable(self, kid: object, now_ms: int) -> IssuerKey | None:
        """The key of that name if it is known, not revoked and valid now."""
        if not isinstance(kid, str) or kid in self.revoked:
            return None
        key = self.keys.get(kid)
        return key if key is not None and key.not_before_ms <= now_ms < key.not_after_ms else None

    def with_root(self) -> Keyring:
        """The keys that may sign a keys message: every usable one, and the offline root."""
        if not self.root:
            return self
        keys = {**self.keys, ROOT_KID: IssuerKey(public=self.root)}
        return replace(self, keys=keys, revoked=self.revoked - {ROOT_KID})


def _public_key(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("expected base64 text")  # noqa: TRY004 - pydantic turns a ValueError into its own
    try:
        octets = base64.b64decode(text, validate=True)
    except binascii.Error as fault:
        raise ValueError("expected base64 text") from fault
    if len(octets) != PUBLIC_KEY_BYTES:
        raise ValueError(f"expected {PUBLIC_KEY_BYTES} bytes")
    return octets


Kid = Annotated[str, Field(min_length=1, max_length=64)]
Time = Annotated[
    int, BeforeValidator(time_ms_of), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]


class Announced(BaseModel):
    """One new key as a keys message announces it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)
    kid: Kid
    public: Annotated[
        bytes,
        BeforeValidator(_public_key),
        WithJsonSchema({"type": "string", "description": "Ed25519 public key, 32 bytes, base64"}),
    ] = Field(alias="publicKey")
    not_before: Time = Field(default=0, alias="notBefore")
    not_after: Time = Field(default=FOREVER_MS, alias="notAfter")


class KeysMessage(BaseModel):
    """What is retained on `keys`: new keys and revoked ones, signed by an older valid key."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)
    v: int
    issuer: str
    kid: Kid
    issued_at: Time = Field(alias="issuedAt")
    keys: list[Announced] = Field(default_factory=list, max_length=MOST_KEYS)
    revoked: list[Kid] = Field(default_factory=list, max_length=256)


def rotated(ring: Keyring, message: KeysMessage) -> Keyring:
    """The keyring after a rotation message.

    A key that is already known keeps its bytes and dates, so a pinned key cannot be replaced under its own name.
    """
    fresh = {
        k.kid: IssuerKey(public=k.public, not_before_ms=k.not_before, not_after_ms=k.not_after)
        for k in message.keys
        if k.kid != ROOT_KID
    }
    revoked = ring.revoked | frozenset(message.revoked)
    kept = {kid: key for kid, key in {**fresh, **ring.keys}.items() if kid not in revoked}
    return replace(ring, keys=kept, revoked=revoked, announced_ms=message.issued_at)


def to_bytes(ring: Keyring) -> bytes:
    """The keyring as it is stored."""
    body = {
        "v": 1,
        "announcedMs": ring.announced_ms,
        "revoked": sorted(ring.revoked),
        "keys": {kid: [key.public.hex(), key.not_before_ms, key.not_after_ms] for kid, key in ring.keys.items()},
    }
    return json.dumps(body, separators=(",", ":")).encode()


def from_bytes(pinned: Keyring, stored: bytes | None) -> Keyring:
    """The pinned keys of the configuration together with what was announced and revoked since.

    Rubbish in the store leaves the pinned keys alone.
    """
    if stored is None:
        return pinned
    try:
        body: dict[str, Any] = json.loads(stored)
        revoked = frozenset(str(kid) for kid in body["revoked"])
        learned = {
            str(kid): IssuerKey(public=bytes.fromhex(public), not_before_ms=int(since), not_after_ms=int(until))
            for kid, (public, since, until) in body["keys"].items()
        }
        announced = int(body["announcedMs"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return pinned
    kept = {kid: key for kid, key in {**learned, **pinned.keys}.items() if kid not in revoked}
    return Keyring(keys=kept, revoked=revoked | pinned.revoked, announced_ms=announced, root=pinned.root)
