"""Whatsminer API v2 tokens: who got which, how long they live, and the AES envelope of writes."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulators.fronts.md5crypt import ALPHABET, md5crypt

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN_S = 1800.0
"""Life of a token: 30 min (API manual v2)."""

TOKENS_PER_ADDRESS = 32
MAX_ADDRESSES = 16
BLOCK = 16

TOKEN_ERROR, OVER_MAX, BASE64_ERROR, INVALID_JSON = 135, 136, 137, 23


class TokenError(Exception):
    """A write that is refused before it is looked at; carries the API's code and message."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


@dataclass(frozen=True, slots=True)
class Token:
    """One token as issued; the sign follows from it and the password."""

    time: str
    newsalt: str
    until_s: float
    era: int


class TokenDesk:
    """Issues and checks the tokens of one miner; `clock` gives seconds, `era` voids old tokens."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._salt = _word(8)
        self._issued: dict[str, list[Token]] = {}

    def issue(self, peer: str, era: int) -> dict[str, str]:
        """Give out a token; raises TokenError 136 over 32 per address or 16 addresses."""
        self._forget_old(era)
        tokens = self._issued.setdefault(peer, [])
        if len(tokens) >= TOKENS_PER_ADDRESS or len(self._issued) > MAX_ADDRESSES:
            if not tokens:
                del self._issued[peer]
            raise TokenError(OVER_MAX, "over max connect")
        token = Token(str(1000 + secrets.randbelow(9000)), _word(8), self._clock() + TOKEN_S, era)
        tokens.append(token)
        return {"time": token.time, "salt": self._salt, "newsalt": token.newsalt}

    def open(self, data: str, password: str) -> dict[str, Any]:
        """Decrypt the "data" of a write; raises TokenError 137, 135 or 23."""
        try:
            sealed = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise TokenError(BASE64_ERROR, "base64 decode error") from None
        if not sealed or len(sealed) % BLOCK:
            raise TokenError(TOKEN_ERROR, "check token error")
        cipher = _cipher(self._key(password)).decryptor()
        plain = (cipher.update(sealed) + cipher.finalize()).rstrip(b"\0")
        try:
            command = orjson.loads(plain)
        except orjson.JSONDecodeError:
            raise TokenError(TOKEN_ERROR, "check token error") from None
        if not isinstance(command, dict):
            raise TokenError(INVALID_JSON, "invalid json message")
        return command

    def check(self, sign: str, peer: str, password: str, era: int) -> None:
        """Raise TokenError 135 unless `sign` belongs to a live token of `peer`."""
        self._forget_old(era)
        key = self._key(password)
        for token in self._issued.get(peer, ()):
            if _sign(key, token.time, token.newsalt) == sign:
                return
        raise TokenError(TOKEN_ERROR, "check token error")

    def seal(self, reply: bytes, password: str) -> bytes:
        """Encrypt the answer to a write."""
        cipher = _cipher(self._key(password)).encryptor()
        padded = reply + b"\0" * (-len(reply) % BLOCK)
        sealed = cipher.update(padded) + cipher.finalize()
        return orjson.dumps({"enc": base64.b64encode(sealed).decode()})

    def _key(self, password: str) -> str:
        return _hashed(password, self._salt)

    def _forget_old(self, era: int) -> None:
        now_s = self._clock()
        for peer in list(self._issued):
            live = [t for t in self._issued[peer] if t.until_s > now_s and t.era == era]
            if live:
                self._issued[peer] = live
            else:
                del self._issued[peer]


@lru_cache(maxsize=4096)
def _sign(key: str, time: str, newsalt: str) -> str:
    return md5crypt(key + time, newsalt)


@lru_cache(maxsize=65536)
def _hashed(password: str, salt: str) -> str:
    return md5crypt(password, salt)


def _cipher(key: str) -> Cipher[modes.ECB]:
    return Cipher(
        algorithms.AES(sha256(key.encode()).digest()),
        modes.ECB(),  # noqa: S305 - the vendor's protocol, not a choice of ours
    )


def _word(length: int) -> str:
    return "".join(secrets.choice(ALPHABET[2:]) for _ in range(length))
