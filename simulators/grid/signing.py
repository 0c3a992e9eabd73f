"""Canonical JSON, snapshot hashes and the one place where a message gets its signature."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Payload = dict[str, Any]
"""A JSON object on its way out."""


class Signer:
    """An Ed25519 key and the id it is known by."""

    def __init__(self, *, key: Ed25519PrivateKey, kid: str) -> None:
        self.kid = kid
        self._key = key

    @classmethod
    def from_seed(cls, seed: bytes, *, kid: str) -> Signer:
        """Key from its 32 secret bytes; raises ValueError for another length."""
        return cls(key=Ed25519PrivateKey.from_private_bytes(seed), kid=kid)

    @property
    def public_key(self) -> str:
        """Raw public key, base64."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode("ascii")

    def sign(self, topic: str, unsigned: Payload) -> str:
        """Signature over topic, a zero byte and the canonical payload, base64."""
        message = topic.encode("utf-8") + b"\x00" + canonical(unsigned)
        return base64.b64encode(self._key.sign(message)).decode("ascii")


def canonical(payload: Payload) -> bytes:
    """RFC 8785 form; raises rfc8785.CanonicalizationError for NaN, infinities and integers above 2^53-1."""
    return rfc8785.dumps(payload)


def snapshot_hash(snapshot: Payload) -> str:
    """SHA-256 in hex over the canonical snapshot without its signature."""
    unsigned = {key: value for key, value in snapshot.items() if key != "sig"}
    return hashlib.sha256(canonical(unsigned)).hexdigest()


def seal(topic: str, unsigned: Payload, signer: Signer | None) -> Payload:
    """Payload with its `sig`: inside `object.x-farmctl` of a notification, at the top of everything else.

    Without a signer it is returned as it is: the unsigned mode that sites accept on loopback only.
    """
    if signer is None:
        return unsigned
    sig = signer.sign(topic, unsigned)
    if "object" not in unsigned:
        return {**unsigned, "sig": sig}
    inner = unsigned["object"]
    return {**unsigned, "object": {**inner, "x-farmctl": {**inner["x-farmctl"], "sig": sig}}}
