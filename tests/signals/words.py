"""What a grid says in these tests, in one place: messages, keys, a site, an inbox that writes things down."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import time
from collections.abc import Mapping
from typing import Any

from farmctl.core.grid import EventPut, GridEvent, LinkStatus
from farmctl.ports.grid import Notice, Receipt, Refusal
from farmctl.signals._intake.desk import Delivery, Route
from farmctl.signals._intake.duration import rfc3339, time_ms_of
from farmctl.signals._intake.intake import Intake
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.signature import digest, sign
from farmctl.signals._intake.standing import Standing, to_bytes
from farmctl.signals._intake.verdict import Accepted, Refused, Verdict

SEED = bytes(range(32))
PUBLIC = base64.b64decode("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
KID = "grid-op-2026-1"
NOW_MS = time_ms_of("2026-11-23T10:04:00Z")
ROOT = "grid/v1/grid-op/site-07"
TOPIC = {
    Route.CREATE: f"{ROOT}/events/create",
    Route.UPDATE: f"{ROOT}/events/update",
    Route.DELETE: f"{ROOT}/events/delete",
    Route.SNAPSHOT: f"{ROOT}/snapshot",
    Route.HEARTBEAT: f"{ROOT}/heartbeat",
    Route.KEYS: f"{ROOT}/keys",
    Route.SIMPLE: f"{ROOT}/simple",
    Route.HELD: f"{ROOT}/held",
}
JsonObject = dict[str, Any]

RULES: dict[str, Any] = {
    "source": "grid",
    "site": "site-07",
    "issuer": IssuerRule(name="grid-op", default_kid=KID),
    "signed": False,
    "programmes": frozenset({"surplus-dispatch"}),
    "groups": frozenset({"north"}),
    "rating_w": 25e6,
    "emergency_w": 300e3,
    "simple_levels_w": (25e6, 15e6, 5e6),
    "subscription_w": 4e6,
    "ramp_up_w_per_s": 50e3,
    "pinned": Keyring(keys={KID: IssuerKey(public=PUBLIC)}),
}


def msg_id(number: int) -> str:
    return f"01a207dc-5550-7c3e-9a55-{number:012x}"


def extension(seq: int = 1, **changes: Any) -> JsonObject:
    x = {
        "v": 1,
        "msgId": msg_id(seq),
        "epoch": 3,
        "seq": seq,
        "issuer": "grid-op",
        "kid": KID,
        "issuedAt": "2026-11-23T10:03:30Z",
        "expiresAt": "2026-11-23T10:10:00Z",
        "class": "LIMIT",
    }
    return {**x, **changes}


def event(
    seq: int = 1, *, x: JsonObject | None = None, payloads: list[Any] | None = None, **changes: Any
) -> JsonObject:
    body = {
        "id": "ev-1",
        "programID": "surplus-dispatch",
        "intervalPeriod": {"start": "2026-11-23T10:05:00Z", "duration": "PT5M"},
        "intervals": [{"id": 0, "payloads": payloads or [{"type": "IMPORT_CAPACITY_LIMIT", "values": [20000]}]}],
        "x-farmctl": {**extension(seq), **(x or {})},
    }
    return {**body, **changes}


def note(body: JsonObject, operation: str = "CREATE") -> JsonObject:
    return {"objectType": "EVENT", "operation": operation, "object": body}


def snapshot(seq: int, *events: JsonObject, **changes: Any) -> JsonObject:
    body = {
        "v": 1,
        "issuer": "grid-op",
        "kid": KID,
        "epoch": 3,
        "seq": seq,
        "issuedAt": "2026-11-23T10:03:50Z",
        "expiresAt": "2026-11-23T11:03:50Z",
        "events": list(events),
    }
    return {**body, **changes}


def heartbeat(hb: int, *, seq: int, of: JsonObject, at_ms: int = NOW_MS, **changes: Any) -> JsonObject:
    body = {
        "v": 1,
        "issuer": "grid-op",
        "kid": KID,
        "epoch": 3,
        "seq": seq,
        "hb": hb,
        "ts": rfc3339(at_ms),
        "snapshotHash": digest(of),
    }
    return {**body, **changes}


def signed(route: Route, payload: JsonObject, seed: bytes = SEED) -> JsonObject:
    found = copy.deepcopy(payload)
    holder = found["object"]["x-farmctl"] if "object" in found else found
    holder.pop("sig", None)
    holder["sig"] = sign(seed, TOPIC[route], found)
    return found


class Desk:
    """An intake that is spoken to in JSON and commits every verdict, as the source does."""

    def __init__(self, *, fresh: bool = False, stored: Standing | None = None, **changes: Any) -> None:
        self.rules = IntakeRules(**{**RULES, **changes})
        standing = stored or Standing(pair=(3, 0))
        self.intake = Intake(self.rules, sequence=None if fresh else to_bytes(standing))
        self.now_ms = NOW_MS

    def hears(self, route: Route, payload: JsonObject | bytes, *, retained: bool = False) -> Verdict:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        delivery = Delivery(route=route, topic=TOPIC[route], raw=raw, retained=retained)
        before = self.intake.standing
        verdict = self.intake.judge(delivery, self.now_ms)
        assert self.intake.standing is before
        self.intake.commit(verdict)
        return verdict

    def creates(self, body: JsonObject) -> Verdict:
        return self.hears(Route.CREATE, note(body))

    def accepts(self, body: JsonObject) -> GridEvent:
        verdict = self.creates(body)
        assert isinstance(verdict, Accepted), verdict
        assert isinstance(verdict.receipt.message, EventPut)
        return verdict.receipt.message.event

    def refuses(self, body: JsonObject) -> Refused:
        before = self.intake.standing
        verdict = self.creates(body)
        assert isinstance(verdict, Refused), verdict
        assert self.intake.standing is before
        return verdict


class WallClock:
    """The real clock, for sources on real sockets."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Ledger:
    """An inbox that keeps what it is given, and its states across sources."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.refusals: list[Refusal] = []
        self.states: dict[str, bytes] = {}
        self.status: LinkStatus | None = None
        self.notices: list[Notice] = []

    async def accept(self, receipt: Receipt) -> None:
        self.states.update(receipt.states)
        self.receipts.append(receipt)

    async def refuse(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    def link(
        self,
        source: str,
        *,
        connected: bool,
        last_valid_ms: int,
        confirmed: bool,
        clock_offset_ms: int,
        told_all_ms: int | None = None,
    ) -> None:
        self.status = LinkStatus(
            source=source,
            connected=connected,
            last_valid_ms=last_valid_ms,
            confirmed=confirmed,
            clock_offset_ms=clock_offset_ms,
            told_all_ms=told_all_ms,
        )

    async def state(self, name: str) -> bytes | None:
        return self.states.get(name)

    async def note(self, notice: Notice) -> None:
        self.states.update(notice.states)
        self.notices.append(notice)

    async def keep(self, states: Mapping[str, bytes]) -> None:
        self.states.update(states)
