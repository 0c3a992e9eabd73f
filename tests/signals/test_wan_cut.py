"""The WAN between headquarters and a site is cut for an hour, and the site's broker is killed in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from farmctl.core.fleet import FleetView
from farmctl.core.grid import SiteMode
from farmctl.core.reasons import Reason
from farmctl.engine.inbox import GridInbox
from farmctl.ports.programme import ShareOrder
from farmctl.ports.store import RecordKind
from farmctl.signals.kit.unit import SiteUnit, UnitTerms
from farmctl.store.memory import MemoryStore
from farmctl.wiring.uplinks import JournalKeeper
from tests.signals.conftest import Mosquitto
from tests.signals.two_ends import EPOCH, SITE_SEED, TwoEnds, gate_of, two_ends
from tests.signals.wan import Wan, bridged
from tests.signals.words import WallClock

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

CUT_S = 3_600
ORDER_EVERY_S = 300
HOLDS_S = 6_000
"""The share outlasts the cut: it is the cap that must hold."""
SETTLES_S = 120
STRIDE_S = 10
SHARE = "surplus-dispatch-share"


class Programme:
    """Headquarters' end: its unit, its journal, and the cap that the site was given."""

    def __init__(self, ends: TwoEnds, unit: SiteUnit, store: MemoryStore, wan: Wan) -> None:
        self.ends, self.unit, self.store, self.wan = ends, unit, store, wan
        self.rated_w = ends.site.day.rated_w
        self.orders = 0
        self.cap_w = self.rated_w
        self.over: list[tuple[int, float]] = []
        ends.site.lookouts.append(self._weigh)

    def _weigh(self, view: FleetView) -> None:
        if (power_w := self.ends.site.day.mean_w(10)) > 1.01 * self.cap_w:
            self.over.append((view.meter.at_ms, power_w))

    def orders_share(self, part: float, *, holds_s: int = HOLDS_S) -> None:
        self.orders += 1
        share_w = part * self.rated_w
        self.unit.want(ShareOrder(number=self.orders, share_w=share_w, emergency=False, holds_s=holds_s))

    async def heard(self, channel: str) -> list[dict[str, Any]]:
        """What headquarters holds of the site, as it came."""
        records = [r.record.body async for r in self.store.records(kinds=frozenset({RecordKind.UPLINK}))]
        return [dict(body["message"]) for body in records if body["channel"] == channel]  # type: ignore[arg-type]

    async def numbers(self) -> list[int]:
        return [int(str(r.record.body["no"])) async for r in self.store.records(kinds=frozenset({RecordKind.UPLINK}))]

    async def heals(self) -> None:
        """The path is whole again; no time passes until the site hears headquarters through it."""
        self.ends.goes_on.clear()
        await self.wan.heal()
        console, hearing = self.ends.console, self.ends.site.source._intake
        while hearing.hearing.beat != (EPOCH, console.book.beats):
            await console.beat()
            await asyncio.sleep(0.1)
        self.ends.cut = False
        self.ends.goes_on.set()


@contextlib.asynccontextmanager
async def programme(near: Mosquitto, folder: Path) -> AsyncIterator[Programme]:
    far, store = Mosquitto(near.program, folder), MemoryStore()
    wan = Wan(far)
    async with contextlib.AsyncExitStack() as stack:
        await far.start()
        stack.push_async_callback(far.kill)
        await stack.enter_async_context(wan.laid())
        bridged(near, wan)
        keeper = JournalKeeper(site="site-07", store=store)
        inbox = GridInbox(store, WallClock(), asyncio.Event())
        gate = gate_of(inbox.refuse)
        signed = two_ends(near, far=far, keeper=keeper, gate=gate, site_seed=SITE_SEED)
        ends = await stack.enter_async_context(signed)
        ends.site.stride_s, ends.site.day.poll_s = STRIDE_S, 1.0
        await ends.console.speak()
        unit = SiteUnit(UnitTerms(programme="surplus-dispatch", firm_w=9e6), ends.console)
        task = asyncio.ensure_future(unit._send_for_ever())
        stack.callback(task.cancel)
        yield Programme(ends, unit, store, wan)
        assert Reason.UNKNOWN_ISSUER not in {reason for _, reason in inbox.refused}  # the site's own words, all of them


def at_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def reported(reports: list[dict[str, Any]]) -> list[tuple[int, int, float]]:
    """(from, to, kWh) of each report of the share, in order of time."""
    found = []
    for report in reports:
        interval = report["resources"][0]["intervals"][0]
        begins_ms, lasts_s = at_ms(interval["intervalPeriod"]["start"]), interval["intervalPeriod"]["duration"][2:-1]
        values = {value["type"]: value["values"][0] for value in interval["payloads"]}
        assert {"DEMAND", "USAGE"} <= set(values), report
        found.append((begins_ms, begins_ms + round(float(lasts_s) * 1_000), values["USAGE"]))
    return sorted(found)


def energy_kwh(there: Programme, from_ms: int, to_ms: int) -> float:
    """By the site's true meter; each sample stands for the time since the one before."""
    watts = {at_ms: watts for at_ms, watts in there.ends.site.day.meter if from_ms <= at_ms <= to_ms}
    times = sorted(watts)
    return sum(watts[after] * (after - before) for before, after in itertools.pairwise(times)) / 3.6e9


async def test_an_hour_without_wan_and_a_killed_broker_hold_the_cap_lose_nothing_and_double_nothing(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    (far_folder := tmp_path / "far").mkdir()
    async with programme(mosquitto, far_folder) as there:
        ends, site = there.ends, there.ends.site
        there.orders_share(0.6)
        await ends.passes(SETTLES_S)
        there.cap_w = 0.6 * there.rated_w
        cut_ms = site.clock.at_ms
        ends.cut = True
        there.wan.cut()
        for number in range(CUT_S // ORDER_EVERY_S):
            if number == CUT_S // ORDER_EVERY_S // 2:
                assert site.source._post.outbox.unsettled
                await mosquitto.kill()
                await ends.passes(60)
                await mosquitto.start()
            there.orders_share(0.9 - 0.01 * number)  # none of these may raise anything, now or later
            await ends.passes(ORDER_EVERY_S)
        there.orders_share(0.5)
        await ends.passes(STRIDE_S)
        healed_ms = site.clock.at_ms
        assert healed_ms - cut_ms >= CUT_S * 1_000
        assert site.day.modes[-1] is SiteMode.FAILSAFE
        assert there.wan.lost
        await there.heals()
        await ends.passes(SETTLES_S)
        assert site.day.modes[-1:] == [SiteMode.FOLLOWING]
        there.cap_w = 0.5 * there.rated_w
        there.orders_share(0.5, holds_s=SETTLES_S)
        await ends.passes(SETTLES_S)
        there.cap_w = there.rated_w
        await ends.passes(SETTLES_S)
        await judge(there, cut_ms, healed_ms)


async def judge(there: Programme, cut_ms: int, healed_ms: int) -> None:
    site, outbox = there.ends.site, there.ends.site.source._post.outbox
    assert there.over == []  # the cap held
    assert sorted(await there.numbers()) == list(range(outbox._tail))  # nothing lost, nothing held twice
    assert (outbox.unsettled, outbox.dropped) == (0, 0)
    acks = await there.heard("ack")
    held = Counter((ack["msgId"], ack["eventId"], ack["state"], at_ms(ack["ts"])) for ack in acks)
    said = Counter((ack.msg_id, ack.event_id, ack.state.value, ack.at_ms) for ack in site.acks)
    assert said <= held
    accepted = Counter(ack.msg_id for ack in site.acks if ack.state.value == "ACCEPTED")
    assert set(accepted.values()) == {1}  # nothing applied twice
    assert [ack["state"] for ack in acks if ack["eventId"] == SHARE][-1] == "COMPLETED"
    spans = reported(await there.heard("report"))
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))  # no minute is missing or double
    assert spans[0][0] < cut_ms
    assert spans[-1][1] > healed_ms + SETTLES_S * 1_000
    told_kwh = sum(kwh for _, _, kwh in spans)
    assert told_kwh == pytest.approx(energy_kwh(there, spans[0][0], spans[-1][1]), rel=0.001)
