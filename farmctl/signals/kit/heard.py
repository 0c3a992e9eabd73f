"""What a site has published, with the time at which it arrived."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from farmctl.signals._intake.signature import is_genuine

Payload = dict[str, Any]
RECENT = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message of the site."""

    at_ms: int
    channel: str
    """`ack`, `telemetry`, `state`, `capability`, `report` or `status`."""
    body: Payload
    retained: bool


@dataclass(slots=True)
class Heard:
    """Everything that one site said since we listen, the newest of each channel at hand."""

    acks: list[Said] = field(default_factory=list)
    telemetry: list[Said] = field(default_factory=list)
    modes: list[tuple[int, str]] = field(default_factory=list)
    """(ms, mode) of each change that `state` told."""
    latest: dict[str, Said] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    told: Callable[[Said], None] | None = None
    """Called with each message, for who watches."""

    def take(self, topic: str, payload: bytes, *, retained: bool, at_ms: int) -> Said | None:
        """Keep one message; what cannot be read is noted, never raised, and is None."""
        channel = topic.rpartition("/")[2]
        try:
            body = json.loads(payload)
        except ValueError as fault:
            self.unreadable.append(f"{topic}: {fault}")
            return None
        if not isinstance(body, dict):
            self.unreadable.append(f"{topic}: expected a JSON object")
            return None
        said = Said(at_ms=at_ms, channel=channel, body=body, retained=retained)
        self.latest[channel] = said
        self._file(said)
        if self.told is not None:
            self.told(said)
        return said

    def _file(self, said: Said) -> None:
        match said.channel:
            case "ack":
                self.acks.append(said)
            case "telemetry":
                self.telemetry.append(said)
                del self.telemetry[:-RECENT]
            case "state":
                mode = str(said.body.get("mode"))
                if not self.modes or self.modes[-1][1] != mode:
                    self.modes.append((said.at_ms, mode))
            case _:
                pass

    def of(self, event_id: str, *, since: int = 0) -> Iterator[Said]:
        """Acks about an event, from a place in `acks` on; a repeat after a broken connection comes once."""
        seen: set[tuple[object, ...]] = set()
        for said in self.acks[since:]:
            body = said.body
            mark = (body.get("msgId"), body.get("state"), body.get("ts"))
            if body.get("eventId") == event_id and mark not in seen:
                seen.add(mark)
                yield said

    def states(self, event_id: str, *, since: int = 0) -> list[str]:
        """The states told about an event, in the order in which they came."""
        return [str(said.body.get("state")) for said in self.of(event_id, since=since)]

    def first(self, event_id: str, states: Collection[str], *, since: int = 0) -> Said | None:
        """The first ack of an event with one of these states."""
        return next((said for said in self.of(event_id, since=since) if said.body.get("state") in states), None)

    def answer(self, msg_id: str) -> Said | None:
        """The first ack about a message."""
        return next((said for said in self.acks if said.body.get("msgId") == msg_id), None)

    def power_kw(self) -> float | None:
        """Power of the last telemetry."""
        found = self.latest.get("telemetry")
        kw = None if found is None else found.body.get("kw")
        return float(kw) if isinstance(kw, int | float) else None

    def mode(self) -> str:
        """Mode of the last state; empty before one came."""
        return self.modes[-1][1] if self.modes else ""


def header_of(channel: str, body: Payload) -> Payload | None:
    """Where a message says who and when, and carries its signature; None where a report has no such place."""
    header = body.get("x-farmctl") if channel == "report" else body
    return header if isinstance(header, dict) else None


def is_signed(channel: str, body: Payload, topic: str, public_key: bytes) -> bool:
    """Whether that message carries the site's own signature over its topic."""
    header = header_of(channel, body)
    if header is None:
        return False
    bare = {name: value for name, value in header.items() if name != "sig"}
    unsigned = bare if header is body else {**body, "x-farmctl": bare}
    return is_genuine(public_key, header.get("sig"), topic, unsigned)
