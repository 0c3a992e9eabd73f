"""The md5-crypt password hash ($1$), written from its public description, for Whatsminer tokens."""

from __future__ import annotations

from hashlib import md5 as _md5
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ROUNDS = 1000
SALT_LENGTH = 8
_ORDER = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def md5crypt(word: str, salt: str) -> str:
    """Return the 22 characters that stand in the fourth $ field of a $1$ hash."""
    key, grain = word.encode(), salt[:SALT_LENGTH].encode()
    inner = _digest(key + grain + key)
    mix = _new(key + b"$1$" + grain)
    mix.update((inner * (len(key) // 16 + 1))[: len(key)])
    left = len(key)
    while left:
        mix.update(b"\0" if left & 1 else key[:1])
        left >>= 1
    final = mix.digest()
    for turn in range(ROUNDS):
        final = _turn(turn, key, grain, final)
    return _encode(final)


def _turn(turn: int, key: bytes, grain: bytes, final: bytes) -> bytes:
    head, tail = (key, final) if turn & 1 else (final, key)
    salted = grain if turn % 3 else b""
    again = key if turn % 7 else b""
    return _digest(head + salted + again + tail)


def _encode(final: bytes) -> str:
    out = []
    for a, b, c in _ORDER:
        out.append(_letters(final[a] << 16 | final[b] << 8 | final[c], 4))
    out.append(_letters(final[11], 2))
    return "".join(out)


def _letters(value: int, count: int) -> str:
    out = ""
    for _ in range(count):
        out += ALPHABET[value & 63]
        value >>= 6
    return out


def _new(data: bytes) -> _Hash:
    return _md5(data, usedforsecurity=False)


def _digest(data: bytes) -> bytes:
    return _new(data).digest()
