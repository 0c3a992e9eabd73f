"""Alarms, lease and audit at the API: who may, what is refused, what the journal holds, what a restart keeps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from farmctl.control.client import ControllerRefusedError
from farmctl.control.feed import SocketFeed
from farmctl.control.identity import Role
from farmctl.core.model import Override
from farmctl.engine.desk import Desk
from farmctl.errors import StoreError
from farmctl.ports.control import By
from farmctl.ports.store import RecordKind
from tests.control.glasshouse import Asker, Glasshouse

SIGNAL = "/v1/alarms/signal_stale@site"
KIM = By(owner="kim", reason="works on a pump", uid=1000, role="operator", key="k1", origin="10.0.0.9")
LEE = By(owner="lee", reason="also me", uid=1001)


@pytest.fixture
def feed(ask: Asker, door: Path) -> SocketFeed:
    del ask
    return SocketFeed(str(door))


@pytest.fixture
def alarmed(house: Glasshouse) -> Glasshouse:
    house.day.grid_falls_silent()
    return house.run(45)


def moment(house: Glasshouse, seconds: float) -> str:
    return datetime.fromtimestamp(house.clock.now_ms() / 1000 + seconds, UTC).isoformat()


async def refused(feed: SocketFeed, method: str, path: str, **body: Any) -> ControllerRefusedError:
    with pytest.raises(ControllerRefusedError) as error:
        await feed.ask(method, path, body)
    return error.value


async def test_an_acknowledged_alarm_names_its_owner_and_the_journal_too(alarmed: Glasshouse, feed: SocketFeed) -> None:
    state = await feed.ask("GET", "/v1/state")
    assert (state["alarms"]["p1"], state["alarms"]["unack"]) == (1, 1)
    told = (await feed.ask("POST", f"{SIGNAL}/ack", {"reason": "called the dispatcher"}))["alarm"]
    assert (told["state"], told["owner"], told["note"]) == ("ACK", "kim", "called the dispatcher")
    assert told["runbook"] == "docs/runbooks/signal_stale.md"
    last = await alarmed.store.head()
    assert last is not None
    assert last.record.kind is RecordKind.ALARM
    assert {name: last.record.body[name] for name in ("alarm", "owner", "role", "state")} == {
        "alarm": "signal_stale@site", "owner": "kim", "role": "operator", "state": "ACK",
    }  # fmt: skip
    assert (await refused(feed, "POST", f"{SIGNAL}/ack")).status == 409
    stats = await feed.ask("GET", "/v1/alarms/stats")
    assert (stats["raised"], list(stats["ack_median_s"])) == (1, ["p1"])


async def test_a_p1_stays_off_the_shelf_and_what_is_not_open_is_404(alarmed: Glasshouse, feed: SocketFeed) -> None:
    shelf = {"reason": "known", "until": moment(alarmed, 900)}
    error = await refused(feed, "POST", f"{SIGNAL}/shelve", **shelf)
    assert (error.status, "P1" in str(error)) == (409, True)
    assert (await refused(feed, "POST", "/v1/alarms/nothing@site/shelve", **shelf)).status == 404
    assert (await refused(feed, "POST", f"{SIGNAL}/shelve", reason="known")).field == "until"


async def test_a_minor_alarm_is_shelved_until_its_condition_is_over(house: Glasshouse, feed: SocketFeed) -> None:
    house.day.farm.silent[:10] = True
    house.run(200)
    key = "container_offline@C000"
    assert [row["id"] for row in (await feed.ask("GET", "/v1/alarms"))["rows"]] == [key]
    path = f"/v1/alarms/{key}"
    assert (await feed.ask("POST", f"{path}/shelve", {"reason": "moved", "until": "once"}))["alarm"]["owner"] == "kim"
    assert (await feed.ask("GET", "/v1/state"))["alarms"]["shelved"] == 1 - len(house.shown.alarms)
    house.run(1)
    assert not house.shown.alarms
    assert (await feed.ask("POST", f"{path}/unshelve", {}))["alarm"]["state"] == "UNACK"


async def test_a_viewer_may_not_touch_alarms_or_lease_and_it_is_noted(alarmed: Glasshouse, feed: SocketFeed) -> None:
    alarmed.badge.role = Role.VIEWER
    for method, path, body in (
        ("POST", f"{SIGNAL}/ack", {}),
        ("POST", "/v1/control/lease", {"reason": "me", "expires_at": moment(alarmed, 60)}),
        ("DELETE", "/v1/control/lease", {}),
    ):
        assert (await refused(feed, method, path, **body)).status == 403
    noted = [r.record.body async for r in alarmed.store.records(kinds=frozenset({RecordKind.OPERATOR}))]
    assert len(noted) == 3
    assert all(str(body["result"]).startswith("403") and body["role"] == "viewer" for body in noted)


async def test_while_one_person_holds_the_lease_another_only_stops(house: Glasshouse, feed: SocketFeed) -> None:
    lease = {"reason": "works on a pump", "expires_at": moment(house, 600)}
    house.badge.name = "lee"
    await house.desk.take_lease(KIM, house.clock.now_ms() + 600_000)
    assert (await feed.ask("GET", "/v1/state"))["lease"]["owner"] == "kim"
    error = await refused(feed, "POST", "/v1/control/lease", **lease)
    assert (error.status, "held by kim" in str(error)) == (409, True)
    other = await refused(feed, "POST", "/v1/commands", verb="maintenance", reason="me too", params={"on": True})
    assert other.status == 409
    assert (await feed.ask("POST", "/v1/commands", {"verb": "stop_all", "reason": "smoke"}))["job"]
    assert (await refused(feed, "DELETE", "/v1/control/lease")).status == 409
    house.badge.role = Role.ENGINEER
    assert (await feed.ask("DELETE", "/v1/control/lease", {"reason": "shift is over"}))["lease"] is None
    assert (await feed.ask("POST", "/v1/control/lease", lease))["lease"]["reason"] == "works on a pump"
    house.clock.ahead_ms = 601_000
    assert (await feed.ask("GET", "/v1/control/lease"))["lease"] is None


async def test_cancelling_the_job_of_an_override_releases_it(house: Glasshouse, feed: SocketFeed) -> None:
    params = {"target_kw": 0.4 * house.day.rated_w / 1e3, "expires_at": moment(house, 900)}
    taken = await feed.ask("POST", "/v1/commands", {"verb": "override_set", "reason": "pump", "params": params})
    house.run(5)
    gone = await feed.ask("DELETE", f"/v1/jobs/{taken['job']}", {"reason": "pump is well"})
    assert (gone["job"]["state"], gone["override"]) == ("cancelled", taken["override"])
    assert not house.desk.overrides
    assert (await feed.ask("GET", f"/v1/jobs/{taken['job']}"))["job"]["state"] == "cancelled"
    stop = (await feed.ask("POST", "/v1/commands", {"verb": "stop_all", "reason": "smoke"}))["job"]
    assert (await refused(feed, "DELETE", f"/v1/jobs/{stop}", reason="no")).hint == "farmctl resume"
    assert (await refused(feed, "DELETE", "/v1/jobs/nothing", reason="no")).status == 404


async def test_orders_survive_a_restart_and_name_who_gave_them(house: Glasshouse) -> None:
    now_ms = house.clock.now_ms()
    order = Override(
        override_id="ov-1", owner="kim", reason="pump", set_at_ms=now_ms, expires_ms=now_ms + 60_000, target_w=1e6
    )
    await house.desk.set_override(order, KIM)
    await house.desk.set_stop_all(KIM, on=True)
    await house.desk.set_maintenance(KIM, on=True)
    await house.desk.take_lease(KIM, now_ms + 60_000)
    again = Desk(house.store, house.clock, asyncio.Event(), armed=True)
    await again.restore()
    assert (again.stop_all, again.maintenance, again.overrides) == (True, True, (order,))
    assert again.lease == house.desk.lease
    records = [r.record.body async for r in house.store.records()]
    assert all(
        (body["owner"], body["uid"], body["role"], body["key"], body["result"]) == ("kim", 1000, "operator", "k1", "ok")
        for body in records
    )
    await again.set_stop_all(KIM, on=False)
    house.clock.ahead_ms = 61_000
    later = Desk(house.store, house.clock, asyncio.Event(), armed=True)
    await later.restore()
    assert (later.stop_all, later.maintenance, later.overrides, later.lease) == (False, True, (), None)


async def test_a_stop_counts_even_where_the_journal_cannot_be_written(house: Glasshouse) -> None:
    await house.store.close()
    with pytest.raises(StoreError):
        await house.desk.set_stop_all(LEE, on=True)
    assert house.desk.stop_all
    with pytest.raises(StoreError):
        await house.desk.set_stop_all(LEE, on=False)
    with pytest.raises(StoreError):
        await house.desk.set_maintenance(LEE, on=True)
    assert house.desk.stop_all
    assert not house.desk.maintenance
