"""The cgminer API on port 4028: one request, one reply with a NUL, then the miner closes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import orjson
from typing_extensions import override

from simulators.fronts.door import IDLE_S, Outcome, is_served, reset, spoil

if TYPE_CHECKING:
    from simulators.miner import SimMiner

MAX_REQUEST = 65_536
INVALID_COMMAND = 14
"""cgminer API-README: code of "Invalid command"."""

INVALID_JSON = 23
"""cgminer API-README: code of "Invalid JSON"."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One command, in JSON or in plain text."""

    command: str
    parameter: str
    body: Row
    peer: str


class Front(Protocol):
    """What answers on port 4028."""

    def answer(self, request: Request) -> bytes:
        """Return the reply as one JSON object, without the NUL."""
        ...


class CgminerDoor(asyncio.Protocol):
    """One connection to port 4028."""

    __slots__ = ("_allow_remote", "_buffer", "_front", "_miner", "_peer", "_timer", "_transport")

    def __init__(self, miner: SimMiner, front: Front, *, allow_remote: bool) -> None:
        self._miner = miner
        self._front = front
        self._allow_remote = allow_remote
        self._buffer = b""
        self._peer = ""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport: nothing to check here
        self._transport = cast("asyncio.Transport", transport)
        self._miner.live.add(self._transport)
        peername = transport.get_extra_info("peername")
        self._peer = peername[0] if peername else ""
        if not is_served(self._peer, allow_remote=self._allow_remote):
            self._transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._miner.live.discard(cast("asyncio.Transport", self._transport))
        self._transport = None
        self._stop_timer()

    @override
    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        self._buffer += data
        request = parse(self._buffer, self._peer)
        if request is None:
            self._wait_for_more(transport)
            return
        self._stop_timer()
        self._buffer = b""
        reply = self._answer(request)
        if self._miner.faults:
            self._carry_out(transport, spoil(self._miner, reply))
        else:
            transport.write(reply + b"\0")
            transport.close()

    def _answer(self, request: Request) -> bytes:
        reply = self._front.answer(request)
        return reply if request.body else as_text(reply)

    def _wait_for_more(self, transport: asyncio.Transport) -> None:
        if len(self._buffer) > MAX_REQUEST:
            transport.abort()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(IDLE_S, self._give_up, transport)

    def _give_up(self, transport: asyncio.Transport) -> None:
        transport.write(failure(INVALID_JSON, "Invalid JSON", "cgminer") + b"\0")
        transport.close()

    def _carry_out(self, transport: asyncio.Transport, outcome: Outcome) -> None:
        if outcome.data is None:
            return
        if outcome.delay_s > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(outcome.delay_s, self._send, transport, outcome)
        else:
            self._send(transport, outcome)

    def _send(self, transport: asyncio.Transport, outcome: Outcome) -> None:
        if outcome.reset:
            reset(transport)
            return
        transport.write((outcome.data or b"") + (b"\0" if outcome.whole else b""))
        transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def parse(data: bytes, peer: str) -> Request | None:
    """Read a request; None when the JSON is not complete yet.

    Whatsminers also take "cmd" and "param" for "command" and "parameter".
    """
    text = data.strip(b"\0\r\n ")
    if not text:
        return None
    if text[:1] != b"{":
        command, _, parameter = text.decode("utf-8", "replace").partition("|")
        return Request(command, parameter, {}, peer)
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    command = body.get("command", body.get("cmd", ""))
    parameter = body.get("parameter", body.get("param", ""))
    return Request(str(command), str(parameter), body, peer)


def status(code: int, msg: str, description: str, letter: str = "S") -> Row:
    """Build the STATUS row of a reply."""
    return {
        "Code": code,
        "Description": description,
        "Msg": msg,
        "STATUS": letter,
        "When": int(time.time()),
    }


def success(code: int, msg: str, description: str, **sections: list[Row]) -> bytes:
    """Encode a reply with its sections."""
    return orjson.dumps({"STATUS": [status(code, msg, description)], **sections, "id": 1})


def failure(code: int, msg: str, description: str) -> bytes:
    """Encode an error reply."""
    return orjson.dumps({"STATUS": [status(code, msg, description, "E")], "id": 1})


def join(front: Front, request: Request) -> bytes:
    """Answer "a+b" with {"a":[reply],"b":[reply],"id":1}."""
    parts = {
        name: [orjson.Fragment(front.answer(Request(name, "", request.body, request.peer)))]
        for name in request.command.split("+")
        if name
    }
    return orjson.dumps({**parts, "id": 1})


def as_text(reply: bytes) -> bytes:
    """Turn a JSON reply into the text form that plain-text requests get."""
    try:
        sections = orjson.loads(reply)
    except orjson.JSONDecodeError:
        return reply
    out = []
    for name, rows in sections.items():
        for row in rows if isinstance(rows, list) else []:
            fields = ",".join(f"{key}={value}" for key, value in row.items())
            out.append(fields if name == "STATUS" else f"{name},{fields}")
    return ("|".join(out) + "|").encode()
