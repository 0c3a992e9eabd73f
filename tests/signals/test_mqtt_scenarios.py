"""Every mode of a site, and a site that lets nobody in, through a real broker, read by somebody else's client."""

from __future__ import annotations

import pytest

from farmctl.core.grid import SiteMode
from farmctl.ports.store import RecordKind
from tests.signals.conftest import Mosquitto
from tests.signals.site_loop import on_stage

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]


async def test_every_mode_of_a_site_is_reached_and_told(mosquitto: Mosquitto) -> None:
    async with on_stage(mosquitto) as (site, grid, overheard):
        full = site.rated_kw
        day = site.day
        site.reader = overheard
        await site.run(3)
        await grid.is_alive()
        await site.run(5)
        await grid.orders("target", target_kw=0.7 * full, for_s=20)
        await site.run(25)
        await grid.orders("limit", limit_kw=0.5 * full, for_s=20)
        await site.run(25)
        await grid.beat()
        day.override(0.4 * day.rated_w, for_s=10)
        await site.run(15)
        day.changes["maintenance"] = True
        await site.run(5)
        day.changes["maintenance"] = False
        await site.run(5)
        await grid.beat()
        await grid.orders("blackout", limit_kw=0, for_s=10, event_class="EMERGENCY")
        await site.run(30)
        await grid.beat()
        await grid.withdraws("blackout", event_class="EMERGENCY", release=True)
        await site.run(10)
        await site.run(130)
        assert day.power_w <= 0.25 * day.rated_w * 1.01
        await grid.is_alive()
        await site.run(5)
        await site.until(lambda: overheard.modes()[-1:] == ["AUTONOMOUS"])
    wanted = [
        *("INIT_FAILSAFE", "AUTONOMOUS", "FOLLOWING", "AUTONOMOUS", "LIMITED", "AUTONOMOUS", "LOCAL_OVERRIDE"),
        *("AUTONOMOUS", "MAINTENANCE", "AUTONOMOUS", "EMERGENCY", "AUTONOMOUS", "FAILSAFE", "AUTONOMOUS"),
    ]
    assert [mode.value for mode in day.modes] == wanted
    assert overheard.modes() == wanted
    assert set(wanted) == {mode.value for mode in SiteMode}
    last = [body for topic, body in overheard.messages if topic.endswith("/state")][-1]
    assert [limit["kw"] for limit in last["limitSources"]] == sorted(limit["kw"] for limit in last["limitSources"])
    able = [body for topic, body in overheard.messages if topic.endswith("/capability")][-1]
    assert able["downKwIn"]["5"] <= able["downKwIn"]["30"] <= able["downKwIn"]["600"]


async def test_with_outside_control_off_every_signal_is_recorded_and_opted_out_and_none_acts(
    mosquitto: Mosquitto,
) -> None:
    async with on_stage(mosquitto, outsiders=False) as (site, grid, overheard):
        site.day.changes["links"] = ()
        await grid.lists()
        await grid.beat()
        await site.until(lambda: site.inbox.refused.total() == 1)
        await site.run(20)
        before = site.day.commands
        await grid.orders("wish", limit_kw=0.1 * site.rated_kw)
        await grid.orders("shout", limit_kw=0, event_class="EMERGENCY")
        await site.run(60)
        await site.until(lambda: overheard.states_of("wish") == ["RECEIVED", "OPTED_OUT"])
        await grid.withdraws("wish")
        await site.until(lambda: overheard.states_of("wish") == ["RECEIVED", "OPTED_OUT", "OPTED_OUT"])
        await site.until(lambda: overheard.states_of("shout")[-1:] == ["OPTED_OUT"])
        assert site.day.commands == before
        assert site.inbox.accepted == 0
    answered = [b["msgId"] for t, b in overheard.messages if t.endswith("/ack") and b["eventId"] == "wish"]
    assert len(set(answered)) == 2  # the withdrawal of what was opted out is told that it is, and stays so
    reasons = {b["reason"] for t, b in overheard.messages if t.endswith("/ack") and b["state"] == "OPTED_OUT"}
    assert reasons == {"notParticipating"}
    journalled = [r.record.body async for r in site.store.records(kinds=frozenset({RecordKind.REFUSAL}))]
    assert [body["reason"] for body in journalled] == ["notParticipating"] * 4
    assert all("raw" in body for body in journalled)
    assert not [r async for r in site.store.records(kinds=frozenset({RecordKind.SIGNAL}))]
