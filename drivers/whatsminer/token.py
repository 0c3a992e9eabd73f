"""Whatsminer API v2 write envelope: token, key, AES; bytes and codes, no decisions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers._wire.cgminer import parse_reply
from drivers._wire.fields import Status, status, text
from drivers.whatsminer.md5crypt import md5crypt
from farmctl.errors import BackOffError, CredentialError, MalformedReplyError

TOKEN_LIFE_S = 25 * 60.0
"""The firmware's own limit is 30 min (API manual v2); 5 min are for clocks and slow wires."""

OK = 131
PERMISSION_DENIED = 45
STALE_TOKEN = frozenset({23, 135, 136})
"""23: the firmware could not read what it decrypted, so the key is another; 135: no such token; 136: too many."""

TOKEN_TABLE_FULL = 136
BLOCK = 16


class TokenTableFullError(BackOffError):
    """The miner has given out all the tokens it can: 32 per client, 16 clients, 30 minutes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What signs and encrypts the writes of half an hour."""

    sign: str
    key: bytes
    until_s: float
    """On the loop's clock."""


def parse_token(reply: Mapping[str, Any], password: str, *, until_s: float, peer: str) -> Token:
    """Make a token of the answer to get_token.

    Raises TokenTableFullError (code 136), CredentialError (45, writes are switched off), MalformedReplyError.
    """
    msg = reply.get("Msg")
    if not isinstance(msg, dict):
        head = status(reply)
        if head.code == TOKEN_TABLE_FULL:
            raise TokenTableFullError(f"{peer} has no token to give ({head.message}): 32 per client, 30 min each")
        if is_locked(head):
            raise CredentialError(locked(peer, head))
        raise MalformedReplyError(f"{peer} answered get_token with code {head.code} {head.message!r}, expected 134")
    salt, newsalt, time = text(msg.get("salt")), text(msg.get("newsalt")), text(msg.get("time"))
    if not (salt and newsalt and time):
        raise MalformedReplyError(f"{peer} answered get_token without salt, newsalt or time")
    hashed = md5crypt(password, salt)
    return Token(
        sign=md5crypt(hashed + time, newsalt),
        key=sha256(hashed.encode()).digest(),
        until_s=until_s,
    )


def seal(token: Token, command: str, parameters: Mapping[str, str]) -> bytes:
    """Encrypt one write; the inner key is `cmd`, as the vendor's tool sends it."""
    plain = orjson.dumps({"cmd": command, **parameters, "token": token.sign})
    encryptor = _cipher(token.key).encryptor()
    sealed = encryptor.update(plain + b"\0" * (-len(plain) % BLOCK)) + encryptor.finalize()
    return orjson.dumps({"enc": 1, "data": base64.b64encode(sealed).decode()})


def open_reply(token: Token, reply: Mapping[str, Any], peer: str) -> Status:
    """Read the answer to a write, encrypted or plain (refusals of the token come plain)."""
    sealed = reply.get("enc")
    if not isinstance(sealed, str):
        return status(reply)
    try:
        decryptor = _cipher(token.key).decryptor()
        plain = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    except (binascii.Error, ValueError) as fault:
        raise MalformedReplyError(f"{peer} sent an answer that cannot be decrypted: {fault}") from fault
    return status(parse_reply(plain, peer))


def is_locked(head: Status) -> bool:
    """Whether the firmware takes no writes from anybody, or none with this password."""
    message = head.message.lower()
    return (head.code == PERMISSION_DENIED and "join" not in message) or "access" in message


def locked(peer: str, head: Status) -> str:
    """What a person has to do about it."""
    return (
        f"{peer} refuses writes (code {head.code} {head.message!r}): with WhatsMinerTool change the admin password "
        "from the factory's and switch the Miner API on, then give farmctl that password"
    )


def _cipher(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - the vendor's protocol prescribes it
