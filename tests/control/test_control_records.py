"""What is on record: who did what and how it ended, one event's life, the configuration, parts of the site."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from farmctl.control.client import ControlClient, ControllerRefusedError
from farmctl.control.identity import Role
from farmctl.control.mirror import first_image
from tests.control.glasshouse import Asker, Glasshouse


async def _ended(ask: Asker, job: str) -> str:
    """State of a job when the server has noted its end."""
    async with asyncio.timeout(20):
        while True:
            rows = (await ask.get("/v1/audit"))["rows"]
            if any(row["verb"].endswith(" ended") and job in row["result"] for row in rows):
                state: str = (await ask.get(f"/v1/jobs/{job}"))["job"]["state"]
                return state
            await asyncio.sleep(0.1)


async def test_every_order_and_its_end_is_on_record_with_owner_reason_and_result(house: Glasshouse, ask: Asker) -> None:
    job = (await ask.post(verb="stop_all", reason="smoke in C001", idempotency_key="k1"))["job"]
    house.run(60)
    assert await _ended(ask, job) == "done"
    house.badge.role = Role.VIEWER
    with pytest.raises(ControllerRefusedError):
        await ask.post(verb="resume", reason="all clear")
    rows = (await ask.get("/v1/audit"))["rows"]
    told = [(row["verb"], row["owner"], row["role"], row["reason"], row["result"][:30]) for row in rows]
    assert told[0] == ("resume", "kim", "viewer", "all clear", "403 resume: expected the role ")
    assert told[1][:4] == ("stop_all ended", "kim", "operator", "smoke in C001")
    assert told[1][4].startswith(f"{job} done: ")
    assert told[2] == ("stop_all", "kim", "operator", "smoke in C001", "ok")
    assert rows[2]["key"] == "k1"
    assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), reverse=True)


async def test_the_record_is_read_page_by_page_and_by_person(house: Glasshouse, ask: Asker) -> None:
    for number in range(7):
        house.badge.name = "ada" if number % 2 else "kim"
        await ask.post(verb="maintenance", reason=f"visit {number}", params={"on": bool(number % 2)})
    first = await ask.get("/v1/audit", limit=4)
    rest = await ask.get("/v1/audit", limit=4, before=first["before"])
    told = [row["reason"] for page in (first, rest) for row in page["rows"]]
    assert told == [f"visit {number}" for number in reversed(range(7))]
    assert rest["before"] is None
    mine = await ask.get("/v1/audit", owner="ada", verb="maintenance")
    assert [row["reason"] for row in mine["rows"]] == ["visit 5", "visit 3", "visit 1"]


async def test_one_event_shows_what_it_asks_and_what_became_of_it(house: Glasshouse, ask: Asker) -> None:
    house.day.event("evening", setpoint_w=0.3 * house.day.rated_w)
    house.run(30)
    told = await ask.get("/v1/events/evening")
    assert told["event"]["state"] == "REACHED"
    assert told["intervals"][0]["setpoint_kw"] == pytest.approx(0.3 * house.day.rated_w / 1e3)
    with pytest.raises(ControllerRefusedError) as refused:
        await ask.get("/v1/events/never-heard-of")
    assert refused.value.status == 404


async def test_the_configuration_is_shown_with_who_set_it(ask: Asker) -> None:
    assert (await ask.get("/v1/config"))["rows"] == [{"key": "site.name", "value": "demo", "origin": "farm.toml:2"}]


async def test_parts_of_the_site_add_up_to_the_whole(ask: Asker) -> None:
    state = await ask.get("/v1/state")
    containers = (await ask.get("/v1/containers"))["rows"]
    assert [row["name"] for row in containers] == [f"C{n:03d}" for n in range(6)]
    assert sum(row["miners"] for row in containers) == state["miners"]["total"] == 60
    assert sum(row["hashing"] for row in containers) == state["miners"]["hashing"]
    racks = (await ask.get("/v1/racks"))["rows"]
    assert sum(row["power_kw"] for row in racks) == pytest.approx(sum(row["power_kw"] for row in containers), abs=0.1)
    circuits = (await ask.get("/v1/circuits"))["rows"]
    assert (circuits[0]["parent"], circuits[0]["miners"]) == ("", 60)
    assert circuits[0]["load_kw"] == pytest.approx(sum(row["load_kw"] for row in circuits[1:]))
    assert (await ask.get("/v1/meters"))["rows"][0]["quality"] == "OK"
    assert (await ask.get("/v1/jobs"))["rows"] == []


async def test_a_container_in_maintenance_sleeps_on_but_obeys_a_limit(house: Glasshouse, ask: Asker) -> None:
    rated_w = house.day.rated_w
    house.day.rules = replace(
        house.day.rules, min_off_s=5.0, ramp_up_w_per_s=rated_w / 30, wake_fraction_per_s=0.1
    )  # fmt: skip
    await ask.post(verb="stop_all", reason="fuse")
    house.run(30)
    params = {"on": True, "containers": ["C002", "C004"]}
    await ask.post(verb="maintenance", reason="new fans", params=params)
    assert house.desk.maintained == ("C002", "C004")
    await ask.post(verb="resume", reason="fuse is in")
    house.run(150)
    rows = {row["name"]: row for row in (await ask.get("/v1/containers"))["rows"]}
    assert [name for name, row in rows.items() if row["maintenance"]] == ["C002", "C004"]
    assert [name for name, row in rows.items() if row["hashing"] == 0] == ["C002", "C004"]
    assert (await ask.get("/v1/miners", filter="cont=C002 reason=MAINTENANCE"))["total"] == 10
    await ask.post(verb="maintenance", reason="done", params={"on": False, "containers": ["C002"]})
    house.run(100)
    rows = {row["name"]: row for row in (await ask.get("/v1/containers"))["rows"]}
    assert [name for name, row in rows.items() if row["hashing"] == 0] == ["C004"]


async def test_an_engineer_restarts_some_miners_and_the_job_counts_them(house: Glasshouse, ask: Asker) -> None:
    order = {"verb": "reboot", "selector": "cont=C001", "reason": "hung fan controllers"}
    with pytest.raises(ControllerRefusedError, match="role engineer"):
        await ask.post(**order)
    house.badge.role = Role.ENGINEER
    plan = (await ask.post(**order, dry_run=True))["plan"]
    assert (plan["total"], house.hands.done) == (10, [])
    house.hands.unable = {str(house.day.table.miner_id[10])}
    job = (await ask.post(**order))["job"]
    assert len(house.hands.done) == 10
    assert await _ended(ask, job) == "partial"
    progress = (await ask.get(f"/v1/jobs/{job}"))["job"]["progress"]
    assert (progress["ok"], progress["failed"], progress["by_reason"]) == (9, 1, {"no such capability": 1})
    seen = first_image(orjson.dumps(await ask.get("/v1/snapshot"))).jobs[0]
    assert (seen.id, seen.state, (seen.progress or {})["failed"]) == (job, "partial", 1)
    with pytest.raises(ControllerRefusedError) as refused:
        await ask.post(**{**order, "selector": "cont=C999"})
    assert refused.value.status == 404
    with pytest.raises(ControllerRefusedError, match="expected a filter"):
        await ask.post(**{**order, "selector": " "})


async def test_after_a_restart_a_repeated_key_gets_the_first_answer_and_acts_only_once(
    house: Glasshouse, ask: Asker, door: Path
) -> None:
    house.badge.role = Role.ENGINEER
    order = {"verb": "reboot", "selector": "cont=C001", "reason": "hung", "idempotency_key": "k1"}
    first = await ask.post(**order)
    until = datetime.fromtimestamp(house.clock.now_ms() / 1000 + 900, UTC).isoformat()
    params = {"target_kw": 0.3 * house.day.rated_w / 1e3, "expires_at": until}
    held = {"verb": "override_set", "reason": "pump", "params": params, "idempotency_key": "k2"}
    second = await ask.post(**held)
    done = list(house.hands.done)
    again = door.with_name("again.sock")
    async with house.server(again).listening():
        ask = Asker(ControlClient(str(again), timeout_s=20))
        assert await ask.post(**order) == first
        assert await ask.post(**held) == second
        assert (house.hands.done, len(house.desk.overrides)) == (done, 1)
        with pytest.raises(ControllerRefusedError) as refused:
            await ask.post(**{**held, "reason": "another"})
        assert refused.value.status == 409
        house.run(60)
        assert (await ask.get(f"/v1/jobs/{second['job']}"))["job"]["state"] == "done"
        assert [row["id"] for row in (await ask.get("/v1/jobs"))["rows"]] == [second["job"], first["job"]]


async def test_an_emergency_is_released_by_an_engineer_who_names_the_site(house: Glasshouse, ask: Asker) -> None:
    house.day.emergency("blackout")
    house.run(30)
    assert (await ask.get("/v1/state"))["mode"] == "EMERGENCY"
    order = {"verb": "emergency_release", "reason": "dispatcher called, ref 4711"}
    with pytest.raises(ControllerRefusedError, match="role engineer"):
        await ask.post(**order)
    house.badge.role = Role.ENGINEER
    with pytest.raises(ControllerRefusedError, match="--confirm demo"):
        await ask.post(**order)
    await ask.post(**order, params={"confirm": "demo"})
    house.run(2)
    assert (await ask.get("/v1/state"))["mode"] != "EMERGENCY"
    released = next(row for row in (await ask.get("/v1/audit"))["rows"] if row["result"].startswith("ok: "))
    assert (released["result"], released["reason"]) == ("ok: blackout", "dispatcher called, ref 4711")
    with pytest.raises(ControllerRefusedError, match="none is latched"):
        await ask.post(**order, params={"confirm": "demo"})
