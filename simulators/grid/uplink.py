"""What the grid hears from a site: acks, telemetry and state, with the time of their arrival."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

TERMINAL = frozenset(
    {"REJECTED", "EXPIRED", "CANCELLED", "SUPERSEDED", "OPTED_OUT", "FAILED", "COMPLETED"},
)
FAILSAFE_MODES = frozenset({"INIT_FAILSAFE", "FAILSAFE"})
KEPT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """One state change of an event; times are seconds that never jump."""

    received_s: float
    event_id: str
    state: str
    code: int
    reason: str
    epoch: int
    seq: int
    msg_id: str
    target_kw: float | None
    measured_kw: float | None
    shortfall_kw: float | None
    meter_quality: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """One sample of the site."""

    received_s: float
    ts: str
    kw: float | None
    """None where the site has no number to give."""
    quality: str
    mode: str
    setpoint_kw: float | None
    limit_kw: float | None
    event_id: str | None


class Uplink:
    """Memory of everything one site has published."""

    def __init__(self) -> None:
        self.acks: list[Ack] = []
        self.telemetry: deque[Telemetry] = deque(maxlen=KEPT)
        self.modes: list[tuple[float, str]] = []
        self.unreadable: list[tuple[str, str]] = []
        """(topic, why) of what could not be understood."""
        self.raw: dict[str, str] = {}
        """Latest text per channel: state, capability, status, report and so on."""
        self._news = asyncio.Event()

    def take(self, channel: str, payload: bytes, received_s: float) -> None:
        """Store one message; what cannot be read is noted, never raised."""
        try:
            text = payload.decode("utf-8")
            self.raw[channel] = text
            if channel in {"ack", "telemetry", "state"}:
                body = json.loads(text)
                if not isinstance(body, dict):
                    raise TypeError(f"expected a JSON object, got {type(body).__name__}")  # noqa: TRY301 - one exit
                self._file(channel, body, text, received_s)
        except (ValueError, KeyError, TypeError) as error:
            self.unreadable.append((channel, repr(error)))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def states(self, wire_ids: Collection[str], *, since_seq: int = 0) -> tuple[str, ...]:
        """States of an event in the order they came, repeats of the same state left out."""
        return tuple(ack.state for ack in _changes(self._of(wire_ids, since_seq)))

    def first(self, wire_ids: Collection[str], states: Collection[str], *, since_seq: int = 0) -> Ack | None:
        """Earliest ack of these events in one of these states."""
        return next((ack for ack in self._of(wire_ids, since_seq) if ack.state in states), None)

    async def wait_for(self, wire_ids: Collection[str], states: Collection[str], *, within_s: float) -> Ack:
        """Wait for such an ack; raises TimeoutError naming what came instead."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if (ack := self.first(wire_ids, states)) is not None:
                        return ack
                    await self._news.wait()
        except TimeoutError as error:
            seen = self.states(wire_ids)
            raise TimeoutError(f"{sorted(wire_ids)}: expected one of {sorted(states)}, saw {seen}") from error

    def _of(self, wire_ids: Collection[str], since_seq: int) -> Iterable[Ack]:
        return (ack for ack in self.acks if ack.event_id in wire_ids and ack.seq >= since_seq)

    def _file(self, channel: str, body: dict[str, Any], text: str, received_s: float) -> None:
        match channel:
            case "ack":
                self.acks.append(_ack(body, text, received_s))
            case "telemetry":
                self.telemetry.append(_telemetry(body, received_s))
            case _:
                self.modes.append((received_s, str(body["mode"])))


def _changes(acks: Iterable[Ack]) -> Iterable[Ack]:
    last: dict[str, str] = {}
    for ack in acks:
        if last.get(ack.event_id) != ack.state:
            last[ack.event_id] = ack.state
            yield ack


def _ack(body: dict[str, Any], text: str, received_s: float) -> Ack:
    return Ack(
        received_s=received_s,
        event_id=str(body["eventId"]),
        state=str(body["state"]),
        code=int(body["code"]),
        reason=str(body.get("reason") or ""),
        epoch=int(body["epoch"]),
        seq=int(body["seq"]),
        msg_id=str(body.get("msgId") or ""),
        target_kw=_kw(body.get("targetKw")),
        measured_kw=_kw(body.get("measuredKw")),
        shortfall_kw=_kw(body.get("shortfallKw")),
        meter_quality=str(body.get("meterQuality") or ""),
        raw=text,
    )


def _telemetry(body: dict[str, Any], received_s: float) -> Telemetry:
    event_id = body.get("eventId")
    return Telemetry(
        received_s=received_s,
        ts=str(body["ts"]),
        kw=_kw(body["kw"]),
        quality=str(body["quality"]),
        mode=str(body["mode"]),
        setpoint_kw=_kw(body.get("setpointKw")),
        limit_kw=_kw(body.get("limitKw")),
        event_id=None if event_id is None else str(event_id),
    )


def _kw(value: Any) -> float | None:
    return None if value is None else float(value)
