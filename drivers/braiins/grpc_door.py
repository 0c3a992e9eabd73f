"""The gRPC door of Braiins OS: port 50051 in the clear, the token in the initial metadata of Login."""

from __future__ import annotations

import asyncio
from typing import Any

from grpclib.client import Channel
from grpclib.const import Cardinality, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError
from typing_extensions import override

from drivers._wire.digest import ANSWER_S, CONNECT_S, NotServedError
from drivers._wire.rest import UnauthorizedError
from drivers.braiins import protobuf
from drivers.braiins.doors import Door
from drivers.braiins.schemas import CALLS, EMPTY, Call
from farmctl.errors import MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials
from farmctl.ports.fence import must_be_open

SERVICE = "/braiins.bos.v1."
APPLY_NOW = 3
"""`SAVE_AND_FORCE_APPLY`: saved alone, a target waits for the next restart."""
_UNWELL = frozenset({Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.CANCELLED, Status.ABORTED})


class _Bytes(CodecBase):
    """Messages are made and read by us; grpclib only frames them."""

    __content_subtype__ = "proto"

    @override
    def encode(self, message: bytes, message_type: Any) -> bytes:
        return message

    @override
    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


class GrpcDoor(Door):
    """One channel, kept open; a call that fails closes it, so that the next one starts afresh."""

    def __init__(self, *, host: str, port: int, credentials: Credentials) -> None:
        self.where = f"{host}:{port}"
        self._host = host
        self._port = port
        self._credentials = credentials
        self._channel: Channel | None = None
        self._token = ""
        self._turn = asyncio.Lock()

    @override
    async def prepare(self) -> None:
        await self._renew("")

    @override
    async def read(self, page: str) -> Any:
        call = CALLS.get(page)
        if call is None:
            raise NotServedError(f"{self.where}: gRPC has no {page}")
        return await self._ask(call)

    @override
    async def pause(self) -> None:
        await self._ask(Call(method="ActionsService/PauseMining", reply=EMPTY))

    @override
    async def resume(self) -> None:
        await self._ask(Call(method="ActionsService/ResumeMining", reply=EMPTY))

    @override
    async def set_watts(self, watts: int) -> None:
        target = protobuf.message(2, protobuf.integer(1, watts))
        await self._ask(
            Call(method="PerformanceService/SetPowerTarget", reply=EMPTY), protobuf.integer(1, APPLY_NOW) + target
        )

    @override
    async def set_percent(self, percent: int) -> None:
        raise NotServedError(f"{self.where}: gRPC before 25.07 has no relative power target")

    @override
    async def ramp_quickly(self, *, down_s: int, up_s: int) -> None:
        raise NotServedError(f"{self.where}: gRPC before 25.07 has no quick ramping")

    @override
    async def locate(self, *, on: bool) -> None:
        call = Call(method="ActionsService/SetLocateDeviceStatus", reply=EMPTY)
        await self._ask(call, protobuf.integer(1, int(on)))

    @override
    async def reboot(self) -> None:
        await self._ask(Call(method="ActionsService/Reboot", reply=EMPTY))

    @override
    async def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def _ask(self, call: Call, payload: bytes = b"") -> dict[str, Any]:
        """Reply to one call, with a token that is renewed once; raises as RestDoor does."""
        if not self._token:
            await self.prepare()
        token = self._token
        try:
            return protobuf.decode((await self._call(call.method, payload, token))[0], call.reply)
        except UnauthorizedError:
            pass  # answered below, outside the handler
        await self._renew(token)
        return protobuf.decode((await self._call(call.method, payload, self._token))[0], call.reply)

    async def _renew(self, refused: str) -> None:
        async with self._turn:
            if self._token != refused:
                return
            self._token = ""
            payload = protobuf.text(1, self._credentials.user) + protobuf.text(2, self._credentials.password)
            _, token = await self._call("AuthenticationService/Login", payload, "")
            if not token:
                raise MalformedReplyError(f"{self.where} Login: no authorization in its metadata, expected a token")
            self._token = token

    async def _call(self, method: str, payload: bytes, token: str) -> tuple[bytes, str]:
        """Reply and the `authorization` of its initial metadata."""
        where = f"{self.where} {method}"
        try:
            async with asyncio.timeout(CONNECT_S + ANSWER_S):
                return await self._exchange(method, payload, token)
        except TimeoutError as fault:
            await self.close()
            said = f"{where}: no answer within {CONNECT_S:g} s to connect and {ANSWER_S:g} s to answer"
            raise SilentPeerError(said) from fault
        except GRPCError as fault:
            raise self._named(where, fault) from fault
        except (StreamTerminatedError, OSError) as fault:
            await self.close()
            raise SilentPeerError(f"{where}: {type(fault).__name__}: {fault}") from fault

    async def _exchange(self, method: str, payload: bytes, token: str) -> tuple[bytes, str]:
        if self._channel is None:
            self._channel = Channel(self._host, self._port, codec=_Bytes())
        metadata = {"authorization": token} if token else None
        path = SERVICE + method
        async with self._channel.request(path, Cardinality.UNARY_UNARY, bytes, bytes, metadata=metadata) as stream:
            must_be_open()
            await stream.send_message(payload, end=True)
            reply = await stream.recv_message()
            given = stream.initial_metadata.get("authorization") if stream.initial_metadata else None
        if reply is None:
            raise MalformedReplyError(f"{self.where} {method}: no message, expected one")
        return reply, given if isinstance(given, str) else ""

    def _named(self, where: str, fault: GRPCError) -> Exception:
        said = f"{where}: {fault.status.name} {fault.message!r}"
        if fault.status in {Status.UNAUTHENTICATED, Status.PERMISSION_DENIED}:
            return UnauthorizedError(said)
        if fault.status is Status.UNIMPLEMENTED:
            return NotServedError(said)
        if fault.status in _UNWELL:
            return SilentPeerError(said)
        if fault.status in {Status.UNKNOWN, Status.INTERNAL, Status.DATA_LOSS}:
            return MalformedReplyError(said)
        return RefusedError(said)
