"""The md5-based crypt(3) of 1994 (`$1$`), which Whatsminer tokens are made with; no safe password hash."""

from __future__ import annotations

from hashlib import md5

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SALT_LENGTH = 8
ROUNDS = 1000

_GROUPS = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
"""Bytes of the digest that are written together, 24 bits as four letters."""


def md5crypt(password: str, salt: str) -> str:
    """Return the digest part, the 22 letters after the third `$`, of the password's `$1$salt$` hash.

    Like crypt(3), it takes the first 8 letters of the salt, up to a `$`.
    """
    key, seed = password.encode(), salt.partition("$")[0][:SALT_LENGTH].encode()
    digest = _start(key, seed)
    for turn in range(ROUNDS):
        mixed = key if turn % 2 else digest
        mixed += (seed if turn % 3 else b"") + (key if turn % 7 else b"")
        mixed += digest if turn % 2 else key
        digest = _md5(mixed)
    letters = [_letters(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _GROUPS]
    return "".join(letters) + _letters(digest[11], 2)


def _start(key: bytes, seed: bytes) -> bytes:
    filler = _md5(key + seed + key)
    start = key + b"$1$" + seed + (filler * (len(key) // 16 + 1))[: len(key)]
    bits = len(key)
    while bits:
        start += b"\0" if bits & 1 else key[:1]
        bits >>= 1
    return _md5(start)


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()


def _letters(value: int, count: int) -> str:
    return "".join(ALPHABET[value >> 6 * place & 63] for place in range(count))
