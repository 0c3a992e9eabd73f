"""What a grid operator says, in the words of SIGNALS section 3, signed where there is a key."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import digest, sign
from farmctl.signals.kit.book import Payload

WITHDRAWAL_HOLDS_S = 600
SNAPSHOT_HOLDS_S = 3_600
LIMIT = "IMPORT_CAPACITY_LIMIT"
SETPOINT = "DISPATCH_SETPOINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One event as a person thinks of it; powers in kW, spans in seconds."""

    event_id: str
    limit_kw: float | None = None
    target_kw: float | None = None
    event_class: str = ""
    """Left out: LIMIT where there is only a limit, else TARGET."""
    starts_in_s: int = 0
    for_s: int = 300
    respond_within_s: int | None = None
    tolerance_kw: float | None = None
    priority: int = 10
    programme: str = "surplus-dispatch"
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the extension that are to be other than they would be."""
    reports: tuple[str, ...] = ()
    """Payload types that the site is to report while it runs."""
    payloads: tuple[tuple[str, Any], ...] = ()
    """(type, value) in place of limit and set-point, for what the two cannot say."""

    def said(self) -> list[Payload]:
        """Its payloads."""
        plain = ((LIMIT, self.limit_kw), (SETPOINT, self.target_kw))
        stated = self.payloads or tuple((kind, kw) for kind, kw in plain if kw is not None)
        return [{"type": kind, "values": [value]} for kind, value in stated]

    @property
    def of_class(self) -> str:
        """Its class, stated or by what it asks for."""
        return self.event_class or ("LIMIT" if self.target_kw is None else "TARGET")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One operator to one site."""

    op: str
    site: str
    kid: str
    seed: bytes | None = None
    """Ed25519 seed; None leaves messages unsigned, which sites take on loopback only."""
    root: str = "grid/v1"

    def topic(self, leaf: str) -> str:
        """A downlink topic of this site."""
        return f"{self.root}/{self.op}/{self.site}/{leaf}"

    def event(self, wish: Wish, *, epoch: int, seq: int, now_ms: int) -> Payload:
        """The EVENT object of a wish, without its signature."""
        start_ms = now_ms + wish.starts_in_s * 1_000
        stated = {"respondWithinS": wish.respond_within_s, "toleranceKw": wish.tolerance_kw}
        extension = {
            **self._extension(epoch, seq, now_ms, start_ms + wish.for_s * 1_000, wish.of_class),
            **{name: value for name, value in stated.items() if value is not None},
            **wish.extra,
        }
        asked = {"reportDescriptors": [{"payloadType": kind} for kind in wish.reports]} if wish.reports else {}
        return {
            "id": wish.event_id,
            "programID": wish.programme,
            "priority": wish.priority,
            "targets": [self.site],
            "createdDateTime": rfc3339(now_ms),
            "intervalPeriod": {"start": rfc3339(start_ms), "duration": f"PT{wish.for_s}S"},
            "intervals": [{"id": 0, "payloads": wish.said()}],
            "x-farmctl": extension,
            **asked,
        }

    def withdrawal(self, body: Payload, *, epoch: int, seq: int, now_ms: int, release: bool) -> Payload:
        """The object of a DELETE of that event."""
        extension = self._extension(epoch, seq, now_ms, now_ms + WITHDRAWAL_HOLDS_S * 1_000, body["x-farmctl"]["class"])
        if release:
            extension["release"] = True
        return {"id": body["id"], "programID": body["programID"], "x-farmctl": extension}

    def notification(self, operation: str, body: Payload) -> tuple[str, Payload]:
        """Topic and sealed message of an operation; the signature also goes into `body`, as snapshots list it."""
        topic = self.topic(f"events/{operation.lower()}")
        message = {"objectType": "EVENT", "operation": operation.upper(), "object": body}
        if self.seed is not None:
            body["x-farmctl"].pop("sig", None)
            body["x-farmctl"]["sig"] = sign(self.seed, topic, message)
        return topic, message

    def snapshot(self, events: list[Payload], *, epoch: int, seq: int, now_ms: int) -> Payload:
        """All live events."""
        head = {"v": 1, "issuer": self.op, "kid": self.kid, "epoch": epoch, "seq": seq}
        times = {"issuedAt": rfc3339(now_ms), "expiresAt": rfc3339(now_ms + SNAPSHOT_HOLDS_S * 1_000)}
        return self._sealed("snapshot", {**head, **times, "events": events})

    def heartbeat(self, beat: int, *, epoch: int, seq: int, now_ms: int, snapshot: Payload) -> Payload:
        """A sign of life that confirms a snapshot."""
        bare = {name: value for name, value in snapshot.items() if name != "sig"}
        head = {"v": 1, "issuer": self.op, "kid": self.kid, "epoch": epoch, "seq": seq}
        return self._sealed("heartbeat", {**head, "hb": beat, "ts": rfc3339(now_ms), "snapshotHash": digest(bare)})

    def keys(self, *, announce: Mapping[str, bytes], revoke: Collection[str], now_ms: int) -> Payload:
        """A keys message: new public keys by kid, and kids that are to be trusted never again."""
        new = [{"kid": kid, "publicKey": base64.b64encode(key).decode()} for kid, key in announce.items()]
        head = {"v": 1, "issuer": self.op, "kid": self.kid, "issuedAt": rfc3339(now_ms)}
        return self._sealed("keys", {**head, "keys": new, "revoked": list(revoke)})

    def held(self, box: str, spans: Sequence[tuple[int, int]], *, now_ms: int) -> Payload:
        """What is durable here of an outbox of the site."""
        head = {"v": 1, "issuer": self.op, "kid": self.kid, "issuedAt": rfc3339(now_ms)}
        return self._sealed("held", {**head, "outbox": box, "held": [list(span) for span in spans]})

    def _extension(self, epoch: int, seq: int, now_ms: int, until_ms: int, event_class: str) -> Payload:
        return {
            "v": 1,
            "msgId": uuid7(now_ms),
            "epoch": epoch,
            "seq": seq,
            "issuer": self.op,
            "kid": self.kid,
            "issuedAt": rfc3339(now_ms),
            "expiresAt": rfc3339(until_ms),
            "class": event_class,
        }

    def _sealed(self, leaf: str, body: Payload) -> Payload:
        return body if self.seed is None else {**body, "sig": sign(self.seed, self.topic(leaf), body)}


def uuid7(now_ms: int) -> str:
    """A UUIDv7 (RFC 9562) of that millisecond."""
    rest = secrets.randbits(74)
    value = (now_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (rest >> 62) << 64 | 0b10 << 62 | rest & (1 << 62) - 1
    return str(uuid.UUID(int=value))
