"""Builds the downlink messages: OpenADR 3.1 notifications, snapshots, heartbeats and the simple form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from simulators.grid.orders import OPEN_ENDED, EventClass, Order, duration_text, number, time_text
from simulators.grid.signing import Payload

SNAPSHOT_VALID = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who says something, as the how-manieth message, and when."""

    issuer: str
    kid: str
    epoch: int
    seq: int
    issued_at: datetime
    msg_id: str = ""

    def head(self) -> Payload:
        """Members that snapshots and heartbeats share."""
        return {"v": 1, "issuer": self.issuer, "kid": self.kid, "epoch": self.epoch, "seq": self.seq}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """All that a simple-form publisher has to say at one moment."""

    target_kw: float | None
    limit_kw: float | None
    valid_until: datetime
    event_class: EventClass | None = None
    release: bool = False


def event_object(
    order: Order, envelope: Envelope, *, event_id: str, programme_id: str, site: str, created_at: datetime
) -> Payload:
    """An OpenADR 3.1 EVENT with its `x-farmctl` object."""
    starts_at = envelope.issued_at + timedelta(seconds=order.lead_s)
    emergency = order.effective_class is EventClass.EMERGENCY
    payloads = _payloads(order)
    body: Payload = {
        "id": event_id,
        "objectType": "EVENT",
        "programID": programme_id,
        "eventName": order.name or event_id,
        "targets": [site],
        "createdDateTime": time_text(created_at),
        "modificationDateTime": time_text(envelope.issued_at),
        "intervalPeriod": {
            "start": time_text(starts_at),
            "duration": OPEN_ENDED if emergency else duration_text(order.duration_s),
            "randomizeStart": duration_text(order.randomize_s),
        },
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": item["type"], "units": "KW"}
            for item in payloads
            if item["type"] != "ALERT_GRID_EMERGENCY"
        ],
        "reportDescriptors": [{"payloadType": "DEMAND", "readingType": "MEAN", "units": "KW", "repeat": -1}],
        "intervals": [{"id": 0, "payloads": payloads}],
        "x-farmctl": _extension(order, envelope, ends_at=ends_at(order, envelope.issued_at)),
    }
    if order.priority is not None:
        body["priority"] = order.priority
    return body


def deletion_object(envelope: Envelope, *, event_id: str, programme_id: str, order: Order, release: bool) -> Payload:
    """The little that a DELETE needs."""
    extension = _extension(order, envelope, ends_at=envelope.issued_at + timedelta(minutes=5))
    kept = {"v", "msgId", "epoch", "seq", "issuer", "kid", "issuedAt", "expiresAt", "class"}
    extension = {key: value for key, value in extension.items() if key in kept}
    if release:
        extension["release"] = True
    return {"id": event_id, "objectType": "EVENT", "programID": programme_id, "x-farmctl": extension}


def notification(operation: str, body: Payload) -> Payload:
    """What OpenADR 3.1 publishes on an event topic."""
    return {"objectType": "EVENT", "operation": operation.upper(), "object": body}


def snapshot(envelope: Envelope, events: list[Payload]) -> Payload:
    """All live events; replaces the live set of the site."""
    times = {
        "issuedAt": time_text(envelope.issued_at),
        "expiresAt": time_text(envelope.issued_at + SNAPSHOT_VALID),
    }
    return {**envelope.head(), **times, "events": events}


def heartbeat(envelope: Envelope, *, beat: int, snapshot_hash: str) -> Payload:
    """Sign of life; `envelope.seq` is the highest number issued so far."""
    return {**envelope.head(), "hb": beat, "ts": time_text(envelope.issued_at), "snapshotHash": snapshot_hash}


def simple(statement: Statement, *, epoch: int, seq: int, kid: str | None = None) -> Payload:
    """The simple form; raises ValueError for a statement that says nothing."""
    if statement.target_kw is None and statement.limit_kw is None:
        raise ValueError("a simple statement needs target_kw or limit_kw")
    body: Payload = {"v": 1, "seq": seq, "validUntil": time_text(statement.valid_until)}
    if epoch:
        body["epoch"] = epoch
    if kid is not None:
        body["kid"] = kid
    if statement.target_kw is not None:
        body["targetKw"] = number(statement.target_kw)
    if statement.limit_kw is not None:
        body["limitKw"] = number(statement.limit_kw)
    if statement.event_class is not None:
        body["class"] = statement.event_class.value
    if statement.release:
        body["release"] = True
    return body


def ends_at(order: Order, sent_at: datetime) -> datetime:
    """End of the event's authority."""
    expires_in_s = order.lead_s + order.duration_s if order.expires_in_s is None else order.expires_in_s
    return sent_at + timedelta(seconds=expires_in_s)


def _payloads(order: Order) -> list[Payload]:
    payloads: list[Payload] = []
    if order.limit_kw is not None:
        payloads.append({"type": "IMPORT_CAPACITY_LIMIT", "values": [number(order.limit_kw)]})
    if order.target_kw is not None:
        payloads.append({"type": "DISPATCH_SETPOINT", "values": [number(order.target_kw)]})
    if order.alert is not None:
        payloads.append({"type": "ALERT_GRID_EMERGENCY", "values": [order.alert]})
    if not payloads:
        raise ValueError(f"order {order.name!r} asks for nothing: expected target_kw, limit_kw or alert")
    return payloads


def _extension(order: Order, envelope: Envelope, *, ends_at: datetime) -> Payload:
    extension: Payload = {
        **envelope.head(),
        "msgId": envelope.msg_id,
        "issuedAt": time_text(envelope.issued_at),
        "expiresAt": time_text(ends_at),
        "class": order.effective_class.value,
        "ramp": {
            "downKwPerMin": _optional(order.ramp_down_kw_per_min),
            "upKwPerMin": _optional(order.ramp_up_kw_per_min),
        },
    }
    optional = {
        "respondWithinS": order.respond_within_s,
        "toleranceKw": _optional(order.tolerance_kw),
        "onExpiry": order.on_expiry,
        "ack": list(order.acks) or None,
    }
    return extension | {key: value for key, value in optional.items() if value is not None}


def _optional(value: float | None) -> float | None:
    return None if value is None else number(value)
