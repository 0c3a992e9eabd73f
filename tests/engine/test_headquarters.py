"""Headquarters in its own time: a figure comes in, every site is told its share, and the journal says from what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from typing_extensions import override

from farmctl.core.grid import SiteMode
from farmctl.core.model import Quality
from farmctl.core.programme.governor import Manners, Wanted
from farmctl.engine.programme import Headquarters, Unit
from farmctl.engine.summed import SumMeter
from farmctl.errors import StoreError
from farmctl.ports.programme import LinkView, ShareOrder, SiteLink, SiteReport
from farmctl.ports.store import JournalRecord, RecordKind, StoredRecord
from farmctl.store.memory import MemoryStore

MW = 1e6
MANNERS = Manners(step_w=100 * MW, window_s=10.0, spread_s=0.0)


class Hour:
    """Time that the story moves."""

    def __init__(self) -> None:
        self.at_ms = 1_795_510_800_000

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Plant(SiteLink):
    """A site that follows what it is told at its own ramp, unless it is deaf or silent."""

    def __init__(self, name: str, clock: Hour, *, full_w: float, drawn_w: float, price: float) -> None:
        self.name = name
        self.clock = clock
        self.full_w = full_w
        self.price = price
        self.drawn_w = drawn_w
        self.told: list[ShareOrder] = []
        self.deaf = False
        self.silent = False
        self.heard_ms = clock.at_ms
        self.acked_w = drawn_w
        self.own_limit_w = float("inf")

    @override
    async def run(self) -> None:
        await asyncio.Event().wait()

    @override
    def want(self, order: ShareOrder) -> None:
        self.told.append(order)

    @override
    def granted_w(self) -> float:
        return max(self.acked_w, self.told[-1].share_w if self.told else 0.0)

    @override
    def view(self) -> LinkView:
        return LinkView(connected=not self.silent, asked_w=None, acked_w=self.acked_w, refused="")

    @override
    def report(self) -> SiteReport | None:
        return SiteReport(
            at_ms=self.heard_ms,
            power_w=self.drawn_w,
            min_w=0.0,
            max_w=self.full_w,
            ramp_up_w_per_s=self.full_w / 20,
            ramp_down_w_per_s=self.full_w / 5,
            up_available_w=self.full_w - self.drawn_w,
            down_available_w=self.drawn_w,
            hash_rate_hs=self.drawn_w * self.price,
            mode=SiteMode.FOLLOWING,
            quality=Quality.OK,
            on=1,
            throttled=0,
            sleep=0,
            offline=0,
            own_limit_w=self.own_limit_w,
        )

    def second(self) -> None:
        if not self.silent:
            self.heard_ms = self.clock.at_ms
        if not self.told or self.deaf or self.silent:
            return
        self.acked_w = self.told[-1].share_w
        low_w, high_w = self.drawn_w - self.full_w / 5, self.drawn_w + self.full_w / 20
        self.drawn_w = min(max(self.acked_w, low_w), high_w)


class BrokenDisk(MemoryStore):
    """Takes nothing while it is full."""

    full = False

    @override
    async def append(
        self, records: Sequence[JournalRecord], states: Mapping[str, bytes] | None = None
    ) -> StoredRecord | None:
        if self.full:
            raise StoreError("disk full")
        return await super().append(records, states)


class Programme:
    """Three unlike sites and their headquarters."""

    def __init__(self, manners: Manners = MANNERS, *, drawn: float = 1.0) -> None:
        self.clock, self.store = Hour(), BrokenDisk()
        sizes = {"good": (40 * MW, 3.0), "fair": (60 * MW, 2.0), "poor": (50 * MW, 1.0)}
        self.plants = {
            name: Plant(name, self.clock, full_w=full_w, drawn_w=drawn * full_w, price=price)
            for name, (full_w, price) in sizes.items()
        }
        units = [Unit(link=plant, rated_w=plant.full_w) for plant in self.plants.values()]
        self.hq = Headquarters(units, manners, self.store, self.clock, holds_s=600, rated_w=150 * MW)

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.hq.turn()
            self.clock.at_ms += 1_000
            for plant in self.plants.values():
                plant.second()

    def want(self, megawatts: float, *, emergency: bool = False) -> None:
        self.hq.want(Wanted(figure_w=megawatts * MW, event=f"to-{megawatts:g}", emergency=emergency))

    @property
    def drawn_mw(self) -> dict[str, float]:
        return {name: round(plant.drawn_w / MW, 3) for name, plant in self.plants.items()}

    @property
    def total_mw(self) -> float:
        return sum(plant.drawn_w for plant in self.plants.values()) / MW


async def test_a_figure_is_split_by_cost_and_the_sum_of_what_sites_may_draw_never_passes_it_again() -> None:
    there = Programme()
    there.want(90)
    await there.run(10)
    assert there.drawn_mw == {"good": 40.0, "fair": 50.0, "poor": 0.0}
    there.want(120)
    for _ in range(40):
        await there.run(1)
        assert sum(plant.granted_w() for plant in there.plants.values()) <= 120 * MW + 1
    assert there.total_mw == pytest.approx(120, abs=0.2)


async def test_a_share_that_does_not_change_is_renewed_before_it_ends_and_not_repeated_before_that() -> None:
    there = Programme()
    there.want(90)
    await there.run(10)
    before = len(there.plants["good"].told)
    await there.run(280)
    assert len(there.plants["good"].told) == before
    await there.run(40)
    assert len(there.plants["good"].told) == before + 1
    assert there.plants["good"].told[-1].share_w == there.plants["good"].told[-2].share_w


async def test_an_emergency_goes_out_as_one_and_past_the_step_and_its_end_is_told_too() -> None:
    slow = replace(MANNERS, step_w=20 * MW)
    calm, urgent = Programme(slow), Programme(slow)
    calm.want(0)
    urgent.want(0, emergency=True)
    await calm.run(6)
    await urgent.run(6)
    assert calm.total_mw > 120
    assert urgent.total_mw < 5
    assert {plant.told[-1].emergency for plant in urgent.plants.values()} == {True}
    urgent.want(30)
    await urgent.run(2)
    assert {plant.told[-1].emergency for plant in urgent.plants.values()} == {False}


async def test_a_silent_site_counts_at_its_worst_and_the_others_make_room_for_it() -> None:
    there = Programme()
    there.want(150)
    await there.run(10)
    there.plants["poor"].silent = True
    await there.run(32)
    there.want(100)
    await there.run(20)
    assert there.hq.latest is not None
    shares = {unit.name: unit.share for unit in there.hq.latest.units}
    assert shares["poor"].why == "stale"
    assert there.drawn_mw == {"good": 40.0, "fair": 10.0, "poor": 50.0}


async def test_a_site_s_own_limit_wins_and_what_it_cannot_take_goes_to_the_next() -> None:
    there = Programme(drawn=0.5)
    there.plants["good"].own_limit_w = 10 * MW
    there.want(80)
    await there.run(60)
    assert there.drawn_mw == {"good": 10.0, "fair": 60.0, "poor": pytest.approx(10.0, abs=0.2)}


async def test_while_nothing_can_be_written_no_site_is_raised_but_any_may_be_lowered() -> None:
    there = Programme(drawn=0.5)
    there.want(75)
    await there.run(20)
    there.store.full = True
    there.want(140)
    before = there.total_mw
    await there.run(30)
    assert there.total_mw <= before + 0.1
    there.want(40)
    await there.run(30)
    assert there.total_mw <= 40.1
    there.store.full = False
    there.want(140)
    await there.run(60)
    assert there.total_mw == pytest.approx(140, abs=0.5)


async def test_the_journal_holds_each_split_with_the_figure_the_rule_and_every_site_s_inputs() -> None:
    there = Programme()
    there.want(90)
    await there.run(10)
    records = [r.record async for r in there.store.records(kinds=frozenset({RecordKind.SHARES}))]
    assert 1 <= len(records) <= 10
    last = records[-1].body
    assert (last["figure_w"], last["event"], last["rule"]) == (90 * MW, "to-90", "cost")
    assert isinstance(last["shares"], list)
    assert {share["site"]: share["share_w"] for share in last["shares"]} == {
        "good": 40 * MW, "fair": 50 * MW, "poor": 0,
    }  # fmt: skip
    assert all({"why", "confirmed_w", "granted_w", "age_s", "max_w"} <= set(share) for share in last["shares"])


async def test_the_sum_of_the_sites_is_a_meter_that_says_when_it_guesses() -> None:
    there = Programme()
    reports = lambda: tuple(r for plant in there.plants.values() if (r := plant.report()))  # noqa: E731 - as wiring
    meter = SumMeter(reports, 3, there.clock, stale_s=30.0)
    there.want(150)
    await there.run(2)
    sample = await meter.read()
    assert sample.power_w == pytest.approx(150 * MW)
    assert sample.quality is Quality.OK
    there.plants["fair"].silent = True
    await there.run(40)
    assert (await meter.read()).quality is Quality.ESTIMATED
    assert (await SumMeter(tuple, 3, there.clock, stale_s=30.0).read()).quality is Quality.MISSING


async def test_a_site_that_was_never_heard_counts_in_the_sum_at_the_most_that_it_may_draw() -> None:
    there = Programme()
    heard = there.plants["good"].report()
    assert heard is not None
    meter = SumMeter(lambda: (heard,), 3, there.clock, stale_s=30.0, unheard_w=lambda: 9 * MW)
    sample = await meter.read()
    assert sample.power_w == pytest.approx(heard.power_w + 9 * MW)
    assert sample.quality is Quality.ESTIMATED
