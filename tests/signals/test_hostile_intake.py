"""Ten thousand messages of an attacker: none counts, each is refused with its reason, and the journal has them all."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from farmctl.core.grid import EventClass, SiteMode
from farmctl.core.reasons import Reason
from farmctl.engine.inbox import GridInbox
from farmctl.ports.store import RecordKind
from farmctl.signals._intake.desk import Delivery, Route
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.intake import Intake
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals._intake.rules import IntakeRules
from farmctl.signals._intake.standing import Standing, to_bytes
from farmctl.signals._intake.verdict import Accepted, Duplicate, Refused
from farmctl.signals.mqtt import Form, MqttSource
from farmctl.store.journal import Intact
from farmctl.store.memory import MemoryStore
from tests.scenarios.day import START_MS, Day, farm
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import CLOCK, QUICK, config, dispatching, until
from tests.signals.hostile import COMING_KID, OLD_KID, REVOKED_KID, REVOKED_SEED, Attacker, public_of
from tests.signals.words import KID, PUBLIC, RULES, TOPIC, event, heartbeat, note, signed, snapshot

MESSAGES = 10_500
OVER_THE_WIRE = 400
CYCLE_EVERY = 400
STORED = 1_000
GRID_MAY = IssuerRule(
    name="grid-op",
    classes=frozenset({EventClass.LIMIT, EventClass.TARGET}),
    payload_types=frozenset({"IMPORT_CAPACITY_LIMIT", "DISPATCH_SETPOINT"}),
    max_w=4e6,
    default_kid=KID,
)


def ring(now_ms: int) -> Keyring:
    """One good key, one whose time is over, one whose time has not come, one revoked."""
    keys = {
        KID: IssuerKey(public=PUBLIC),
        OLD_KID: IssuerKey(public=PUBLIC, not_after_ms=now_ms),
        COMING_KID: IssuerKey(public=PUBLIC, not_before_ms=now_ms + 86_400_000),
        REVOKED_KID: IssuerKey(public=public_of(REVOKED_SEED)),
    }
    return Keyring(keys=keys, revoked=frozenset({REVOKED_KID}))


class Siege:
    """An intake, the engine's inbox on a store, and the real core over a small farm that holds a limit."""

    def __init__(self) -> None:
        self.day = Day(farm(40))
        self.store = MemoryStore()
        self.inbox = GridInbox(self.store, CLOCK, asyncio.Event())
        rules = IntakeRules(**{**RULES, "signed": True, "pinned": ring(START_MS), "issuer": GRID_MAY})
        self.intake = Intake(rules, sequence=to_bytes(Standing(pair=(3, STORED - 1))))
        self.accepted: list[tuple[Route, bytes]] = []
        self.fates: Counter[str] = Counter()

    async def hears(self, route: Route, raw: bytes, *, retained: bool = False) -> Accepted | Duplicate | Refused:
        delivery = Delivery(route=route, topic=TOPIC[route], raw=raw, retained=retained)
        verdict = self.intake.judge(delivery, self.day.now_ms)
        assert isinstance(verdict, Accepted | Duplicate | Refused), (route, verdict)
        self.intake.commit(verdict)
        match verdict:
            case Accepted():
                await self.inbox.accept(verdict.receipt)
            case Refused():
                await self.inbox.refuse(verdict.refusal)
            case Duplicate():
                if verdict.refusal is not None:
                    await self.inbox.refuse(verdict.refusal)
        return verdict

    def restarts(self) -> None:
        """All that the run remembered is gone; what it stored is not."""
        self.intake = Intake(self.intake.rules, sequence=to_bytes(self.intake.standing))

    def cycle(self, seconds: int = 1) -> None:
        """What the inbox holds goes to the core, as the engine does it."""
        self.day.inbox += [arrival.message for arrival in self.inbox.drain()]
        self.day.run(seconds)

    async def obeys_one_good_limit(self) -> None:
        """The site follows a limit, so that both more and less would show."""
        x = {"issuedAt": rfc3339(self.day.now_ms), "expiresAt": rfc3339(self.day.now_ms + 86_400_000)}
        body = event(STORED, x=x, id="ev-good", intervalPeriod={"start": "0001-01-01", "duration": "PT20H"})
        limit_kw = self.day.rated_w / 2_000
        body["intervals"][0]["payloads"][0]["values"] = [limit_kw]
        raw = json.dumps(signed(Route.CREATE, note(body))).encode()
        assert isinstance(await self.hears(Route.CREATE, raw), Accepted)
        self.accepted.append((Route.CREATE, raw))
        self.cycle(120)
        assert self.day.decision.mode is SiteMode.LIMITED
        assert self.day.power_w <= limit_kw * 1_000 * 1.01


@pytest.mark.timeout(300)  # 12 s of CPU
async def test_ten_thousand_hostile_messages_move_nothing_and_are_each_refused_and_journalled() -> None:
    siege = Siege()
    await siege.obeys_one_good_limit()
    before = (siege.day.commands, siege.day.decision.mode, siege.intake.standing, siege.intake.keyring)
    attacker = Attacker(Random(20261124), now_ms=siege.day.now_ms, stored=STORED, accepted=siege.accepted)  # noqa: S311 - a test
    attacker.kinds.pop("an_end_of_the_latch")  # nothing is latched here; see the next test
    expected: Counter[tuple[str, Reason]] = Counter()
    for number, attack in enumerate(attacker.attacks(MESSAGES)):
        verdict = await siege.hears(attack.route, attack.raw, retained=attack.retained)
        match verdict:
            case Refused():
                assert verdict.reason in attack.reasons, (attack.kind, verdict.refusal.detail, attack.raw[:2_000])
                expected[attack.kind, verdict.reason] += 1
            case Duplicate(refusal=None):  # read again from the broker after a resync: it is in the journal once
                assert (attack.kind, attack.retained) == ("retained_empty", True)
                siege.fates[attack.kind] += 1
            case Duplicate():
                assert Reason.DUPLICATE in attack.reasons, attack
                expected[attack.kind, Reason.DUPLICATE] += 1
            case Accepted():
                pytest.fail(f"{attack.kind} was accepted: {attack.raw[:2_000]!r}")
        if number % CYCLE_EVERY == 0:
            siege.cycle()
        if number == MESSAGES // 2:
            siege.restarts()
    siege.cycle(30)
    assert (siege.day.commands, siege.day.decision.mode, siege.intake.standing, siege.intake.keyring) == before
    assert {kind for kind, _ in expected} == set(attacker.kinds)
    assert {reason for kind, reason in expected if kind == "replayed"} == {Reason.DUPLICATE, Reason.OLD_SEQUENCE}
    refusals = [r async for r in siege.store.records(kinds=frozenset({RecordKind.REFUSAL}))]
    told = Counter(str(r.record.body["reason"]) for r in refusals)
    assert told == Counter({reason: n for (_, reason), n in _by_reason(expected).items()})
    assert len(refusals) + siege.fates.total() == MESSAGES
    assert all(r.record.body["detail"] and ("raw" in r.record.body or "raw_base64" in r.record.body) for r in refusals)
    assert len([r async for r in siege.store.records(kinds=frozenset({RecordKind.SIGNAL}))]) == 1
    assert isinstance(await siege.store.verify(), Intact)


async def test_a_latched_emergency_outlives_every_attack() -> None:
    siege = Siege()
    everything = replace(GRID_MAY, classes=frozenset(EventClass), payload_types=None, max_w=None)
    rules = replace(siege.intake.rules, issuer=everything)
    siege.intake = Intake(rules, sequence=to_bytes(Standing(pair=(3, STORED - 1))))
    x = {"issuedAt": rfc3339(siege.day.now_ms), "expiresAt": rfc3339(siege.day.now_ms + 60_000), "class": "EMERGENCY"}
    body = event(STORED, x=x, id="ev-latched", intervalPeriod={"start": "0001-01-01", "duration": "PT1M"})
    body["intervals"][0]["payloads"][0]["values"] = [0]
    raw = json.dumps(signed(Route.CREATE, note(body))).encode()
    assert isinstance(await siege.hears(Route.CREATE, raw), Accepted)
    siege.cycle(60)
    commands = siege.day.commands
    siege.intake.rules = replace(rules, issuer=GRID_MAY)
    attacker = Attacker(Random(7), now_ms=siege.day.now_ms, stored=STORED, accepted=[(Route.CREATE, raw)])  # noqa: S311 - a test
    for attack in attacker.attacks(1_000):
        assert not isinstance(await siege.hears(attack.route, attack.raw, retained=attack.retained), Accepted), attack
    siege.cycle(60)
    assert (siege.day.decision.mode, siege.day.commands) == (SiteMode.EMERGENCY, commands)


@pytest.mark.peer
async def test_hundreds_of_hostile_messages_through_a_real_broker_reach_the_journal_and_nothing_else(
    mosquitto: Mosquitto,
) -> None:
    await mosquitto.start()
    now_ms = CLOCK.now_ms()
    told = config(
        mosquitto.port, auth="ed25519", keys=ring(now_ms), issuer=GRID_MAY, forms=frozenset(Form), simple_levels_w=None
    )
    store, wake = MemoryStore(), asyncio.Event()
    inbox = GridInbox(store, CLOCK, wake)
    await store.append([], {"signals.grid.sequence": to_bytes(Standing(pair=(3, STORED)))})
    source = MqttSource(told, CLOCK, pace=QUICK)
    attacker = Attacker(Random(3), now_ms=now_ms, stored=STORED, accepted=[])  # noqa: S311 - a test
    attacker.kinds.pop("replayed")
    attacker.kinds.pop("an_end_of_the_latch")
    attacker.kinds.pop("retained_empty")  # the broker keeps an empty retained payload to itself
    attacks = [a for a in attacker.attacks(OVER_THE_WIRE) if not a.retained]
    listed = signed(Route.SNAPSHOT, snapshot(STORED, **{**_times(now_ms), "events": []}))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(source.run(inbox))
        async with dispatching(mosquitto.port) as grid:
            await until(lambda: any(link.connected for link in inbox.links))
            await grid.says(Route.SNAPSHOT, listed, retain=True)
            await until(lambda: inbox.accepted == 1)
            for attack in attacks:
                await grid.says(attack.route, attack.raw)
            beat = signed(Route.HEARTBEAT, heartbeat(1, seq=STORED, of=listed, at_ms=CLOCK.now_ms()))
            await grid.says(Route.HEARTBEAT, beat)  # the last message: everything before it was judged
            await until(lambda: any(link.confirmed for link in inbox.links))
        running.cancel()
    assert len(inbox.drain()) == 1
    refusals = [r async for r in store.records(kinds=frozenset({RecordKind.REFUSAL}))]
    assert len(refusals) == len(attacks)
    assert {str(r.record.body["reason"]) for r in refusals} >= {
        Reason.UNKNOWN_ISSUER,
        Reason.OLD_SEQUENCE,
        Reason.EXPIRED,
        Reason.CLOCK_AHEAD,
        Reason.NOT_FOR_THIS_SITE,
        Reason.UNSUPPORTED,
        Reason.BAD_FIELD,
        Reason.TOO_LARGE,
        Reason.NOT_JSON,
    }


def _by_reason(expected: Counter[tuple[str, Reason]]) -> Counter[tuple[str, Reason]]:
    merged: Counter[tuple[str, Reason]] = Counter()
    for (_, reason), count in expected.items():
        merged["", reason] += count
    return merged


def _times(now_ms: int) -> dict[str, str]:
    return {"issuedAt": rfc3339(now_ms // 1000 * 1000), "expiresAt": rfc3339(now_ms // 1000 * 1000 + 3_600_000)}
