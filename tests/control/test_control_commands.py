"""Orders: who may give them, repeated ones, large ones, and how far they have got."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from farmctl.control.client import ControlClient, ControllerRefusedError
from farmctl.control.identity import Role
from farmctl.control.strip import Site
from farmctl.ports.store import RecordKind
from tests.control.glasshouse import Asker, Glasshouse


def until(house: Glasshouse, seconds: float) -> str:
    return datetime.fromtimestamp(house.clock.now_ms() / 1000 + seconds, UTC).isoformat()


def hold(house: Glasshouse, share: float, **more: Any) -> dict[str, Any]:
    params = {"target_kw": share * house.day.rated_w / 1e3, "expires_at": until(house, 900)}
    return {"verb": "override_set", "reason": "works on a pump", "params": params, **more}


async def refused(ask: Asker, **body: object) -> ControllerRefusedError:
    with pytest.raises(ControllerRefusedError) as error:
        await ask.post(**body)
    return error.value


async def test_stop_all_puts_the_site_to_sleep_and_the_job_follows_the_meter(house: Glasshouse, ask: Asker) -> None:
    taken = await ask.post(verb="stop_all", reason="smoke in C041")
    path = f"/v1/jobs/{taken['job']}"
    assert (await ask.get(path))["job"]["state"] == "waiting"
    house.run(2)
    running = (await ask.get(path))["job"]
    assert running["state"] == "running"
    assert 0 < running["progress"]["moved_kw"] < running["progress"]["asked_kw"]
    house.run(20)
    done = (await ask.get(path))["job"]
    assert done["state"] == "done"
    assert done["progress"]["ok"] == done["progress"]["total"] == 60
    assert house.day.power_w <= 60 * 40.0
    records = [r.record async for r in house.store.records(kinds=frozenset({RecordKind.OPERATOR}))]
    assert [(r.body["verb"], r.body["owner"], r.body["reason"]) for r in records] == [
        ("stop_all", "kim", "smoke in C041")
    ]


async def test_deaf_miners_make_a_job_partial(house: Glasshouse, ask: Asker) -> None:
    house.day.farm.deaf[:3] = True
    job = (await ask.post(verb="stop_all", reason="test"))["job"]
    house.run(120)
    told = (await ask.get(f"/v1/jobs/{job}"))["job"]
    assert told["state"] == "partial"
    assert told["progress"]["failed"] == 3


async def test_resume_raises_again_and_supersedes_the_stop(house: Glasshouse, ask: Asker) -> None:
    stop = (await ask.post(verb="stop_all", reason="test"))["job"]
    house.run(20)
    plan = (await ask.post(verb="resume", reason="test", dry_run=True))["plan"]
    assert plan["woken"] == 60
    resume = (await ask.post(verb="resume", reason="over"))["job"]
    house.run(90)
    assert house.day.share > 0.9
    assert (await ask.get(f"/v1/jobs/{stop}"))["job"]["state"] == "superseded"
    assert (await ask.get(f"/v1/jobs/{resume}"))["job"]["state"] == "done"


async def test_an_override_holds_until_it_is_released(house: Glasshouse, ask: Asker) -> None:
    taken = await ask.post(**hold(house, 0.4))
    house.run(30)
    assert house.day.share == pytest.approx(0.4, abs=0.02)
    listed = (await ask.get("/v1/overrides"))["rows"]
    assert [(o["id"], o["owner"], o["reason"]) for o in listed] == [(taken["override"], "kim", "works on a pump")]
    assert (await ask.get("/v1/state"))["authority"] == "operator"
    await ask.post(verb="override_release", reason="done", params={"id": taken["override"]})
    house.run(60)
    assert house.day.share > 0.9
    again = await refused(ask, verb="override_release", reason="done", params={"id": taken["override"]})
    assert (again.status, again.code) == (409, "conflict")


async def test_one_circuit_can_be_stopped_while_the_site_runs_on(house: Glasshouse, ask: Asker) -> None:
    body = hold(house, 0.0)
    body["params"]["circuit"] = "F1"
    plan = (await ask.post(**body, dry_run=True))["plan"]
    assert (plan["circuit"]["name"], plan["circuit"]["planned_kw"]) == ("F1", pytest.approx(30 * 0.03, abs=0.5))
    assert (plan["put_to_sleep"], plan["woken"]) == (30, 0)
    taken = await ask.post(**body)
    house.run(30)
    table = house.day.seen_view.table
    asleep = house.day.decision.seen.rows.wanted == 0
    assert (asleep == (table.node == 1)).all()
    why = await ask.get(f"/v1/miners/{table.miner_id[0]}/why")
    assert (why["reason"], why["site"]["mode"]) == ("OVERRIDE", "AUTONOMOUS")
    job = (await ask.get(f"/v1/jobs/{taken['job']}"))["job"]
    assert (job["state"], job["progress"]["total"]) == ("done", 30)
    await ask.post(verb="override_release", reason="done", params={"id": taken["override"]})
    house.run(90)
    assert house.day.share > 0.9
    body["params"]["circuit"] = "F9"
    assert (await refused(ask, **body)).status == 404


async def test_maintenance_is_in_force_at_once(house: Glasshouse, ask: Asker) -> None:
    job = (await ask.post(verb="maintenance", reason="fans", params={"on": True}))["job"]
    house.run(1)
    assert (await ask.get("/v1/state"))["mode"] == "MAINTENANCE"
    assert (await ask.get(f"/v1/jobs/{job}"))["job"]["state"] == "done"


@pytest.mark.parametrize("verb", ["stop_all", "resume", "override_set", "override_release", "maintenance"])
async def test_a_viewer_may_look_and_order_nothing(house: Glasshouse, ask: Asker, verb: str) -> None:
    house.badge.role = Role.VIEWER
    body = hold(house, 0.4) if verb == "override_set" else {"reason": "x"}
    params = {"override_release": {"id": "x"}, "maintenance": {"on": True}}.get(verb)
    error = await refused(ask, **{**body, "verb": verb, **({"params": params} if params else {})})
    assert (error.status, error.code) == (403, "not_permitted")
    assert "operators" in error.hint
    assert not house.desk.stop_all
    assert not house.desk.overrides
    noted = await house.store.head()
    assert noted is not None
    assert (noted.record.body["owner"], noted.record.body["role"]) == ("kim", "viewer")
    assert str(noted.record.body["result"]).startswith("403")


async def test_the_same_key_gives_the_first_answer_and_another_order_is_a_conflict(
    house: Glasshouse, ask: Asker
) -> None:
    body = hold(house, 0.4, idempotency_key="k1")
    first = await ask.post(**body)
    reordered = dict(reversed(list(body.items())))
    assert await ask.post(**reordered) == first
    assert len(house.desk.overrides) == 1
    other = await refused(ask, **{**body, "reason": "another"})
    assert (other.status, other.field) == (409, "idempotency_key")
    house.badge.name = "lee"
    house.clock.ahead_ms = 25 * 3600 * 1000
    body["params"]["expires_at"] = until(house, 900)
    assert (await ask.post(**body))["job"] != first["job"]


async def test_an_order_that_saw_an_older_site_is_refused(house: Glasshouse, ask: Asker) -> None:
    rev = (await ask.get("/v1/state"))["rev"]
    await ask.post(verb="maintenance", reason="a", params={"on": True}, if_rev=rev)
    late = await refused(ask, verb="maintenance", reason="b", params={"on": False}, if_rev=rev)
    assert (late.status, late.field) == (412, "if_rev")
    house.run(1)
    rev = (await ask.get("/v1/state"))["rev"]
    await ask.post(verb="maintenance", reason="b", params={"on": False}, if_rev=rev)


async def test_a_large_change_must_name_the_site(house: Glasshouse, door: Path) -> None:
    house.site = Site(name="demo", confirm_fraction=0.1)
    async with house.server(door).listening():
        strict = Asker(ControlClient(str(door)))
        error = await refused(strict, **hold(house, 0.5))
        assert (error.status, error.field) == (400, "params.confirm")
        assert house.desk.overrides == ()
        assert (await strict.post(**hold(house, 0.5, dry_run=True)))["plan"]["confirm"] == "demo"
        await strict.post(**hold(house, 0.95))
        body = hold(house, 0.95)
        body["params"]["confirm"] = "north"
        assert "meant for north" in str(await refused(strict, **body))
        body = hold(house, 0.5)
        body["params"]["confirm"] = "demo"
        await strict.post(**body)
        plan = (await strict.post(verb="stop_all", reason="never needs a name", dry_run=True))["plan"]
        assert plan["confirm"] is None
        await strict.post(verb="stop_all", reason="never needs a name")


async def test_what_would_change_nothing_is_refused_with_why(house: Glasshouse, ask: Asker) -> None:
    for dry_run in (True, False):
        error = await refused(ask, verb="resume", reason="over", dry_run=dry_run)
        assert (error.status, "nothing is stopped" in str(error)) == (409, True)
    error = await refused(ask, verb="maintenance", reason="fans", params={"on": True, "containers": ["C001", "C04l"]})
    assert (error.status, error.field) == (404, "params.containers")
    assert house.desk.maintained == ()
    await ask.post(verb="maintenance", reason="gone", params={"on": False, "containers": ["C04l"]})
    error = await refused(ask, verb="stop_all", reason="  ")
    assert "expected why" in str(error)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"verb": "explode"}, ""),
        ({"reason": ""}, "reason"),
        ({"reason": "   "}, "reason"),
        ({"params": {}}, "params.target_kw"),
        ({"params": {"target_kw": -1, "expires_at": "2030-01-01T00:00:00Z"}}, "params.target_kw"),
        ({"params": {"target_kw": 1e12, "expires_at": "2030-01-01T00:00:00Z"}}, "params.target_kw"),
        ({"params": {"target_kw": 1, "expires_at": "2030-01-01T00:00:00"}}, "params.expires_at"),
        ({"selector": "C017"}, "selector"),
        ({"extra": 1}, "extra"),
        ({"dry_run": "yes"}, "dry_run"),
    ],
)
async def test_an_unreadable_order_names_the_field(
    house: Glasshouse, ask: Asker, change: dict[str, Any], field: str
) -> None:
    error = await refused(ask, **{**hold(house, 0.5), **change})
    assert (error.status, error.field) == (400, field)
    assert house.desk.overrides == ()


async def test_an_override_in_the_past_is_refused_by_the_desk(house: Glasshouse, ask: Asker) -> None:
    body = hold(house, 0.5)
    body["params"]["expires_at"] = until(house, -1)
    assert (await refused(ask, **body)).status == 409


async def test_a_journal_that_cannot_write_is_not_durable(house: Glasshouse, ask: Asker) -> None:
    await house.store.close()
    error = await refused(ask, verb="stop_all", reason="x")
    assert (error.status, error.code) == (507, "not_durable")


async def test_stop_all_needs_no_picture(house: Glasshouse, ask: Asker) -> None:
    house.blind = True
    taken = await ask.post(verb="stop_all", reason="x")
    assert taken["cycle_age_s"] is None
    assert house.desk.stop_all
    assert (await refused(ask, **hold(house, 0.5))).status == 503


async def test_an_override_with_a_ramp_goes_down_no_faster(house: Glasshouse, ask: Asker) -> None:
    rated_kw = house.day.rated_w / 1e3
    order = hold(house, 0.4)
    order["params"]["ramp_kw_per_min"] = 0.2 * rated_kw
    await ask.post(**order)
    house.run(60)
    assert 0.7 < house.day.power_w / house.day.rated_w < 0.9
    house.run(180)
    assert house.day.power_w / house.day.rated_w == pytest.approx(0.4, abs=0.03)


async def test_a_controller_that_observes_says_so_and_touches_no_miner(house: Glasshouse, ask: Asker) -> None:
    house.badge.role = Role.ENGINEER
    house.day.changes.update(armed=False)
    house.run(1)
    for verb in ("reboot", "locate"):
        params = {"params": {"on": True}} if verb == "locate" else {}
        error = await refused(ask, verb=verb, selector="cont=C001", reason="hung", **params)
        assert (error.status, "only observes" in str(error)) == (409, True)
    assert house.hands.done == []
    assert (await ask.post(verb="stop_all", reason="smoke"))["armed"] is False
