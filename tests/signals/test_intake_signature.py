"""Origin: the published test vectors, tampering, keys that come and go."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from farmctl.core.reasons import Reason
from farmctl.signals._intake import keys
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.signature import is_genuine, sign
from farmctl.signals._intake.verdict import Accepted, Duplicate, KeysChanged, Refused
from tests.signals.words import KID, PUBLIC, SEED, TOPIC, Desk, JsonObject, event, heartbeat, note, signed, snapshot

VECTOR: JsonObject = json.loads(
    """{"objectType":"EVENT","operation":"CREATE","object":{"id":"ev-20261123-0042","programID":"surplus-dispatch",
    "eventName":"site-07 10:05","priority":10,"targets":["site-07"],"createdDateTime":"2026-11-23T10:03:30Z",
    "modificationDateTime":"2026-11-23T10:03:30Z","intervalPeriod":{"start":"2026-11-23T10:05:00Z","duration":"PT5M",
    "randomizeStart":"PT0S"},"payloadDescriptors":[{"objectType":"EVENT_PAYLOAD_DESCRIPTOR",
    "payloadType":"IMPORT_CAPACITY_LIMIT","units":"KW"},{"objectType":"EVENT_PAYLOAD_DESCRIPTOR",
    "payloadType":"DISPATCH_SETPOINT","units":"KW"}],"reportDescriptors":[{"payloadType":"DEMAND","readingType":"MEAN",
    "units":"KW","repeat":-1}],"intervals":[{"id":0,"payloads":[{"type":"IMPORT_CAPACITY_LIMIT","values":[20000]},
    {"type":"DISPATCH_SETPOINT","values":[18500]}]}],"x-farmctl":{"v":1,
    "msgId":"01a207dc-5550-7c3e-9a55-3f1d6b2c8e01","epoch":3,"seq":1207,"issuer":"grid-op","kid":"grid-op-2026-1",
    "issuedAt":"2026-11-23T10:03:30Z","expiresAt":"2026-11-23T10:10:00Z","class":"LIMIT","respondWithinS":30,
    "ramp":{"downKwPerMin":null,"upKwPerMin":2000},"toleranceKw":500,"onExpiry":"SUBSCRIPTION",
    "ack":["RECEIVED","ACCEPTED","REACHED","COMPLETED"]}}}"""
)
VECTOR_SIG = "mXnO4fPy7BU21nlfW+sbKmq7n11Ml4FzZtyWGkvqp/OtHFVtPIh7rw8sUB/X0PHrMhfLTMDZBd7sBIKMGFvHBw=="
SIMPLE: JsonObject = {
    "v": 1,
    "targetKw": 18500,
    "limitKw": 20000,
    "validUntil": "2026-11-23T10:10:00Z",
    "seq": 1207,
    "sig": "zKxP6pOFRuVc/JTjpetQWc1Cgpl81wbzX13y3R6ydAPWQQgbp63pq/NlxmrfFAaUzGccGDddMYASFTheFfn5Cg==",
}
SECOND_SEED = bytes(range(32, 64))


def vector() -> JsonObject:
    found = copy.deepcopy(VECTOR)
    found["object"]["x-farmctl"]["sig"] = VECTOR_SIG
    return found


def public_of(seed: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - only here

    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()


def announcement(*, new: str = "", revoked: tuple[str, ...] = (), **changes: Any) -> JsonObject:
    announced = [{"kid": new, "publicKey": public_of(SECOND_SEED)}] if new else []
    body = {
        "v": 1,
        "issuer": "grid-op",
        "kid": KID,
        "issuedAt": "2026-11-23T10:03:50Z",
        "keys": announced,
        "revoked": list(revoked),
    }
    return {**body, **changes}


def test_the_published_event_verifies_and_is_accepted() -> None:
    assert sign(SEED, TOPIC[Route.CREATE], VECTOR) == VECTOR_SIG
    verdict = Desk(signed=True).hears(Route.CREATE, vector())
    assert isinstance(verdict, Accepted), verdict


def test_the_published_simple_message_verifies_and_is_accepted() -> None:
    desk = Desk(signed=True, fresh=True)
    verdict = desk.hears(Route.SIMPLE, SIMPLE)
    assert isinstance(verdict, Accepted), verdict


@pytest.mark.parametrize("change", ["limit", "topic", "sig", "no sig", "kid", "extra", "short sig"])
def test_a_changed_message_is_dropped_without_an_answer(change: str) -> None:
    payload = vector()
    x = payload["object"]["x-farmctl"]
    route = Route.CREATE
    match change:
        case "limit":
            payload["object"]["intervals"][0]["payloads"][0]["values"] = [25000]
        case "topic":
            route = Route.UPDATE
        case "sig":
            x["sig"] = "A" * 86 + "=="
        case "no sig":
            del x["sig"]
        case "kid":
            x["kid"] = "other"
        case "extra":
            payload["object"]["x-note"] = "covered although ignored"
        case _:
            x["sig"] = "AAAA"
    verdict = Desk(signed=True).hears(route, payload)
    assert isinstance(verdict, Refused)
    assert (verdict.reason, verdict.ack, verdict.pair) == (Reason.UNKNOWN_ISSUER, None, None)


@pytest.mark.parametrize("signature", [None, 5, "", "not base64 !", "AAAA", [VECTOR_SIG]])
def test_what_is_no_signature_is_not_genuine(signature: object) -> None:
    assert not is_genuine(PUBLIC, signature, TOPIC[Route.CREATE], VECTOR)


def test_snapshots_and_heartbeats_are_signed_as_well() -> None:
    desk = Desk(signed=True)
    body = signed(Route.SNAPSHOT, snapshot(1, event(1)))
    assert isinstance(desk.hears(Route.SNAPSHOT, snapshot(1, event(1))), Refused)
    assert isinstance(desk.hears(Route.SNAPSHOT, body, retained=True), Accepted)
    unsigned = heartbeat(1, seq=1, of=body)
    assert isinstance(desk.hears(Route.HEARTBEAT, unsigned), Refused)
    verdict = desk.hears(Route.HEARTBEAT, signed(Route.HEARTBEAT, unsigned))
    assert not isinstance(verdict, Refused)
    assert not verdict.resync


def test_a_bad_field_of_a_proven_message_is_answered() -> None:
    verdict = Desk(signed=True).hears(Route.CREATE, signed(Route.CREATE, note(event(1, priority=-1))))
    assert isinstance(verdict, Refused)
    assert verdict.ack is not None


def test_a_new_key_announced_by_an_old_one_is_believed_and_the_old_one_can_be_revoked() -> None:
    desk = Desk(signed=True)
    fresh = signed(Route.CREATE, note(event(1, x={"kid": "second"})), SECOND_SEED)
    assert isinstance(desk.hears(Route.CREATE, fresh), Refused)
    announced = signed(Route.KEYS, announcement(new="second"))
    assert isinstance(desk.hears(Route.KEYS, announced, retained=True), KeysChanged)
    assert isinstance(desk.hears(Route.KEYS, announced, retained=True), Duplicate)
    accepted = desk.hears(Route.CREATE, fresh)
    assert isinstance(accepted, Accepted)
    assert "signals.grid.keys" in accepted.receipt.states
    revoking = signed(
        Route.KEYS, announcement(revoked=(KID,), kid="second", issuedAt="2026-11-23T10:03:55Z"), SECOND_SEED
    )
    assert isinstance(desk.hears(Route.KEYS, revoking, retained=True), KeysChanged)
    assert isinstance(desk.hears(Route.CREATE, signed(Route.CREATE, note(event(2)))), Refused)
    assert isinstance(desk.hears(Route.KEYS, announced, retained=True), Refused)
    stored = keys.to_bytes(desk.intake.keyring)
    again = keys.from_bytes(desk.rules.pinned, stored)
    assert again.usable(KID, desk.now_ms) is None
    assert again.usable("second", desk.now_ms) is not None


def test_a_key_is_believed_only_between_its_dates_and_never_replaced() -> None:
    ring = keys.Keyring(keys={"k": keys.IssuerKey(public=PUBLIC, not_before_ms=10, not_after_ms=20)})
    assert [ring.usable("k", t) is not None for t in (9, 10, 19, 20)] == [False, True, True, False]
    desk = Desk(signed=True)
    replacing = signed(Route.KEYS, announcement(new=KID))
    desk.hears(Route.KEYS, replacing, retained=True)
    assert desk.intake.keyring.keys[KID].public == PUBLIC


def test_keys_from_a_stranger_or_without_shape_are_refused() -> None:
    desk = Desk(signed=True)
    for body in (
        signed(Route.KEYS, announcement(new="second"), SECOND_SEED),
        signed(Route.KEYS, announcement(new="second", issuedAt="2026-11-23T10:05:00Z")),
        signed(Route.KEYS, announcement(keys=[{"kid": "x", "publicKey": "AAAA"}])),
        announcement(new="second"),
    ):
        assert isinstance(desk.hears(Route.KEYS, body, retained=True), Refused)
    assert desk.intake.keyring == desk.rules.pinned
