"""Braiins OS on port 50051: gRPC in the clear over HTTP/2, the token in the initial metadata of Login."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from typing_extensions import override

from simulators.faults import Fault
from simulators.fronts import braiins_proto as proto
from simulators.fronts import braiins_reads as reads
from simulators.fronts.braiins import TOKEN_LIFE_S, follow, resume
from simulators.fronts.door import Outcome, is_gone, is_served, reset, spoil
from simulators.fronts.tokens import TokenBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

OK, INVALID, UNIMPLEMENTED, UNAUTHENTICATED, FAILED = 0, 3, 12, 16, 9
"""gRPC status codes."""
PACKAGE = "/braiins.bos.v1."


class GrpcRefusal(Exception):  # noqa: N818 - an answer, not a fault of ours
    """A status that is not OK."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GrpcFront:
    """Answers calls; all connections of a miner share one, for its tokens."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        self._tokens = TokenBook(miner, TOKEN_LIFE_S)

    def answer(self, path: str, payload: bytes, token: str) -> tuple[bytes, str]:
        """Message and token for the initial metadata; raises GrpcRefusal."""
        method = path.removeprefix(PACKAGE)
        request = proto.fields(payload)
        if method == "AuthenticationService/Login":
            return self._log_in(request)
        if not self._tokens.admits(token):
            raise GrpcRefusal(UNAUTHENTICATED, "unauthenticated")
        found = READS.get(method)
        if found is not None:
            self._miner.reads[method] += 1
            shape, read = found
            return proto.encode(read(self._miner), shape), ""
        self._miner.note("grpc", method, payload.hex())
        if Fault.REFUSES in self._miner.faults:
            raise GrpcRefusal(FAILED, "refused")
        return self._act(method, request), ""

    def _log_in(self, request: dict[int, int | bytes]) -> tuple[bytes, str]:
        kept = self._miner.settings
        good = (request.get(1), request.get(2)) == (kept.web_user.encode(), kept.web_password.encode())
        if not good or Fault.UNAUTHORIZED in self._miner.faults:
            raise GrpcRefusal(UNAUTHENTICATED, "wrong user or password")
        token = self._tokens.give()
        return proto.encode({"token": token, "timeout_s": round(TOKEN_LIFE_S)}, proto.LOGIN), token

    def _act(self, method: str, request: dict[int, int | bytes]) -> bytes:
        miner = self._miner
        match method:
            case "ActionsService/PauseMining":
                was = miner.is_asleep
                miner.sleep()
                return proto.encode({"flag": was}, proto.FLAG)
            case "ActionsService/ResumeMining":
                was = miner.is_asleep
                resume(miner)
                return proto.encode({"flag": not was}, proto.FLAG)
            case "ActionsService/Reboot" | "ActionsService/Restart":
                if not miner.is_deaf:
                    miner.reboot()
                return b""
            case "ActionsService/SetLocateDeviceStatus":
                miner.led = "blink" if request.get(1) else "auto"
                return proto.encode({"flag": request.get(1)}, proto.FLAG)
            case "PerformanceService/SetPowerTarget":
                return self._target(request.get(2))
            case _:
                raise GrpcRefusal(UNIMPLEMENTED, f"unknown method {method}")

    def _target(self, power: int | bytes | None) -> bytes:
        watts = proto.fields(power).get(1) if isinstance(power, bytes) else None
        if not isinstance(watts, int) or not follow(self._miner, watts):
            raise GrpcRefusal(INVALID, f"power target {watts!r} is out of range")
        return proto.encode({"power_target": {"watt": watts}}, proto.TARGET)


class GrpcDoor(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self, miner: SimMiner, front: GrpcFront, *, allow_remote: bool) -> None:
        self._miner = miner
        self._front = front
        self._allow_remote = allow_remote
        self._h2 = H2Connection(config=H2Configuration(client_side=False, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._headers: dict[int, dict[str, str]] = {}
        self._bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self._timers: set[asyncio.TimerHandle] = set()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport: nothing to check here
        self._transport = cast("asyncio.Transport", transport)
        self._miner.live.add(self._transport)
        peername = transport.get_extra_info("peername")
        if not is_served(peername[0] if peername else "", allow_remote=self._allow_remote):
            self._transport.abort()
            return
        self._h2.initiate_connection()
        self._flush()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._miner.live.discard(cast("asyncio.Transport", self._transport))
        self._transport = None
        for timer in self._timers:
            timer.cancel()

    @override
    def data_received(self, data: bytes) -> None:
        if is_gone(self._miner) and self._transport is not None:
            self._transport.abort()
            return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()
            if self._transport is not None:
                self._transport.close()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                self._headers[event.stream_id] = {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, DataReceived):
                self._bodies[event.stream_id] += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._answer(event.stream_id)
            elif isinstance(event, StreamReset):
                self._forget(event.stream_id)
        self._flush()

    def _answer(self, stream: int) -> None:
        headers, body = self._forget(stream)
        try:
            message, token = self._front.answer(headers.get(":path", ""), body[5:], headers.get("authorization", ""))
        except (GrpcRefusal, ValueError) as refusal:
            status = refusal.status if isinstance(refusal, GrpcRefusal) else INVALID
            self._carry_out(stream, Outcome(b""), (), (("grpc-status", str(status)), ("grpc-message", str(refusal))))
            return
        outcome = spoil(self._miner, message) if self._miner.faults else Outcome(message)
        metadata = (("authorization", token),) if token else ()
        self._carry_out(stream, outcome, metadata, (("grpc-status", str(OK)),))

    def _carry_out(
        self,
        stream: int,
        outcome: Outcome,
        metadata: tuple[tuple[str, str], ...],
        trailers: tuple[tuple[str, str], ...],
    ) -> None:
        if outcome.data is None or self._transport is None:
            return
        if outcome.reset:
            reset(self._transport)
        elif outcome.delay_s > 0:
            loop = asyncio.get_running_loop()
            self._timers.add(loop.call_later(outcome.delay_s, self._send, stream, outcome, metadata, trailers))
        else:
            self._send(stream, outcome, metadata, trailers)

    def _send(
        self,
        stream: int,
        outcome: Outcome,
        metadata: tuple[tuple[str, str], ...],
        trailers: tuple[tuple[str, str], ...],
    ) -> None:
        message = outcome.data or b""
        head = [(":status", "200"), ("content-type", "application/grpc+proto"), *metadata]
        try:
            if trailers[0][1] != str(OK):
                self._h2.send_headers(stream, [*head, *trailers], end_stream=True)
            else:
                self._h2.send_headers(stream, head)
                self._h2.send_data(stream, b"\0" + struct.pack(">I", len(message)) + message)
                self._h2.send_headers(stream, list(trailers), end_stream=True)
        except ProtocolError:
            return  # the caller gave this stream up
        self._flush()

    def _forget(self, stream: int) -> tuple[dict[str, str], bytes]:
        return self._headers.pop(stream, {}), self._bodies.pop(stream, b"")

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)


def _tuner(miner: SimMiner) -> dict[str, Any]:
    state = reads.tuner_state(miner)
    return {"overall_tuner_state": state["overall_tuner_state"], **state["mode_state"]}


def _mode(miner: SimMiner) -> dict[str, Any]:
    return {"tuner_mode": {"power_target": {"power_target": {"watt": miner.limit_w}}}}


def _pools(miner: SimMiner) -> dict[str, Any]:
    return {"pool_groups": [{**group, "quota": {"value": 1}} for group in reads.pools(miner)]}


READS: dict[str, tuple[proto.Shape, Callable[[SimMiner], dict[str, Any]]]] = {
    "MinerService/GetMinerDetails": (proto.DETAILS, reads.details),
    "MinerService/GetMinerStats": (proto.STATS, reads.stats),
    "MinerService/GetHashboards": (proto.HASHBOARDS, reads.hashboards),
    "MinerService/GetErrors": ({}, lambda _miner: {}),
    "CoolingService/GetCoolingState": (proto.COOLING, reads.cooling),
    "PerformanceService/GetActivePerformanceMode": (proto.MODE, _mode),
    "PerformanceService/GetTunerState": (proto.TUNER, _tuner),
    "PerformanceService/ListTargetProfiles": (proto.PROFILES, reads.target_profiles),
    "ConfigurationService/GetConstraints": (proto.CONSTRAINTS, reads.constraints),
    "ConfigurationService/GetMinerConfiguration": ({}, lambda _miner: {}),
    "PoolService/GetPoolGroups": (proto.POOLS, _pools),
    "ActionsService/GetLocateDeviceStatus": (proto.FLAG, lambda miner: {"flag": miner.led == "blink"}),
}
