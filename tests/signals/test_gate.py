"""Who has the broker and not the site's key: whatever is made of what a site has said, nothing of it counts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.core.reasons import Reason
from farmctl.ports.grid import Capability, Refusal
from farmctl.signals._intake.keys import IssuerKey, Keyring
from farmctl.signals._intake.signature import public_of
from farmctl.signals.kit.gate import MOST_WAITING, Gate, GateTerms
from farmctl.signals.uplink import Offer, Sender, ack_json, capability_json, encoded, state_json, telemetry_json
from farmctl.signals.uplink.reports import encoded_report, report_json
from tests.signals.dispatcher import ack_of, site_state, telemetry
from tests.signals.words import JsonObject

SITE = "site-07"
ROOT = f"site/v1/{SITE}"
SITE_SEED, OTHER_SEED, NEXT_SEED = bytes([21] * 32), bytes([22] * 32), bytes([23] * 32)
NOW_MS = 1_795_428_323_000
"""A second after what the tests' site says."""
STALE_MS = 30_000
CHANNELS = ("ack", "report", "telemetry", "state", "capability")


class Door:
    """A gate, and what it has turned away."""

    def __init__(self, *seeds: bytes, **changes: Any) -> None:
        self.refused: list[Refusal] = []
        keys = {f"k{n}": IssuerKey(public=public_of(seed)) for n, seed in enumerate(seeds or (SITE_SEED,))}
        terms = {"site": SITE, "root": ROOT, "keys": Keyring(keys=keys), "stale_ms": STALE_MS, **changes}
        self.gate = Gate(GateTerms(**terms), self._refuse)

    async def _refuse(self, refusal: Refusal) -> None:
        self.refused.append(refusal)

    def hears(self, channel: str, raw: bytes, at_ms: int = NOW_MS) -> str:
        """Empty where it counts, else why not."""
        waiting = len(self.gate._waiting)
        if self.gate.admits(channel, raw, at_ms):
            assert len(self.gate._waiting) == waiting
            return ""
        assert len(self.gate._waiting) == waiting + 1
        assert self.gate._waiting[-1].raw == raw
        return self.gate._waiting[-1].reason


def said(channel: str, *, seed: bytes | None = SITE_SEED, site: str = SITE, at_ms: int = NOW_MS - 1_000) -> bytes:
    """A message of a site, as a site writes it."""
    sender, topic = Sender(site=site, controller_id="ctl", seed=seed), f"site/v1/{site}/{channel}"
    able = Capability(
        at_ms=at_ms, rated_w=25e6, safe_min_w=3e5, failsafe_limit_w=9e6, subscription_w=25e6,
        down_w_in_s={5: 1e6}, up_w_in_s={60: 1e6}, ramp_up_w_per_s=1e4,
    )  # fmt: skip
    body: Any
    match channel:
        case "ack":
            body = ack_json(ack_of("ev-1"), sender, {"id": "box", "no": 5})
        case "report":
            span, mark = (at_ms - 60_000, at_ms), {"id": "box", "no": 6}
            body = report_json("ev-1", [{"type": "DEMAND", "values": [18.5]}], span, sender, 3, mark)  # type: ignore[arg-type]
            return encoded_report(body, topic=topic, sender=sender)
        case "telemetry":
            body = telemetry_json(telemetry(at_ms=at_ms), sender)
        case "state":
            body = state_json(site_state(at_ms=at_ms), sender, 3)
        case _:
            offer = Offer(sources=("openadr3.1",), signed=True, payload_types=("SIMPLE",))
            body = capability_json(able, offer, sender, 4)
    return encoded(body, topic=topic, sender=sender)


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_the_site_signed_counts_and_what_it_did_not_sign_is_refused_with_the_reason(channel: str) -> None:
    door = Door()
    assert door.hears(channel, said(channel, seed=None)) == Reason.UNKNOWN_ISSUER
    assert "sig is missing" in door.gate._waiting[-1].detail
    assert door.hears(channel, said(channel, seed=OTHER_SEED)) == Reason.UNKNOWN_ISSUER
    assert door.hears(channel, said(channel, site="site-08")) == Reason.UNKNOWN_ISSUER
    assert door.hears(channel, said(channel)) == ""
    assert {r.source for r in door.gate._waiting} == {"programme.site-07"}
    assert {r.topic for r in door.gate._waiting} == {f"{ROOT}/{channel}"}


def test_during_a_rotation_either_key_signs_and_one_whose_time_is_over_does_not() -> None:
    both = Door(SITE_SEED, NEXT_SEED)
    assert both.hears("ack", said("ack")) == both.hears("ack", said("ack", seed=NEXT_SEED)) == ""
    old = {"old": IssuerKey(public=public_of(SITE_SEED), not_after_ms=NOW_MS)}
    assert Door(keys=Keyring(keys=old)).hears("ack", said("ack")) == Reason.UNKNOWN_ISSUER


def test_a_bridge_may_rename_topics_as_long_as_it_is_known_what_the_site_signed() -> None:
    raw = said("telemetry")
    assert Door(root="plant/v1/site-07").hears("telemetry", raw) == Reason.UNKNOWN_ISSUER
    assert Door(root=ROOT).hears("telemetry", raw) == ""


JUNK: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=90) | st.just([]) | st.just({})
)


def meant(raw: bytes) -> JsonObject:
    """What it says; a signature may be written in more than one way."""
    body: JsonObject = json.loads(raw)
    body.get("x-farmctl", body)["sig"] = ""
    return body


@given(st.data())
def test_nothing_that_is_made_of_a_site_s_words_without_its_key_ever_counts(data: st.DataObject) -> None:
    spoken = channel = data.draw(st.sampled_from(CHANNELS))
    good = said(spoken)
    body: JsonObject = json.loads(good)
    header = body["x-farmctl"] if channel == "report" and data.draw(st.booleans()) else body
    name, raw = data.draw(st.sampled_from(sorted(header))), good
    match data.draw(st.sampled_from(("change", "drop", "add", "elsewhere", "bytes"))):
        case "change":
            header[name] = data.draw(JUNK)
        case "drop":
            del header[name]
        case "add":
            header[data.draw(st.text(max_size=9))] = data.draw(JUNK)
        case "elsewhere":
            channel = data.draw(st.sampled_from([other for other in CHANNELS if other != channel]))
        case _:
            place, octet = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 255))
            raw = good[:place] + bytes([octet]) + good[place + 1 :]
    if raw is good:
        raw = json.dumps(body).encode()
    admitted = Door().gate.admits(channel, raw, NOW_MS)
    assert not admitted or (channel == spoken and meant(raw) == meant(good))


def test_telemetry_counts_once_in_order_and_while_it_is_fresh() -> None:
    door = Door()
    first, second = said("telemetry", at_ms=NOW_MS - 4_000), said("telemetry", at_ms=NOW_MS - 2_000)
    assert door.hears("telemetry", second) == ""
    assert door.hears("telemetry", second) == Reason.DUPLICATE
    assert door.hears("telemetry", first) == Reason.OLD_SEQUENCE
    assert door.hears("telemetry", said("telemetry", at_ms=NOW_MS + 5_001)) == Reason.CLOCK_AHEAD
    assert door.hears("telemetry", said("telemetry", at_ms=NOW_MS)) == ""
    assert Door().hears("telemetry", first, NOW_MS + STALE_MS) == ""  # the clocks may be 5 s apart
    assert Door().hears("telemetry", first, NOW_MS + STALE_MS + 1_001) == Reason.EXPIRED


@pytest.mark.parametrize("channel", ["state", "capability"])
def test_a_retained_message_is_read_again_as_often_as_it_comes_and_an_older_one_never(channel: str) -> None:
    door = Door()
    old, new = said(channel, at_ms=NOW_MS - 7_200_000), said(channel)
    assert door.hears(channel, old) == ""  # the site may be away since then
    assert door.hears(channel, new) == door.hears(channel, new) == ""
    assert door.hears(channel, old) == Reason.OLD_SEQUENCE
    assert door.hears(channel, b"") == Reason.NOT_JSON
    assert door.hears(channel, said(channel, at_ms=NOW_MS + 5_001)) == Reason.CLOCK_AHEAD


def test_without_keys_everything_but_the_signature_is_still_looked_at() -> None:
    door = Door(keys=None)
    assert door.hears("ack", said("ack", seed=None)) == door.hears("ack", said("ack", seed=OTHER_SEED)) == ""
    assert door.hears("ack", said("ack", seed=None, site="site-08")) == Reason.NOT_FOR_THIS_SITE
    assert door.hears("telemetry", said("telemetry", seed=None, at_ms=NOW_MS - 60_000)) == Reason.EXPIRED
    assert door.hears("ack", b"[]") == Reason.NOT_JSON
    assert door.hears("report", b"{}") == Reason.BAD_FIELD
    assert door.hears("ack", b'{"v": 2}') == Reason.UNSUPPORTED


def test_a_site_that_does_not_sign_telemetry_may_leave_it_out_there_and_nowhere_else() -> None:
    door = Door(bare=frozenset({"telemetry"}))
    assert door.hears("telemetry", said("telemetry", seed=OTHER_SEED)) == Reason.UNKNOWN_ISSUER
    assert door.hears("telemetry", said("telemetry", seed=None)) == ""
    assert door.hears("state", said("state", seed=None)) == Reason.UNKNOWN_ISSUER


def test_only_the_topics_of_the_contract_are_heard() -> None:
    gate = Door().gate
    assert gate.admits("status", b"a hint", NOW_MS)
    assert not gate.admits("elsewhere/ack", said("ack"), NOW_MS)
    assert not gate._waiting


async def test_what_was_refused_is_handed_on_in_order_and_a_flood_does_not_pile_up() -> None:
    door = Door()
    for number in range(MOST_WAITING + 5):
        door.gate.admits("ack", b"%d" % number, NOW_MS)
    assert door.gate.dropped == 5
    task = asyncio.ensure_future(door.gate.run())
    async with asyncio.timeout(20):
        while len(door.refused) < MOST_WAITING:  # noqa: ASYNC110 - the gate knows nobody who waits for it
            await asyncio.sleep(0)
    task.cancel()
    assert [r.raw for r in door.refused] == [b"%d" % number for number in range(MOST_WAITING)]
