"""What the API shows: health, the strip, miners, why, plans, alarms, events."""

from __future__ import annotations

import os

import pytest

from farmctl.control.client import ControllerRefusedError
from farmctl.control.identity import Role
from farmctl.control.roster import Places, roster
from farmctl.control.why import why
from farmctl.core.events import TERMINAL
from farmctl.core.reasons import HELP, Reason
from tests.control.glasshouse import Asker, Glasshouse
from tests.scenarios.day import farm, ladder


async def test_health_is_good_only_while_cycles_are_fresh(house: Glasshouse, ask: Asker) -> None:
    assert (await ask.get("/v1/health"))["ok"] is True
    house.clock.ahead_ms = 5_000
    with pytest.raises(ControllerRefusedError, match=r"5\.0 s old") as refused:
        await ask.get("/v1/health")
    assert refused.value.status == 503
    house.blind = True
    for path in ("/v1/health", "/v1/state", "/v1/miners", "/v1/plan?to=1MW"):
        with pytest.raises(ControllerRefusedError, match="no cycle") as refused:
            await ask.get(path)
        assert refused.value.status == 503


async def test_the_strip_says_what_the_core_decided(house: Glasshouse, ask: Asker) -> None:
    house.day.event("evening", setpoint_w=0.3 * house.day.rated_w, for_s=600)
    house.run(40)
    state, decision = await ask.get("/v1/state"), house.day.decision
    assert state["schema"] == "farmctl/v1"
    assert state["rev"] == decision.cycle
    assert (state["site"], state["mode"], state["authority"]) == ("demo", "FOLLOWING", "grid")
    assert state["target_kw"] == pytest.approx(decision.budget.target_w / 1e3, abs=0.001)
    assert state["deviation_kw"] == pytest.approx(state["power_kw"] - state["target_kw"], abs=0.002)
    assert state["in_band"]
    assert state["event"]["id"] == "evening"
    assert state["event"]["state"] == "REACHED"
    assert state["event"]["setpoint_kw"] == pytest.approx(0.3 * house.day.rated_w / 1e3)
    assert state["miners"]["total"] == 60
    assert sum(n for name, n in state["miners"].items() if name != "total") == 60
    assert state["miners"]["curtailed"] > 0
    assert state["meter_quality"] == "OK"
    assert state["signal_age_s"] == 0.0
    assert set(state["alarms"].values()) == {0}


async def test_unknown_is_null_and_alarms_are_listed_worst_first(house: Glasshouse, ask: Asker) -> None:
    house.day.farm.silent[:] = True
    house.day.metered = False
    house.day.grid_falls_silent()
    house.run(65)
    listed = (await ask.get("/v1/alarms"))["rows"]
    assert {alarm["alarm"] for alarm in listed} >= {"signal_stale", "meter_lost_armed"}
    assert all(alarm["response"] and alarm["state"] == "UNACK" for alarm in listed)
    assert [alarm["priority"] for alarm in listed] == sorted(alarm["priority"] for alarm in listed)
    assert (await ask.get("/v1/state"))["miners"]["offline"] == 60
    first = (await ask.get("/v1/miners", limit=1))["rows"][0]
    assert first["state"] == "offline"
    assert first["t"] is None


async def test_events_come_with_what_lives_first(house: Glasshouse, ask: Asker) -> None:
    house.day.event("over", limit_w=1e5, for_s=5)
    house.run(10)
    house.day.event("next", limit_w=1e5, starts_in_s=300)
    house.run(2)
    rows = (await ask.get("/v1/events"))["rows"]
    assert [row["id"] for row in rows] == ["next", "over"]
    assert rows[0]["state"] == "SCHEDULED"
    assert rows[0]["starts_in_s"] == 298.0
    assert rows[1]["state"] in {state.value for state in TERMINAL}


async def test_pages_give_every_miner_once_in_order(house: Glasshouse, ask: Asker) -> None:
    house.day.farm.silent[7] = True
    house.day.table.temperature_c[:50] = 60.0
    house.run(2)
    for sort in ("id", "-w", "t", "-model"):
        found: list[str] = []
        cursor = None
        while True:
            page = await ask.get("/v1/miners", sort=sort, limit=7, cursor=cursor)
            found += [row["id"] for row in page["rows"]]
            assert page["total"] == 60
            if (cursor := page["cursor"]) is None:
                break
        assert sorted(found) == house.day.table.miner_id.tolist()


async def test_a_page_goes_on_where_it_was_although_values_move(house: Glasshouse, ask: Asker) -> None:
    first = await ask.get("/v1/miners", sort="-w", limit=20)
    house.day.event("less", setpoint_w=0.3 * house.day.rated_w)
    house.run(30)
    second = await ask.get("/v1/miners", sort="-w", limit=60, cursor=first["cursor"])
    shown = [row["w"] for row in second["rows"]]
    assert shown == sorted(shown, reverse=True)
    assert max(shown) <= first["rows"][-1]["w"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter=colour=red", "no field 'colour'"),
        ("filter=stat=fault", "did you mean state"),
        ("filter=t~hot", "t is a number"),
        ("filter=state>3", "state is a word"),
        ("filter=t>warm", "expected one, such as t>85"),
        ("filter=state=", "expected FIELD=VALUE"),
        ("sort=colour", "expected one of"),
        ("limit=0", "from 1 to"),
        ("limit=many", "whole number"),
        ("cursor=xyz", "expected one from the last answer"),
        ("sort=w&cursor=WyJ4IiwgInkiXQ==", "another sort order"),
    ],
)
async def test_a_bad_question_says_what_was_expected(ask: Asker, query: str, expected: str) -> None:
    with pytest.raises(ControllerRefusedError, match=expected) as refused:
        await ask.get(f"/v1/miners?{query}")
    assert refused.value.status == 400
    assert refused.value.code == "bad_request"
    assert refused.value.field == query.rpartition("&")[2].partition("=")[0]


async def test_a_filter_counts_what_it_finds(ask: Asker) -> None:
    page = await ask.get("/v1/miners", filter="model~s21 cont=C000..C002 !slot=0")
    assert {row["model"] for row in page["rows"]} == {"Antminer S21"}
    assert {row["cont"] for row in page["rows"]} <= {"C000", "C001", "C002"}
    assert page["total"] == page["n"] == 8


async def test_one_miner_shows_its_ladder_and_an_unknown_one_is_404(house: Glasshouse, ask: Asker) -> None:
    miner = str(house.day.table.miner_id[3])
    found = await ask.get(f"/v1/miners/{miner}")
    assert found["id"] == miner
    assert found["host"] == "10.0.0.4"
    assert found["ladder"][0]["kind"] == "sleep"
    assert found["wanted"] == found["ladder"][-1]
    for path in ("/v1/miners/nobody", "/v1/miners/nobody/why", "/v1/jobs/nothing", "/v1/nowhere"):
        with pytest.raises(ControllerRefusedError) as refused:
            await ask.get(path)
        assert refused.value.status == 404


async def test_why_names_reason_rank_and_input_hash(house: Glasshouse, ask: Asker) -> None:
    house.day.event("low", setpoint_w=0.3 * house.day.rated_w)
    house.run(60)
    asleep = int(house.day.farm.at.argmin())
    found = await ask.get(f"/v1/miners/{house.day.table.miner_id[asleep]}/why")
    assert found["reason"] == "CURTAILED"
    assert found["help"] == HELP[Reason.CURTAILED]
    assert found["wanted"]["kind"] == "sleep"
    assert found["seen"]["state"] == "curtailed"
    assert found["rank"]["jth"] == 29.0
    assert 1 <= found["rank"]["place"] <= 30
    assert found["rank"]["of"] == 60
    assert found["input_sha256"] == house.input_hash(house.shown)
    assert found["site"]["source"] == "grid"
    assert found["shed_at_or_below_kw"] is None
    assert found["raised_at_or_above_kw"] > found["site"]["planned_kw"]


def test_why_tells_locks_with_their_ends() -> None:
    house = Glasshouse(farm(20), min_off_s=600.0).run(5)
    house.day.event("low", setpoint_w=0.3 * house.day.rated_w, for_s=20)
    house.run(40)
    asleep = int(house.day.farm.at.argmin())
    columns = roster(house.shown, Places.of(house.inventory(), house.shown.view.table.miner_id))
    found = why(house.shown, columns, asleep, house.site, "")
    locks = found["locks"]
    assert isinstance(locks, list)
    assert locks[0]["lock"] == "MIN_OFF"
    assert str(locks[0]["until"]).startswith("2026-11-24T09:1")


def test_why_names_the_circuit_that_binds() -> None:
    house = Glasshouse(farm(20, ladders=(ladder(),), feeders=2, feeder_rating_w=20_000.0)).run(30)
    columns = roster(house.shown, Places.of(house.inventory(), house.shown.view.table.miner_id))
    held = int(house.day.decision.allocation.circuit_held.argmax())
    found = why(house.shown, columns, held, house.site, "")
    assert found["binding_circuit"] == house.day.farm.tree.names[house.day.farm.node[held]]


async def test_the_caller_is_who_the_kernel_says(house: Glasshouse, ask: Asker) -> None:
    house.badge.role = Role.VIEWER
    assert (await ask.get("/v1/whoami"))["role"] == "viewer"
    assert house.badge.uids == [os.getuid()]
