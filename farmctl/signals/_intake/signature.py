"""Ed25519 over the topic, a zero byte and the canonical JSON of the payload (SIGNALS section 8)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES = 64


def canonical(payload: Any) -> bytes:
    """RFC 8785 canonical JSON.  Raises ValueError for what has none."""
    try:
        return rfc8785.dumps(payload)
    except rfc8785.CanonicalizationError as fault:
        raise ValueError(f"no canonical form: {fault}") from fault


def signed_bytes(topic: str, unsigned: Any) -> bytes:
    """What a signature covers: the canonical topic, 0x00, the canonical payload without its `sig`."""
    return topic.encode() + b"\x00" + canonical(unsigned)


def is_genuine(public_key: bytes, signature: object, topic: str, unsigned: Any) -> bool:
    """Whether the base64 signature is by that key over that topic and payload; never raises."""
    if not isinstance(signature, str):
        return False
    try:
        octets = base64.b64decode(signature, validate=True)
        if len(octets) != SIGNATURE_BYTES:
            return False
        Ed25519PublicKey.from_public_bytes(public_key).verify(octets, signed_bytes(topic, unsigned))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def sign(seed: bytes, topic: str, unsigned: Any) -> str:
    """The base64 signature of a payload by the key of a 32-byte seed."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return base64.b64encode(key.sign(signed_bytes(topic, unsigned))).decode()


def public_of(seed: bytes) -> bytes:
    """The raw public key of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def digest(payload: Any) -> str:
    """SHA-256, hex, of the canonical payload."""
    return hashlib.sha256(canonical(payload)).hexdigest()
