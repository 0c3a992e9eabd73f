"""Recorded devices without sockets: every exchange of a driver is answered from a recording, whole or broken."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from benchmarks._mutate import broken, dumped, torn
from drivers._wire import cgminer
from drivers._wire.cgminer import parse_reply
from drivers._wire.digest import DigestClient, NotServedError
from drivers._wire.framed import Framed
from drivers._wire.rest import Request, RestClient
from drivers.braiins import protobuf
from drivers.braiins.grpc_door import GrpcDoor
from farmctl.errors import MalformedReplyError, SilentPeerError

WHOLE, TORN = 0.35, 0.65
"""Below the first a reply is whole, above the second its bytes are damaged, between them its JSON has other content."""


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What is answered, by transport; mutable: one object serves a whole run."""

    api: Mapping[str, Any]
    pages: Mapping[str, Any]
    framed: Mapping[str, Any]
    joins: bool
    dice: Random
    breaks: bool = True
    has_rest: bool = True

    def say(self, value: Any) -> bytes:
        """One reply, perhaps broken."""
        luck = self.dice.random() if self.breaks else 0.0
        if luck < WHOLE:
            return dumped(value)
        if luck < TORN:
            return dumped(broken(value, self.dice))
        return torn(dumped(value), self.dice)

    def command(self, payload: bytes) -> bytes:
        """Port 4028."""
        asked = orjson.loads(payload)
        name = str(asked.get("command", ""))
        if "+" in name and self.joins:
            return self.say({part: [self.api.get(part, {})] for part in name.split("+")})
        if not self.api:
            raise SilentPeerError("nobody there") from ConnectionRefusedError()
        head = {"STATUS": [{"STATUS": "S", "Code": 131, "Msg": "x"}], "id": 1}
        return self.say(self.api.get(name, {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "?"}]} if name else head))

    def page(self, method: str, path: str, payload: object) -> bytes:
        """A web page."""
        found = self.pages.get(f"{method} {path}")
        if found is None and method == "GET":
            raise NotServedError(path)
        return self.say(found if found is not None else payload if payload is not None else {"result": True})


@contextlib.contextmanager
def instead_of_sockets(recorded: Recorded) -> Iterator[None]:
    """While it lasts every exchange of a driver of this process is answered by the recording."""
    places = _places(recorded)
    before = [getattr(place, name) for place, name, _ in places]
    for place, name, function in places:
        setattr(place, name, function)
    try:
        yield
    finally:
        for (place, name, _), function in zip(places, before, strict=True):
            setattr(place, name, function)


def _places(recorded: Recorded) -> list[tuple[object, str, Callable[..., Any]]]:
    """Where the drivers meet the network: owner, name, and what stands there instead."""

    async def exchange(_host: str, _port: int, payload: bytes, *_rest: object) -> bytes:
        return recorded.command(payload)

    async def fetch(_self: RestClient, request: Request, _headers: object = None) -> bytes:
        if not recorded.has_rest and request.path.startswith("/api/v1/"):
            raise NotServedError(request.path)
        return recorded.page(request.method, request.path, request.payload)

    async def digest(_self: DigestClient, method: str, path: str, body: bytes | None, **_deadlines: float) -> bytes:
        return recorded.page(method, path, body and orjson.loads(body))

    async def entered(self: Framed) -> Framed:
        return self

    async def framed(self: Framed, text: bytes) -> dict[str, Any]:
        asked = orjson.loads(text)
        found = recorded.framed.get(f"{asked['cmd']}:{asked.get('param', '')}", recorded.framed.get(asked["cmd"]))
        raw = recorded.say({"code": 0, "msg": "ok"} if found is None else found)
        reply = parse_reply(raw, self.peer)
        if type(reply) is dict:
            return reply
        raise MalformedReplyError(self.peer)

    async def called(_self: GrpcDoor, method: str, _payload: bytes, _token: str) -> tuple[bytes, str]:
        if "POST /graphql" in recorded.pages:
            raise SilentPeerError("nobody there") from ConnectionRefusedError()
        raw = recorded.pages.get(f"GRPC {method.rpartition('/')[2]}", b"")
        is_whole = not recorded.breaks or recorded.dice.random() < WHOLE
        return raw if is_whole else torn(raw, recorded.dice), "token"

    return [
        (cgminer, "exchange", exchange),
        (RestClient, "fetch", fetch),
        (DigestClient, "_ask", digest),
        (Framed, "__aenter__", entered),
        (Framed, "ask", framed),
        (GrpcDoor, "_call", called),
    ]


def grpc_bytes(reply: Mapping[str, Any], schema: protobuf.Schema) -> bytes:
    """A REST reply in the bytes of gRPC, as far as the schema has its fields."""
    out = b""
    for number, field in schema.items():
        values = reply.get(field.name)
        for value in values if isinstance(values, list) else [values]:
            out += _field(number, field, value)
    return out


def _field(number: int, field: protobuf.Field, value: Any) -> bytes:
    if isinstance(field.kind, Mapping):
        return protobuf.message(number, grpc_bytes(value, field.kind)) if isinstance(value, dict) else b""
    if field.kind == "text" and isinstance(value, str):
        return protobuf.text(number, value)
    if field.kind in ("int", "bool") and isinstance(value, int) and value >= 0:
        return protobuf.integer(number, int(value))
    return b""
