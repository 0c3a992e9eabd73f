"""An attacker with patience: messages that look almost right, each with the reasons for which it may be refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from farmctl.core.reasons import Reason
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import sign
from tests.signals.words import KID, SEED, JsonObject, event, heartbeat, msg_id, note, signed, snapshot

R = Reason
STOLEN_SEED, REVOKED_SEED, STRANGER_SEED = bytes([7] * 32), bytes([8] * 32), bytes([9] * 32)
REVOKED_KID, OLD_KID, COMING_KID = "grid-op-revoked", "grid-op-2025-1", "grid-op-2027-1"
MINUTE_MS = 60_000
EVENTS = (Route.CREATE, Route.UPDATE, Route.DELETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One message and what may be said of it; no reason at all: it must be a duplicate or change nothing."""

    kind: str
    route: Route
    raw: bytes
    reasons: frozenset[Reason]
    retained: bool = False


def public_of(seed: bytes) -> bytes:
    """The raw public key of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


class Attacker:
    """Knows the contract, every accepted message, a revoked key and an expired one; not the issuer's key."""

    def __init__(self, dice: Random, *, now_ms: int, stored: int, accepted: list[tuple[Route, bytes]]) -> None:
        self.dice = dice
        self.now_ms = now_ms
        self.stored = stored
        self.accepted = accepted
        self.number = 10_000
        self.kinds: dict[str, Callable[[], Attack]] = {
            name.removeprefix("_is_"): getattr(self, name) for name in dir(self) if name.startswith("_is_")
        }

    def attacks(self, count: int) -> Iterator[Attack]:
        """Every kind in turn."""
        names = sorted(self.kinds)
        for number in range(count):
            yield self.kinds[names[number % len(names)]]()

    # ---- good material to spoil

    def body(self, seq: int | None = None, **x: Any) -> JsonObject:
        self.number += 1
        at = self.now_ms - self.dice.randrange(60_000)
        times = {"issuedAt": rfc3339(at), "expiresAt": rfc3339(self.now_ms + 10 * MINUTE_MS)}
        number = self.stored + self.dice.randrange(1, 50) if seq is None else seq
        kw = self.dice.randrange(0, 4_000)
        return event(
            number,
            x={"msgId": msg_id(self.number), **times, **x},
            id=f"ev-{self.number}",
            intervalPeriod={"start": "0001-01-01", "duration": "PT5M"},
            payloads=[{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}],
        )

    def good(self, seq: int | None = None, **x: Any) -> JsonObject:
        return signed(Route.CREATE, note(self.body(seq, **x)))

    def made(self, kind: str, payload: JsonObject | bytes, *reasons: Reason, **more: Any) -> Attack:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        route = more.pop("route", Route.CREATE)
        return Attack(kind=kind, route=route, raw=raw, reasons=frozenset(reasons), **more)

    def spoilt(self, kind: str, change: Callable[[JsonObject], None], *reasons: Reason) -> Attack:
        """An event that is wrong and signed as such: the issuer's own mistake, or its key in bad hands."""
        payload = note(self.body())
        change(payload["object"])
        return self.made(kind, signed(Route.CREATE, payload), *reasons)

    # ---- origin

    def _is_forged_signature(self) -> Attack:
        payload = self.good()
        payload["object"]["x-farmctl"]["sig"] = self.dice.choice(
            ["", "AAAA", "x" * 88, None, 1, [], "A" * 86 + "==", sign(STRANGER_SEED, "t", {})]
        )
        return self.made("forged_signature", payload, R.UNKNOWN_ISSUER)

    def _is_changed_after_signing(self) -> Attack:
        payload = self.good()
        payload["object"]["intervals"][0]["payloads"][0]["values"] = [self.dice.randrange(5_000, 9_000)]
        return self.made("changed_after_signing", payload, R.UNKNOWN_ISSUER)

    def _is_unsigned(self) -> Attack:
        return self.made("unsigned", note(self.body()), R.UNKNOWN_ISSUER)

    def _is_wrong_key(self) -> Attack:
        return self.made("wrong_key", signed(Route.CREATE, note(self.body()), STOLEN_SEED), R.UNKNOWN_ISSUER)

    def _is_revoked_key(self) -> Attack:
        body = note(self.body(kid=REVOKED_KID))
        return self.made("revoked_key", signed(Route.CREATE, body, REVOKED_SEED), R.UNKNOWN_ISSUER)

    def _is_key_out_of_its_time(self) -> Attack:
        body = note(self.body(kid=self.dice.choice([OLD_KID, COMING_KID, "", "nobody", None, 5])))
        return self.made("key_out_of_its_time", signed(Route.CREATE, body), R.UNKNOWN_ISSUER)

    def _is_wrong_issuer(self) -> Attack:
        body = note(self.body(issuer=self.dice.choice(["other-op", "", None, 7, "GRID-OP"])))
        return self.made("wrong_issuer", signed(Route.CREATE, body), R.UNKNOWN_ISSUER, R.BAD_FIELD)

    def _is_signed_for_another_site(self) -> Attack:
        payload = note(self.body())
        payload["object"]["x-farmctl"]["sig"] = sign(SEED, "grid/v1/grid-op/site-08/events/create", payload)
        return self.made("signed_for_another_site", payload, R.UNKNOWN_ISSUER)

    def _is_on_another_topic(self) -> Attack:
        return self.made("on_another_topic", self.good(), R.UNKNOWN_ISSUER, route=self.dice.choice(EVENTS[1:]))

    # ---- order and time

    def _is_replayed(self) -> Attack:
        route, raw = self.dice.choice(self.accepted)
        return self.made("replayed", raw, R.DUPLICATE, R.OLD_SEQUENCE, route=route)

    def _is_reordered(self) -> Attack:
        return self.made("reordered", self.good(self.dice.randrange(0, self.stored + 1)), R.OLD_SEQUENCE)

    def _is_of_an_old_epoch(self) -> Attack:
        return self.made("of_an_old_epoch", self.good(self.stored + 9, epoch=2), R.OLD_SEQUENCE)

    def _is_expired(self) -> Attack:
        past = self.now_ms - self.dice.randrange(1, 6 * 86_400_000)
        x: JsonObject = {"issuedAt": rfc3339(past - 1_000), "expiresAt": rfc3339(past)}
        return self.made("expired", self.good(**x), R.EXPIRED)

    def _is_from_the_future(self) -> Attack:
        ahead = self.now_ms + 5_001 + self.dice.randrange(86_400_000)
        x: JsonObject = {"issuedAt": rfc3339(ahead), "expiresAt": rfc3339(ahead + 60_000)}
        return self.made("from_the_future", self.good(**x), R.CLOCK_AHEAD)

    def _is_for_too_long(self) -> Attack:
        return self.made("for_too_long", self.good(expiresAt=rfc3339(self.now_ms + 8 * 86_400_000)), R.BAD_FIELD)

    # ---- addressee and permission

    def _is_for_others(self) -> Attack:
        def change(body: JsonObject) -> None:
            body.update(self.dice.choice([{"targets": ["site-08"]}, {"programID": "not-ours"}]))

        return self.spoilt("for_others", change, R.NOT_FOR_THIS_SITE)

    def _is_over_permission(self) -> Attack:
        def change(body: JsonObject) -> None:
            values = [self.dice.choice([4_001, 10_000])]
            worse: list[JsonObject] = [
                {"intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": values}]}]},
                {"x-farmctl": {**body["x-farmctl"], "class": self.dice.choice(["EMERGENCY", "TEST"])}},
                {"intervals": [{"id": 0, "payloads": [{"type": "PRICE", "values": [0.01]}]}]},
            ]
            body.update(self.dice.choice(worse))

        return self.spoilt("over_permission", change, R.NOT_FOR_THIS_SITE)

    def _is_unsupported(self) -> Attack:
        def change(body: JsonObject) -> None:
            kind = self.dice.choice(["DISPATCH_SETPOINT_RELATIVE", "CHARGE_STATE_SETPOINT", "OLS", "X"])
            body["intervals"][0]["payloads"].append({"type": kind, "values": [1]})

        return self.spoilt("unsupported", change, R.UNSUPPORTED)

    def _is_of_another_contract(self) -> Attack:
        return self.made("of_another_contract", self.good(v=self.dice.choice([0, 2, 99])), R.UNSUPPORTED)

    def _is_an_end_of_the_latch(self) -> Attack:
        x = self.body()["x-farmctl"] | {"class": "LIMIT"}
        body = {"id": "ev-latched", "programID": "surplus-dispatch", "x-farmctl": x}
        payload = signed(Route.DELETE, note(body, "DELETE"))
        return self.made("an_end_of_the_latch", payload, R.EMERGENCY_LATCHED, R.NOT_FOR_THIS_SITE, route=Route.DELETE)

    # ---- values and shapes

    def _is_a_bad_value(self) -> Attack:
        def change(body: JsonObject) -> None:
            bad: Any = self.dice.choice(["5", None, True, [], {}])
            body["intervals"][0]["payloads"][0]["values"] = [bad]

        return self.spoilt("a_bad_value", change, R.BAD_FIELD)

    def _is_negative(self) -> Attack:
        def change(body: JsonObject) -> None:
            body["intervals"][0]["payloads"][0]["values"] = [self.dice.choice([-1, -1e-9, -1e308])]

        return self.spoilt("negative", change, R.BAD_FIELD)

    def _is_huge(self) -> Attack:
        def change(body: JsonObject) -> None:
            body["intervals"][0]["payloads"][0]["values"] = [self.dice.choice([1e12, 1e300, 1.7e308])]

        return self.spoilt("huge", change, R.BAD_FIELD, R.NOT_FOR_THIS_SITE)

    def _is_not_a_number(self) -> Attack:
        text = json.dumps(self.good()).replace('"values": [', '"values": [BAD, ', 1)
        bad = self.dice.choice(["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9007199254740993"])
        return self.made("not_a_number", text.replace("BAD", bad).encode(), R.BAD_FIELD)

    def _is_a_bad_shape(self) -> Attack:
        def change(body: JsonObject) -> None:
            worse: list[JsonObject] = [
                {"intervals": []},
                {"intervalPeriod": None},
                {"id": "x" * 129},
                {"priority": -1},
                {"intervalPeriod": {"start": "tomorrow", "duration": "PT5M"}},
                {"intervalPeriod": {"start": "0001-01-01", "duration": "-PT5M"}},
                {"intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [1]}]}] * 289},
            ]
            body.update(self.dice.choice(worse))

        return self.spoilt("a_bad_shape", change, R.BAD_FIELD)

    def _is_deep(self) -> Attack:
        depth = self.dice.randrange(17, 20_000)
        raw = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        return self.made("deep", raw, R.BAD_FIELD)

    def _is_twice_the_same_key(self) -> Attack:
        text = json.dumps(self.good())
        return self.made("twice_the_same_key", ('{"operation":"CREATE",' + text[1:]).encode(), R.BAD_FIELD)

    def _is_too_large(self) -> Attack:
        size = self.dice.choice([65_537, 70_000, 1_048_576])
        payload = self.good()
        payload["pad"] = ""
        raw = json.dumps(payload).encode()
        return self.made("too_large", raw[:-2] + b"x" * (size - len(raw)) + raw[-2:], R.TOO_LARGE)

    def _is_not_utf_8(self) -> Attack:
        raw = bytearray(json.dumps(self.good()).encode())
        raw[self.dice.randrange(1, len(raw))] = self.dice.choice([0x80, 0xC0, 0xFF])
        return self.made("not_utf_8", bytes(raw), R.NOT_JSON)

    def _is_cut_off(self) -> Attack:
        raw = json.dumps(self.good()).encode()
        return self.made("cut_off", raw[: self.dice.randrange(len(raw))], R.NOT_JSON)

    def _is_noise(self) -> Attack:
        route = self.dice.choice([Route.CREATE, Route.SIMPLE, Route.HEARTBEAT])
        return self.made("noise", self.dice.randbytes(self.dice.randrange(1_000)), R.NOT_JSON, R.BAD_FIELD, route=route)

    # ---- retained copies, and the other topics

    def _is_retained(self) -> Attack:
        return self.made("retained", self.good(), R.RETAINED_NOT_ALLOWED, retained=True)

    def _is_retained_empty(self) -> Attack:
        route = self.dice.choice([Route.SNAPSHOT, Route.KEYS])
        return self.made("retained_empty", b"", R.NOT_JSON, route=route, retained=self.dice.random() < 0.5)

    def _is_a_forged_snapshot(self) -> Attack:
        times = {"issuedAt": rfc3339(self.now_ms), "expiresAt": rfc3339(self.now_ms + MINUTE_MS)}
        body = snapshot(self.stored + self.dice.randrange(1, 99), **times)
        seed, reason = self.dice.choice([(STOLEN_SEED, R.UNKNOWN_ISSUER), (SEED, R.OLD_SEQUENCE)])
        if seed == SEED:
            body["seq"] = self.dice.randrange(0, self.stored)
        return self.made("a_forged_snapshot", signed(Route.SNAPSHOT, body, seed), reason, route=Route.SNAPSHOT)

    def _is_a_forged_heartbeat(self) -> Attack:
        body = heartbeat(self.dice.randrange(1, 10**6), seq=self.stored, of={}, at_ms=self.now_ms)
        return self.made(
            "a_forged_heartbeat", signed(Route.HEARTBEAT, body, STOLEN_SEED), R.UNKNOWN_ISSUER, route=Route.HEARTBEAT
        )

    def _is_a_forged_key(self) -> Attack:
        body = {
            "v": 1,
            "issuer": "grid-op",
            "kid": self.dice.choice([KID, REVOKED_KID, "mine", "root"]),
            "issuedAt": rfc3339(self.now_ms),
            "keys": [{"kid": "mine", "publicKey": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}],
            "revoked": [KID],
            "n": self.dice.random(),
        }
        return self.made("a_forged_key", signed(Route.KEYS, body, STOLEN_SEED), R.UNKNOWN_ISSUER, route=Route.KEYS)

    def _is_a_forged_simple(self) -> Attack:
        body = {
            "v": 1,
            "seq": self.stored + self.dice.randrange(1, 99),
            "epoch": 3,
            "limitKw": self.dice.randrange(0, 4_000),
            "validUntil": rfc3339(self.now_ms + MINUTE_MS),
        }
        return self.made(
            "a_forged_simple", signed(Route.SIMPLE, body, STOLEN_SEED), R.UNKNOWN_ISSUER, route=Route.SIMPLE
        )

    def _is_a_bad_simple(self) -> Attack:
        worse: JsonObject = self.dice.choice(
            [
                {"limitKw": -1},
                {"limitKw": None},
                {"validUntil": "soon"},
                {"limitKw": "0"},
                {"seq": -1},
                {"release": True},
            ]
        )
        body = {
            "v": 1,
            "seq": self.stored + 7,
            "epoch": 3,
            "limitKw": 5,
            "validUntil": rfc3339(self.now_ms + MINUTE_MS),
            "n": self.dice.random(),
            **worse,
        }
        return self.made("a_bad_simple", signed(Route.SIMPLE, body), R.BAD_FIELD, R.DUPLICATE, route=Route.SIMPLE)
