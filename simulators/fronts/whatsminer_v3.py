"""Whatsminer API v3 on port 4433: length-prefixed JSON, several requests a connection, writes with a token."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from typing_extensions import override

from simulators.faults import Fault
from simulators.fronts.door import is_served, reset, spoil
from simulators.fronts.whatsminer_v3_reads import device_info, fan_setting, setting, status
from simulators.fronts.whatsminer_v3_writes import WRITES, WriteError
from simulators.personality import Quirk

if TYPE_CHECKING:
    from simulators.fronts.door import Outcome
    from simulators.miner import SimMiner

MAX_REQUEST = 65_536
IDLE_S = 300.0
"""The vendor's manual: closed after 300 s without a request."""
MAX_CLIENTS = 10
HEAD_BYTES = 4
FAIL, INVALID_COMMAND, INVALID_ITEM, NO_PERMISSION = -1, -2, -3, -4
"""Codes of the vendor's manual."""
SEALED = frozenset({"set.miner.pools", "set.user.change_passwd"})
ACCOUNTS = frozenset({"super", "user1", "user2", "user3"})


class WhatsminerV3Front:
    """Answers port 4433 of one Whatsminer."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._era = -1
        self._salt = ""
        self.clients = 0

    def answer(self, text: bytes) -> bytes:
        """Answer one request."""
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            return _said(INVALID_ITEM, "invalid json item", "")
        if not isinstance(body, dict):
            return _said(INVALID_ITEM, "invalid json item", "")
        command = str(body.get("cmd", ""))
        if command.startswith("set."):
            return self._write(command, body)
        self._miner.reads[command] += 1
        return self._read(command, body.get("param"))

    def _read(self, command: str, param: object) -> bytes:
        miner = self._miner
        match command:
            case "get.device.info":
                return _reply(command, device_info(miner, self._current_salt(), param))
            case "get.miner.status":
                found = status(miner, param)
                return _said(FAIL, "fail", command) if found is None else _reply(command, found)
            case "get.miner.setting":
                return _reply(command, setting(miner))
            case "get.fan.setting":
                return _reply(command, fan_setting(miner))
            case _:
                return _said(INVALID_COMMAND, "invalid command", command)

    def _current_salt(self) -> str:
        if self._era != self._miner.secrets_void:
            self._era = self._miner.secrets_void
            self._salt = secrets.token_urlsafe(6)
        return self._salt

    def _write(self, command: str, body: dict[str, Any]) -> bytes:
        miner = self._miner
        param = self._opened(command, body)
        miner.note("api3", command, orjson.dumps(param).decode())
        if Fault.UNAUTHORIZED in miner.faults or not self._admits(command, body):
            return _said(NO_PERMISSION, "no permission", command)
        act = WRITES.get(command)
        if act is None or (command == "set.miner.power_percent" and Quirk.NO_PERCENT in miner.quirks):
            return _said(INVALID_COMMAND, "invalid command", command)
        if Fault.REFUSES in miner.faults:
            return _said(FAIL, "fail", command)
        try:
            if not miner.is_deaf:
                act(miner, param)
        except WriteError as error:
            return _said(error.code, str(error), command)
        return _said(0, "ok", command)

    def _opened(self, command: str, body: dict[str, Any]) -> object:
        """A sealed parameter as it was before; one in the clear as it is: whoever sends it changes pools too."""
        param = body.get("param")
        if command not in SEALED or not isinstance(param, str):
            return param
        key = sha256(self._proof(command, body).encode()).digest()
        opening = Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305 - the device's protocol
        try:
            padded = opening.update(base64.b64decode(param, validate=True)) + opening.finalize()
            inner = orjson.loads(padded[: -padded[-1]])
            return orjson.loads(inner) if isinstance(inner, str) else inner
        except (ValueError, IndexError):
            return None

    def _proof(self, command: str, body: dict[str, Any]) -> str:
        return f"{command}{self._miner.settings.api_password}{self._current_salt()}{body.get('ts')}"

    def _admits(self, command: str, body: dict[str, Any]) -> bool:
        expected = base64.b64encode(sha256(self._proof(command, body).encode()).digest()).decode()[:8]
        return body.get("account") in ACCOUNTS and secrets.compare_digest(str(body.get("token", "")), expected)


class FramedDoor(asyncio.Protocol):
    """One connection to port 4433; requests are answered in order."""

    __slots__ = ("_allow_remote", "_buffer", "_front", "_is_in", "_miner", "_timer", "_transport")

    def __init__(self, miner: SimMiner, front: WhatsminerV3Front, *, allow_remote: bool) -> None:
        self._miner = miner
        self._front = front
        self._allow_remote = allow_remote
        self._buffer = b""
        self._is_in = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport: nothing to check here
        self._transport = cast("asyncio.Transport", transport)
        self._miner.live.add(self._transport)
        peername = transport.get_extra_info("peername")
        served = is_served(peername[0] if peername else "", allow_remote=self._allow_remote)
        if not served or self._front.clients >= MAX_CLIENTS:
            self._transport.abort()
            return
        self._is_in = True
        self._front.clients += 1
        self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._transport.close)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._miner.live.discard(cast("asyncio.Transport", self._transport))
        self._transport = None
        self._front.clients -= self._is_in
        self._stop_timer()

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._transport is not None and len(self._buffer) >= HEAD_BYTES:
            length = int.from_bytes(self._buffer[:HEAD_BYTES], "little")
            if length > MAX_REQUEST:
                self._transport.abort()
                return
            if len(self._buffer) < HEAD_BYTES + length:
                return
            request = self._buffer[HEAD_BYTES : HEAD_BYTES + length]
            self._buffer = self._buffer[HEAD_BYTES + length :]
            if not length:  # the heartbeat of the manual: four zero bytes, echoed
                self._transport.write(bytes(HEAD_BYTES))
                continue
            self._carry_out(spoil(self._miner, self._front.answer(request)))

    def _carry_out(self, outcome: Outcome) -> None:
        if outcome.data is None:
            return
        if outcome.delay_s > 0:
            self._stop_timer()
            self._timer = asyncio.get_running_loop().call_later(outcome.delay_s, self._send, outcome)
        else:
            self._send(outcome)

    def _send(self, outcome: Outcome) -> None:
        transport, data = self._transport, outcome.data or b""
        if transport is None:
            return
        if outcome.reset:
            reset(transport)
            return
        length = len(data) if outcome.whole else len(data) * 2 + 1
        transport.write(length.to_bytes(HEAD_BYTES, "little") + data)
        if not outcome.whole:
            transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _reply(command: str, msg: object) -> bytes:
    return orjson.dumps({"code": 0, "when": int(time.time()), "msg": msg, "desc": command})


def _said(code: int, msg: str, command: str) -> bytes:
    return orjson.dumps({"code": code, "when": int(time.time()), "msg": msg, "desc": command})
