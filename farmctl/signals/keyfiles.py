"""Ed25519 keys on disk (PEM, mode 0600), and the signed message that announces and revokes them."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from farmctl.errors import ConfigError, RefusedError
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import sign

SUFFIX = ".pem"
OWNER_ONLY = 0o600
KID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """One private key; its `kid` is the name of its file."""

    kid: str
    file: Path
    public_key: str
    """Raw public key, base64: what a configuration pins."""
    private: bool
    """Nobody but its owner may read the file."""


def new_key(folder: Path, kid: str) -> KeyFile:
    """Make a key; an existing file is never touched.  Raises RefusedError, ConfigError."""
    if KID.fullmatch(kid) is None:
        raise RefusedError(f"{kid!r}: expected a key id of 1 to 64 letters, digits, dots, dashes and underscores")
    file = folder / f"{kid}{SUFFIX}"
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        raise RefusedError(f"{file}: is there already; a key is never overwritten") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as out:
        os.fchmod(descriptor, OWNER_ONLY)  # whatever the umask says
        out.write(pem)
    return _described(file, key)


def keys_in(folder: Path) -> tuple[KeyFile, ...]:
    """Every Ed25519 key in a folder, by kid; other PEM files are left alone."""
    found = []
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            found.append(_described(file, _read(file)))
        except ConfigError:
            continue
    return tuple(found)


def key_in(file: Path) -> KeyFile:
    """One key file.  Raises ConfigError."""
    return _described(file, _read(file))


def seed_in(file: Path) -> bytes:
    """The 32 secret bytes.  Raises ConfigError naming the file, never its content."""
    return _read(file).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def keys_message(
    *,
    topic: str,
    issuer: str,
    by: KeyFile,
    announce: Iterable[KeyFile],
    revoke: Sequence[str],
    issued_ms: int,
) -> dict[str, object]:
    """What is retained on `keys`, signed by a key that the sites trust: an older one, or the offline root."""
    body: dict[str, object] = {
        "v": 1,
        "issuer": issuer,
        "kid": by.kid,
        "issuedAt": rfc3339(issued_ms // 1000 * 1000),
        "keys": [{"kid": key.kid, "publicKey": key.public_key} for key in announce],
        "revoked": list(revoke),
    }
    return {**body, "sig": sign(seed_in(by.file), topic, body)}


def _read(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{file}: expected an Ed25519 private key in PEM without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file}: expected an Ed25519 private key in PEM, got another kind of key")
    return key


def _described(file: Path, key: Ed25519PrivateKey) -> KeyFile:
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    mode = stat.S_IMODE(file.stat().st_mode)
    return KeyFile(kid=file.name.removesuffix(SUFFIX), file=file, public_key=public, private=not mode & ~OWNER_ONLY)
