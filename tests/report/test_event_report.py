"""What a report says of an event is what the meter showed and the miners did."""

from __future__ import annotations

import pytest

from farmctl.core.grid import Interval
from farmctl.core.units import DAY_MS
from farmctl.errors import StoreError
from farmctl.report.canonical import text
from farmctl.report.event import Wanted, event_report
from farmctl.report.source import NeverLiveError, NoSuchEventError
from farmctl.report.window import period_report
from farmctl.store.memory import MemoryStore
from tests.report.diary import PRICES, Diary, handmade, trapezoids
from tests.scenarios.day import START_MS, Day, farm

S = 1_000


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-3, abs=1e-6)


TOLD: dict[int, tuple[MemoryStore, Diary]] = {}


async def curtailed(store: MemoryStore, *, deaf: int = 0) -> Diary:
    """Two minutes at full, an event of two minutes at 60 %, and two minutes after it; lived once, told often."""
    if deaf not in TOLD:
        TOLD[deaf] = await lived(deaf)
    written, diary = TOLD[deaf]
    await store.append([each.record async for each in written.records()])
    return diary


async def lived(deaf: int = 0) -> tuple[MemoryStore, Diary]:
    day, store = Day(farm(60, feeders=2, aux_w=9_000.0)), MemoryStore()
    day.farm.deaf[:deaf] = True
    diary = await Diary(day, store).run(120)
    day.event("ev-1", setpoint_w=0.6 * day.rated_w, for_s=120, tolerance_w=0.02 * day.rated_w)
    return store, await diary.run(241)


async def test_a_curtailment_is_told_as_the_meter_showed_it() -> None:
    store = MemoryStore()
    diary = await curtailed(store)
    told = await event_report(store, "ev-1")
    start_ms, end_ms = START_MS + 121 * S, START_MS + 240 * S
    assert told["identity"]["start"].endswith("09:02:01.000Z")
    assert told["identity"]["programme"] == "surplus"
    meter = diary.metered(start_ms, end_ms)
    before = diary.metered(START_MS, start_ms)
    baseline_w = trapezoids(before) / ((before[-1][0] - before[0][0]) / 3_600_000)
    lines = {line["method"]: line for line in told["baselines"]}
    assert list(lines) == ["MBMA", "FIRM", "BOTTOM_UP"]
    assert lines["MBMA"]["baseline_kw"] == near(baseline_w / 1e3)
    hours = (end_ms - start_ms) / 3_600_000
    assert lines["MBMA"]["net_mwh"] == near((baseline_w * hours - trapezoids(meter)) / 1e6)
    assert lines["MBMA"]["flags"] == ["only 120 s of samples before the event, expected at least 300 s"]
    firm_w = diary.day.rules.failsafe_limit_w
    assert lines["FIRM"]["absorbed_mwh"] == near((trapezoids(meter) - firm_w * hours) / 1e6)
    assert lines["FIRM"]["delivered_mwh"] == 0.0
    assert lines["BOTTOM_UP"]["estimate"] is True
    assert lines["BOTTOM_UP"]["baseline_kw"] == pytest.approx(baseline_w / 1e3, rel=0.02)
    target_w, judged = 0.6 * diary.day.rated_w, [w for at, w in meter if start_ms + 30 * S <= at < end_ms]
    response = told["response"]
    assert response["direction"] == "curtail"
    assert response["mean_error_kw"] == near(sum(abs(w - target_w) for w in judged) / len(judged) / 1e3)
    assert response["max_error_kw"] == near(max(abs(w - target_w) for w in judged) / 1e3)
    assert response["in_band_pct"] == 100.0
    moved = [at for at, w in meter if baseline_w - w >= 0.9 * (baseline_w - target_w)]
    assert response["t90_s"] == pytest.approx((moved[0] - start_ms) / S, abs=1.0)
    assert told["return"]["power_back_s"] is not None
    assert told["data_gaps"][0]["why"].startswith("no samples")


async def test_money_follows_the_journalled_prices_and_others_are_named() -> None:
    store = MemoryStore()
    await curtailed(store)
    told = await event_report(store, "ev-1")
    money, line = told["money"], told["baselines"][0]
    energy = line["delivered_mwh"] + line["absorbed_mwh"]
    lost = (
        (told["hashes"]["lost_th"] - told["hashes"]["gained_th"]) / 86_400 * float(str(PRICES["hash_price_per_th_day"]))
    )
    expected = line["net_mwh"] * 1e3 * 0.05 + energy * 12.0 - told["response"]["shortfall_mwh"] * 25.0 - lost
    assert money["net"] == pytest.approx(expected, abs=2e-4)
    assert money["stated_by"] == "journal"
    other = await event_report(store, "ev-1", Wanted(tariff_per_kwh=0.10, method="FIRM"))
    assert other["money"]["method"] == "FIRM"
    assert other["money"]["stated_by"] == "journal, with method, tariff_per_kwh from the command line"
    assert other["options"] == {"tariff_per_kwh": 0.10, "method": "FIRM"}


async def test_a_surplus_that_is_taken_on_counts_as_absorbed() -> None:
    site, store = farm(60, feeders=2, aux_w=9_000.0), MemoryStore()
    site.asleep()
    day = Day(site, standing_w=None, failsafe_limit_w=12_000.0)
    diary = await Diary(day, store).run(60)
    grant = Interval(
        start_ms=day.now_ms, end_ms=day.now_ms + 1800 * S, setpoint_w=0.5 * day.rated_w, subscription_w=day.rated_w
    )
    day.event("more", for_s=1800, intervals=(grant,))
    await diary.run(180)
    day.withdraw("more")
    await diary.run(20)
    told = await event_report(store, "more")
    line = told["baselines"][0]
    assert told["response"]["direction"] == "absorb"
    assert line["absorbed_mwh"] > 20 * line["delivered_mwh"]
    assert told["identity"]["state"] == "CANCELLED"
    assert told["hashes"]["gained_th"] > 0
    assert told["response"]["shortfall_mwh"] == told["response"]["under_mwh"]


async def test_machines_that_do_not_follow_are_named_with_their_reason() -> None:
    store = MemoryStore()
    diary = await curtailed(store, deaf=5)
    told = await event_report(store, "ev-1")
    late = told["stragglers"]
    assert 0 < late["miners"] <= 5
    deaf = {str(miner) for miner in diary.day.table.miner_id[:5]}
    assert {row["miner"] for row in late["named"]} <= deaf
    assert late["full_kw"] == near(3.4 * late["miners"])
    assert sum(late["by_reason"].values()) == late["miners"]
    row = told["commands"][0]
    assert row["firmware"] == "fast 1.0"
    assert row["success_pct"] < 100.0


async def test_energy_is_shared_by_container_and_owner_and_adds_up_to_the_meter() -> None:
    store = MemoryStore()
    await curtailed(store)
    energy = (await event_report(store, "ev-1"))["energy"]
    for kind in ("containers", "owners"):
        assert sum(row["mwh"] for row in energy[kind]) == near(energy["metered_mwh"])
    assert [row["owner"] for row in energy["owners"]] == ["acme", "bravo"]
    assert energy["metered_j"] == near(energy["metered_mwh"] * 3.6e9)
    assert 15 < energy["j_per_th"] < 50


async def test_a_gap_is_flagged_and_no_energy_is_made_up_for_it() -> None:
    day, store = Day(farm(30, feeders=1, aux_w=3_000.0)), MemoryStore()
    diary = await Diary(day, store).run(60)
    day.event("ev", setpoint_w=0.5 * day.rated_w, for_s=120)
    await diary.run(60)
    diary.sampled = False
    await diary.run(30)
    diary.sampled = True
    await diary.run(60)
    told = await event_report(store, "ev")
    inside = [gap for gap in told["data_gaps"] if gap["from"] > told["identity"]["start"]]
    assert [gap["seconds"] for gap in inside][:1] == [31.0]
    assert told["energy"]["unmetered_s"] == pytest.approx(31.0, abs=1.0)
    assert {row["quality"] for row in told["intervals"]} >= {"BAD"}


async def test_an_order_that_is_changed_midway_is_judged_by_what_was_known() -> None:
    day, store = Day(farm(60, feeders=2, aux_w=9_000.0)), MemoryStore()
    diary = await Diary(day, store).run(30)
    first = day.event("ev", setpoint_w=0.8 * day.rated_w, for_s=120)
    await diary.run(60)
    later = (Interval(start_ms=first.start_ms, end_ms=first.end_ms, setpoint_w=0.5 * day.rated_w),)
    day.event("ev", setpoint_w=0.5 * day.rated_w, for_s=60, intervals=later, expires_ms=first.end_ms)
    await diary.run(90)
    told = await event_report(store, "ev")
    targets = [t for t in told["curve"]["target_kw"] if t is not None]
    assert targets[0] == near(0.8 * day.rated_w / 1e3)
    assert targets[-1] == near(0.5 * day.rated_w / 1e3)
    assert len(told["obligations"]) == 2
    assert told["response"]["in_band_pct"] == 100.0


async def test_the_same_journal_gives_the_same_bytes_and_a_final_report_never_changes() -> None:
    store, diary = await lived()
    assert text(await event_report(store, "ev-1")) == text(await event_report(store, "ev-1"))
    diary.day.now_ms += 30 * 60 * S
    await diary.run(3)
    final = await event_report(store, "ev-1")
    assert final["status"] == "final"
    diary.day.event("ev-2", setpoint_w=0.9 * diary.day.rated_w, for_s=30)
    await diary.run(40)
    assert text(await event_report(store, "ev-1")) == text(final)


async def test_x_of_y_takes_the_highest_eligible_days() -> None:
    day, store = Day(farm(30, feeders=1, aux_w=3_000.0)), MemoryStore()
    hours = [(START_MS - 60 * S - back * DAY_MS, 50_000.0 + 10_000.0 * back) for back in (3, 2, 1)]
    for begin_ms, power_w in hours:
        await handmade(store, day, [(begin_ms + second * S, power_w) for second in range(600)])
    diary = await Diary(day, store).run(60)
    day.event("ev", setpoint_w=0.5 * day.rated_w, for_s=60)
    await diary.run(90)
    told = await event_report(store, "ev", Wanted(x_of_y=(2, 3)))
    line = told["baselines"][-1]
    assert line["method"] == "X_OF_Y"
    assert [row["mean_kw"] for row in line["detail"]["days"] if row["chosen"]] == [70.0, 80.0]
    assert line["baseline_kw"] == near(75.0 * line["detail"]["adjustment"])
    assert line["detail"]["adjustment"] == 1.2


async def test_a_day_adds_up_its_events_per_method_and_keeps_the_site_s_calendar() -> None:
    store = MemoryStore()
    await curtailed(store)
    told = await period_report(store, "2026-11-24", None)
    event = await event_report(store, "ev-1")
    assert told["identity"]["start"] == "2026-11-23T19:00:00.000Z"
    assert [row["event"] for row in told["events"]] == ["ev-1"]
    totals = {row["method"]: row for row in told["totals"]}
    assert totals["MBMA"]["delivered_mwh"] == event["baselines"][0]["delivered_mwh"]
    assert told["events"][0]["sha256"] == event["sha256"]
    quarters = sum(row["metered_kwh"] for row in told["intervals"])
    assert quarters == near(told["energy"]["metered_mwh"] * 1e3)
    month = await period_report(store, "2026-11", None)
    assert month["totals"] == told["totals"]


async def test_an_unknown_event_and_an_empty_journal_are_plain_errors() -> None:
    store = MemoryStore()
    with pytest.raises(NoSuchEventError, match="last ones are: none"):
        await event_report(store, "nothing")
    with pytest.raises(StoreError, match="no series"):
        await period_report(store, "2026-11-24", None)


async def test_a_name_that_is_used_again_is_reported_time_by_time() -> None:
    day, store = Day(farm(30, feeders=1, aux_w=3_000.0)), MemoryStore()
    diary = await Diary(day, store).run(30)
    for share in (0.8, 0.5):
        day.event("daily", setpoint_w=share * day.rated_w, for_s=60)
        await diary.run(90)
    last, first = await event_report(store, "daily"), await event_report(store, "daily", Wanted(nth=1))
    assert (first["identity"]["nth"], last["identity"]["nth"]) == (1, 2)
    assert first["response"]["target_kw"] == near(0.8 * day.rated_w / 1e3)
    assert last["response"]["target_kw"] == near(0.5 * day.rated_w / 1e3)
    assert first["identity"]["end"] < last["identity"]["start"]
    told = await period_report(store, "2026-11-24", None)
    assert [row["sha256"] for row in told["events"]] == [first["sha256"], last["sha256"]]
    with pytest.raises(NoSuchEventError, match="live 2 times"):
        await event_report(store, "daily", Wanted(nth=3))


async def test_an_event_that_was_withdrawn_before_it_began_settles_nothing() -> None:
    day, store = Day(farm(30, feeders=1, aux_w=3_000.0)), MemoryStore()
    diary = await Diary(day, store).run(10)
    day.event("later", setpoint_w=0.5 * day.rated_w, for_s=60, starts_in_s=600)
    await diary.run(5)
    day.withdraw("later")
    await diary.run(5)
    with pytest.raises(NeverLiveError, match="CANCELLED"):
        await event_report(store, "later")
    assert (await period_report(store, "2026-11-24", None))["events"] == []


async def test_a_restart_in_the_middle_of_an_event_leaves_a_gap_and_adds_up() -> None:
    day, store = Day(farm(30, feeders=1, aux_w=3_000.0)), MemoryStore()
    diary = await Diary(day, store).run(30)
    day.event("ev", setpoint_w=0.5 * day.rated_w, for_s=120)
    await diary.run(60)
    day.restart(off_s=20)
    await Diary(day, store).run(80)  # another run: facts of its own
    told = await event_report(store, "ev")
    inside = [gap["seconds"] for gap in told["data_gaps"] if gap["from"] > told["identity"]["start"]]
    assert inside == [21.0]
    energy = told["energy"]
    assert sum(row["mwh"] for row in energy["owners"]) == near(energy["metered_mwh"])
    assert energy["unmetered_s"] == pytest.approx(21.0, abs=1.0)
