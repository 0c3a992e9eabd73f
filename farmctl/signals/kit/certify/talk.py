"""Scenarios that move no load: what the site publishes, what it refuses, what it ignores."""

from __future__ import annotations

import secrets
from dataclasses import replace
from itertools import pairwise
from typing import Any

from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import public_of
from farmctl.signals.kit.certify.stage import FAILSAFE_MODES, BrokenRuleError, NotTriedError, Stage
from farmctl.signals.kit.heard import is_signed
from farmctl.signals.kit.voice import Voice, Wish

SEED_BYTES = 32
TELEMETRY_LOOK_S = 11.0
CAPABLE = (
    "ratedKw",
    "safeMinKw",
    "failsafeLimitKw",
    "downKwIn",
    "upKwIn",
    "sources",
    "signed",
    "payloadTypes",
    "meter",
)
STATED = ("mode", "since", "liveEvents", "emergencyLatched", "signed", "lastEpoch", "lastSeq", "auditHead", "version")
MEASURED = ("ts", "kw", "source", "quality", "minKw", "maxKw", "mode", "epoch", "seq")


async def presence(stage: Stage) -> None:
    """Status ONLINE, state and capability are retained and complete; the failsafe limit is within the rating."""
    heard = stage.console.heard
    await stage.console.until(
        lambda: {"status", "state", "capability"} <= heard.latest.keys(), stage.allow.judged_s * 2
    )
    for channel, fields in (("status", ("status",)), ("state", STATED), ("capability", CAPABLE)):
        if channel not in heard.latest:
            raise BrokenRuleError(f"nothing retained on {stage.console.up}/{channel}")
        missing = [name for name in fields if name not in heard.latest[channel].body]
        if missing:
            raise BrokenRuleError(f"{channel} lacks {', '.join(missing)}")
    if heard.latest["status"].body["status"] != "ONLINE":
        raise BrokenRuleError(f"status is {heard.latest['status'].body['status']}, expected ONLINE")
    able = heard.latest["capability"].body
    firm = able.get("subscriptionKw")
    most = able["ratedKw"] if firm is None else firm
    if not able["safeMinKw"] <= able["failsafeLimitKw"] <= most:
        raise BrokenRuleError(
            f"failsafeLimitKw {able['failsafeLimitKw']} is outside safeMinKw {able['safeMinKw']} .. {most}"
        )


async def telemetry(stage: Stage) -> None:
    """A sample every 2 s, each complete."""
    heard = stage.console.heard
    heard.telemetry.clear()
    await stage.passes(TELEMETRY_LOOK_S)
    found = list(heard.telemetry)
    if len(found) < TELEMETRY_LOOK_S // stage.allow.telemetry_s - 1:
        raise BrokenRuleError(f"{len(found)} samples in {TELEMETRY_LOOK_S:g} s, expected one every 2 s")
    missing = [name for name in MEASURED if name not in found[-1].body]
    if missing:
        raise BrokenRuleError(f"telemetry lacks {', '.join(missing)}")
    gaps = [(after.at_ms - before.at_ms) / 1_000 for before, after in pairwise(found)]
    stage.measured["longest_gap_s"] = round(max(gaps), 3)
    if max(gaps) > stage.allow.telemetry_s + stage.allow.telemetry_jitter_s:
        raise BrokenRuleError(f"{max(gaps):.2f} s between two samples, expected 2 s and at most 0.5 s more")


async def link(stage: Stage) -> None:
    """A snapshot and the heartbeat that confirms it: the site leaves fail-safe and tells our sequence."""
    started_ms = stage.console.clock.now_ms()
    await stage.console.speak()
    wanted = (stage.console.book.epoch, stage.console.book.seq)

    def taken() -> bool:
        found = stage.console.heard.latest.get("state")
        if found is None or found.body.get("mode") in FAILSAFE_MODES:
            return False
        return (found.body.get("lastEpoch"), found.body.get("lastSeq")) >= wanted

    if not await stage.console.until(taken, stage.allow.leaves_failsafe_s + 60):
        found = stage.state()
        last = (found.get("lastEpoch"), found.get("lastSeq"))
        half = (
            f": the snapshot was taken, the heartbeat was not; is there a second console in this epoch? The clocks are "
            f"{found.get('clockOffsetMs')} ms apart"
        )
        raise BrokenRuleError(
            f"mode {found.get('mode')}, (epoch, seq) {last}, expected {wanted} and no fail-safe"
            f"{half if last == wanted else ': ' + stage.console.why_silent()}"
        )
    stage.measured["linked_s"] = round((stage.console.clock.now_ms() - started_ms) / 1_000, 3)


async def refusals(stage: Stage) -> None:
    """Each fault has its code, and moves nothing."""
    now_ms = stage.console.clock.now_ms() // 1_000 * 1_000
    long_ago = {"issuedAt": rfc3339(now_ms - 7_200_000), "expiresAt": rfc3339(now_ms - 3_600_000)}
    cases: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("negative", 253, {"limit_kw": -1.0}),
        ("text", 253, {"payloads": (("IMPORT_CAPACITY_LIMIT", "many"),)}),
        ("no-class", 253, {"limit_kw": 1.0, "extra": {"class": "WHIM"}}),
        ("ahead", 253, {"limit_kw": 1.0, "extra": {"issuedAt": rfc3339(now_ms + 60_000)}}),
        ("unsupported", 251, {"payloads": (("DISPATCH_SETPOINT_RELATIVE", 1.0),)}),
        ("version", 251, {"limit_kw": 1.0, "extra": {"v": 2}}),
        ("expired", 254, {"limit_kw": 1.0, "extra": long_ago}),
    )
    before = stage.state()["liveEvents"]
    for stem, code, stated in cases:
        await stage.rejected(stage.wish(stem, **stated), code)
    stranger = stage.wish("programme", limit_kw=1.0)
    programme, stage.programme = stage.programme, "nobody-s-programme"
    try:
        stranger = stage.wish("programme", limit_kw=1.0)
    finally:
        stage.programme = programme
    await stage.rejected(stranger, 252)
    if stage.state()["liveEvents"] != before:
        raise BrokenRuleError(f"live events became {stage.state()['liveEvents']}")


async def forgeries(stage: Stage) -> None:
    """What was changed, is signed by a stranger or not at all gets no answer and has no effect."""
    voice = _signing(stage)
    stranger = replace(voice, seed=secrets.token_bytes(SEED_BYTES))
    for stem, speaker in (("forged", voice), ("unsigned", voice), ("wrong-key", stranger)):
        wish = stage.wish(stem, limit_kw=0.0, event_class="EMERGENCY")
        topic, message = _sealed(stage, wish, speaker)
        body = message["object"]
        if stem == "forged":
            body["intervals"][0]["payloads"][0]["values"] = [1.0]
        if stem == "unsigned":
            del body["x-farmctl"]["sig"]
        await _is_dropped(stage, wish.event_id, topic, message)


async def rotation(stage: Stage) -> None:
    """A key that ours announces is trusted; once revoked it is not, and ours still is.

    The messages are not retained: what the operator keeps on `keys` stays as it is.
    """
    voice, console = _signing(stage), stage.console
    seed, kid = secrets.token_bytes(SEED_BYTES), stage.name("key")
    young = replace(voice, kid=kid, seed=seed)
    await console.say(
        voice.topic("keys"), voice.keys(announce={kid: public_of(seed)}, revoke=(), now_ms=_second(stage))
    )
    try:
        console.voice = young
        await _test_event(stage, "by-new-key")
    finally:
        console.voice = voice
        await console.say(voice.topic("keys"), voice.keys(announce={}, revoke=(kid,), now_ms=_second(stage)))
    wish = stage.wish("by-revoked-key", limit_kw=0.0, event_class="EMERGENCY")
    await _is_dropped(stage, wish.event_id, *_sealed(stage, wish, young))
    await _test_event(stage, "by-old-key")


def _signing(stage: Stage) -> Voice:
    if stage.console.voice.seed is None:
        raise NotTriedError("no --key given: unsigned signals prove nothing about signatures")
    return stage.console.voice


def _second(stage: Stage) -> int:
    return stage.console.clock.now_ms() // 1_000 * 1_000


def _sealed(stage: Stage, wish: Wish, voice: Voice) -> tuple[str, dict[str, Any]]:
    """An event under the next number, which is not used up: topic and message."""
    book = stage.console.book
    return voice.notification("CREATE", voice.event(wish, epoch=book.epoch, seq=book.seq + 1, now_ms=_second(stage)))


async def _is_dropped(stage: Stage, event_id: str, topic: str, message: dict[str, Any]) -> None:
    since = len(stage.console.heard.acks)
    await stage.console.say(topic, message)
    await stage.unanswered(event_id, since=since)
    if event_id in stage.state()["liveEvents"]:
        raise BrokenRuleError(f"{event_id}: not answered, but obeyed")


async def _test_event(stage: Stage, stem: str) -> None:
    """An event that moves nothing is accepted, and withdrawn."""
    wish = stage.wish(stem, limit_kw=0.0, event_class="TEST", starts_in_s=600)
    since = await stage.order(wish)
    await stage.console.withdraw(wish.event_id)
    await stage.ended(wish.event_id, "CANCELLED", stage.allow.judged_s * 2, since=since)


async def replays(stage: Stage) -> None:
    """The same message again is answered again and acts once; what is older than the last is dropped."""
    wish = stage.wish("again", limit_kw=0.0, event_class="TEST", starts_in_s=600)
    since = await stage.order(wish)
    message = stage.console.book.live[wish.event_id]
    topic = stage.console.voice.topic("events/create")
    before = len(stage.console.heard.acks)
    await stage.console.say(topic, {"objectType": "EVENT", "operation": "CREATE", "object": message})
    await stage.passes(stage.allow.nothing_s)
    again = stage.console.heard.states(wish.event_id, since=before)
    if again.count("ACCEPTED") and "RECEIVED" in again:
        raise BrokenRuleError(f"{wish.event_id}: a replay was taken for a new event: {again}")
    old = stage.wish("old", limit_kw=0.0)
    body = stage.console.voice.event(old, epoch=stage.console.book.epoch, seq=1, now_ms=stage.console.clock.now_ms())
    await stage.console.say(*stage.console.voice.notification("CREATE", body))
    await stage.unanswered(old.event_id, since=before)
    await stage.console.withdraw(wish.event_id)
    await stage.ended(wish.event_id, "CANCELLED", stage.allow.judged_s * 2, since=since)


async def rehearsal(stage: Stage) -> None:
    """A TEST goes through every step but the last, and says so."""
    power = stage.power_kw()
    wish = stage.wish("test", limit_kw=0.5 * power, event_class="TEST", for_s=8)
    since = await stage.order(wish)
    await stage.ended(wish.event_id, "COMPLETED", 8 + stage.allow.terminal_s, since=since)
    told = [said.body for said in stage.console.heard.of(wish.event_id, since=since)]
    if not any(str(body.get("reason", "")).startswith("TEST") for body in told):
        raise BrokenRuleError(f"{wish.event_id}: no ack names the reason TEST")


async def plans(stage: Stage) -> None:
    """An event of the future is scheduled, changed, and withdrawn before it began."""
    wish = stage.wish("later", limit_kw=1e6, starts_in_s=300)
    since = await stage.order(wish)
    await stage.told(wish.event_id, {"SCHEDULED"}, stage.allow.judged_s * 2, since=since)
    await stage.console.withdraw(wish.event_id)
    await stage.ended(wish.event_id, "CANCELLED", stage.allow.judged_s * 2, since=since)


async def signatures(stage: Stage) -> None:
    """Every ack of this run carries the site's own signature."""
    if stage.site_key is None:
        raise NotTriedError("no --site-key given: acks were not checked for the site's signature")
    topic = f"{stage.console.up}/ack"
    acks = [said.body for said in stage.console.heard.acks]
    bad = [body.get("eventId") for body in acks if not is_signed("ack", body, topic, stage.site_key)]
    if bad:
        raise BrokenRuleError(
            f"{len(bad)} of {len(stage.console.heard.acks)} acks are not signed by the site: {bad[:3]}"
        )


async def emptiness(stage: Stage) -> None:
    """An empty retained snapshot changes nothing and cancels nothing."""
    wish = stage.wish("stays", limit_kw=1e6, starts_in_s=300)
    since = await stage.order(wish)
    await stage.console.say(stage.console.voice.topic("snapshot"), b"", retain=True)
    await stage.passes(stage.allow.nothing_s)
    told = stage.console.heard.states(wish.event_id, since=since)
    await stage.console.withdraw(wish.event_id)  # lists the live set again
    if "CANCELLED" in told:
        raise BrokenRuleError(f"{wish.event_id}: cancelled by an empty retained snapshot")
    await stage.ended(wish.event_id, "CANCELLED", stage.allow.judged_s * 2, since=since)
