"""The shape of a public key in the file; whether it signs anything is the signal source's business."""

from __future__ import annotations

import base64
import binascii

ED25519_BYTES = 32


def check_ed25519(text: str) -> str:
    """Return the text where it is 32 bytes in base64; raises ValueError where not."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != ED25519_BYTES:
        raise ValueError(f"expected an Ed25519 public key: {ED25519_BYTES} bytes in base64")
    return text
