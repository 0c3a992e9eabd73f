"""Somebody who may publish on a site's broker and has not its key: headquarters counts what it counted before."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt
import pytest

from farmctl.core.model import Quality
from farmctl.core.reasons import Reason
from farmctl.engine.inbox import GridInbox
from farmctl.ports.programme import ShareOrder
from farmctl.ports.store import RecordKind
from farmctl.signals._intake.duration import rfc3339
from farmctl.signals._intake.signature import sign
from farmctl.signals.kit.unit import SiteUnit, UnitTerms
from farmctl.store.memory import MemoryStore
from farmctl.wiring.uplinks import JournalKeeper
from tests.signals.conftest import Mosquitto
from tests.signals.two_ends import SITE_SEED, TwoEnds, gate_of, two_ends
from tests.signals.words import JsonObject, WallClock

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

OTHER_SITE_SEED = bytes([32] * 32)
ROOT = "site/v1/site-07"
SOURCE = "programme.site-07"


class Besieged:
    """A site that signs, headquarters that knows its key, and a stranger on the broker."""

    def __init__(self, ends: TwoEnds, unit: SiteUnit, inbox: GridInbox, stranger: aiomqtt.Client) -> None:
        self.ends, self.unit, self.inbox, self.stranger = ends, unit, inbox, stranger
        self.rated_w = ends.site.day.rated_w
        self.overheard: list[tuple[str, bytes]] = []
        """What the site has published, in order: (topic, payload)."""

    async def tells(self, part: float) -> None:
        """Say a share and wait until the site has accepted it, and the stranger has overheard an ack."""
        share_w = part * self.rated_w
        self.unit.want(ShareOrder(number=1, share_w=share_w, emergency=False, holds_s=600))
        await self.until(lambda: self.unit.view().acked_w == share_w)
        await self.until(lambda: any(topic.endswith("/ack") for topic, _ in self.overheard))

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait for the network; time passes."""
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110 - what is waited for lies behind a real broker
                await asyncio.sleep(0.005)

    async def forges(self, leaf: str, body: JsonObject | bytes, *, reason: Reason, retain: bool = False) -> None:
        """Publish it on the site's topic, and see it refused for that reason."""
        before = self.inbox.refused[SOURCE, reason]
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.stranger.publish(f"{ROOT}/{leaf}", raw, qos=1, retain=retain)
        await self.until(lambda: self.inbox.refused[SOURCE, reason] > before)

    def last(self, leaf: str) -> JsonObject:
        """The site's newest message there."""
        found: JsonObject = json.loads(self.overheard_last(leaf))
        return found

    def overheard_last(self, leaf: str) -> bytes:
        """It, as it came."""
        return next(raw for topic, raw in reversed(self.overheard) if topic.endswith(leaf))

    def counted_w(self) -> tuple[float, float]:
        """(granted, confirmed) as headquarters counts the site."""
        report = self.unit.report()
        return self.unit.granted_w(), float("nan") if report is None else report.power_w

    async def listens(self) -> None:
        async for message in self.stranger.messages:
            self.overheard.append((str(message.topic), bytes(message.payload)))


@contextlib.asynccontextmanager
async def besieged(mosquitto: Mosquitto, *, signs_telemetry: bool = True) -> AsyncIterator[Besieged]:
    store = MemoryStore()
    inbox = GridInbox(store, WallClock(), asyncio.Event())
    gate = gate_of(inbox.refuse, bare=frozenset() if signs_telemetry else frozenset({"telemetry"}))
    keeper = JournalKeeper(site="site-07", store=store)
    ends_of = two_ends(mosquitto, keeper=keeper, gate=gate, site_seed=SITE_SEED)
    async with ends_of as ends, aiomqtt.Client(mosquitto.host, mosquitto.port) as stranger:
        await stranger.subscribe(f"{ROOT}/#", qos=1)
        unit_terms = UnitTerms(programme="surplus-dispatch", firm_w=9e6, signs_telemetry=signs_telemetry)
        there = Besieged(ends, SiteUnit(unit_terms, ends.console), inbox, stranger)
        await ends.console.speak()
        tasks = [asyncio.ensure_future(there.unit._send_for_ever()), asyncio.ensure_future(there.listens())]
        try:
            await there.until(lambda: there.unit.report() is not None)
            yield there
            refusals = [r.record.body async for r in store.records(kinds=frozenset({RecordKind.REFUSAL}))]
            assert len(refusals) == inbox.refused.total()  # the journal has each one, verbatim and with its reason
            assert all(body["source"] == SOURCE and body["detail"] and "raw" in body for body in refusals)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def ack(there: Besieged, **changes: Any) -> JsonObject:
    """An ack of the share that headquarters sent last, as anybody may make it who can read the broker."""
    pending = there.unit._sent[-1][0]
    now = {"msgId": pending, "state": "REACHED", "ts": rfc3339(there.ends.site.clock.at_ms), "measuredKw": 0.0}
    return {**there.last("/ack"), **now, "outbox": {"id": "forged", "no": 1}, **changes}


def bare(body: JsonObject) -> JsonObject:
    return {name: value for name, value in body.items() if name != "sig"}


async def test_nobody_else_can_say_that_a_site_has_accepted_or_shed(mosquitto: Mosquitto) -> None:
    async with besieged(mosquitto) as there:
        await there.tells(0.8)
        await there.ends.stands_still()
        there.unit.want(ShareOrder(number=2, share_w=0.1 * there.rated_w, emergency=True, holds_s=600))
        await there.until(lambda: there.unit._sent)
        before = there.counted_w()
        forged = bare(ack(there))
        topic, unknown = f"{ROOT}/ack", Reason.UNKNOWN_ISSUER
        await there.forges("ack", {**ack(there), "sig": "A" * 86 + "=="}, reason=unknown)
        await there.forges("ack", forged, reason=unknown)
        await there.forges("ack", {**forged, "sig": sign(OTHER_SITE_SEED, topic, forged)}, reason=unknown)
        foreign = {**forged, "site": "site-08"}
        await there.forges("ack", {**foreign, "sig": sign(SITE_SEED, topic, foreign)}, reason=Reason.NOT_FOR_THIS_SITE)
        elsewhere = sign(OTHER_SITE_SEED, "site/v1/site-08/ack", forged)
        await there.forges("ack", {**forged, "sig": elsewhere}, reason=unknown)
        assert there.unit._sent
        assert there.unit.view().acked_w == 0.8 * there.rated_w
        assert there.counted_w() == before
        there.ends.goes_on.set()
        await there.until(lambda: there.unit.view().acked_w == 0.1 * there.rated_w)  # the site's own word counts


async def test_telemetry_that_somebody_else_wrote_or_repeats_lowers_nothing(mosquitto: Mosquitto) -> None:
    async with besieged(mosquitto) as there:
        await there.tells(0.2)
        await there.ends.passes(60)
        low = there.overheard_last("/telemetry")
        await there.tells(0.9)
        await there.ends.passes(120)
        await there.ends.stands_still()
        heard = there.ends.console.heard.latest
        await there.until(lambda: heard["telemetry"].body == there.last("/telemetry"))
        newest = there.overheard_last("/telemetry")
        granted_w, drawn_w = there.counted_w()
        assert drawn_w > 0.5 * there.rated_w
        lie = {**there.last("/telemetry"), "kw": 1.0, "ts": rfc3339(there.ends.site.clock.at_ms)}
        await there.forges("telemetry", lie, reason=Reason.UNKNOWN_ISSUER)
        await there.forges("telemetry", bare(lie), reason=Reason.UNKNOWN_ISSUER)
        await there.forges("telemetry", low, reason=Reason.EXPIRED)
        await there.forges("telemetry", newest, reason=Reason.DUPLICATE)
        limit = {**bare(there.last("/state")), "limitSources": [{"source": "x", "kw": 1.0, "until": None}]}
        limit |= {"ts": rfc3339(there.ends.site.clock.at_ms), "seq": 10**6, "lastEpoch": 2**53 - 2}
        await there.forges("state", limit, reason=Reason.UNKNOWN_ISSUER, retain=True)
        await there.forges("state", b"", reason=Reason.NOT_JSON, retain=True)
        assert there.counted_w() == (granted_w, drawn_w)
        report = there.unit.report()
        assert report is not None
        assert report.own_limit_w == pytest.approx(there.rated_w)
        there.ends.goes_on.set()
        await there.tells(0.5)  # and the honest site goes on undisturbed
        await there.until(lambda: 0.45 * there.rated_w < there.counted_w()[1] < 0.52 * there.rated_w)


async def test_an_ack_or_report_that_is_played_again_is_answered_and_changes_nothing(mosquitto: Mosquitto) -> None:
    async with besieged(mosquitto) as there:
        await there.tells(0.8)
        old = [raw for topic, raw in there.overheard if topic.endswith("/ack")]
        assert old
        await there.tells(0.3)
        await there.until(lambda: not there.ends.site.source._post.outbox.unsettled)
        counted = there.unit.granted_w()
        for raw in old:
            await there.forges("ack", raw, reason=Reason.DUPLICATE)
        assert there.unit.granted_w() == counted == 0.3 * there.rated_w
        assert there.inbox.refused[SOURCE, Reason.DUPLICATE] >= len(old)


async def test_a_site_without_signed_telemetry_has_shed_only_when_its_signed_word_says_that_it_measured_it(
    mosquitto: Mosquitto,
) -> None:
    async with besieged(mosquitto, signs_telemetry=False) as there:
        high_w, low_w = 0.8 * there.rated_w, 0.2 * there.rated_w
        await there.tells(0.8)
        await there.until(lambda: there.unit.granted_w() == high_w)
        await there.ends.stands_still()
        heard = there.ends.console.heard
        lie = {**bare(heard.latest["telemetry"].body), "kw": 1.0, "ts": rfc3339(there.ends.site.clock.at_ms + 1)}
        await there.stranger.publish(f"{ROOT}/telemetry", json.dumps(lie).encode(), qos=1)
        await there.until(lambda: heard.latest["telemetry"].body["kw"] == 1.0)
        assert there.counted_w() == (high_w, high_w)
        report = there.unit.report()
        assert report is not None
        assert report.quality is Quality.ESTIMATED
        after: list[tuple[str, float]] = []
        heard.told = lambda said: after.append((str(said.body.get("state", "")), there.unit.granted_w()))
        there.ends.goes_on.set()
        there.unit.want(ShareOrder(number=2, share_w=low_w, emergency=False, holds_s=600))
        await there.until(lambda: there.unit.granted_w() == low_w)
        assert ("ACCEPTED", high_w) in after
        assert {state for state, watts in after if watts == high_w} >= {"RECEIVED", "ACCEPTED", "RAMPING"}
        assert next(state for state, watts in after if watts == low_w) == "REACHED"
