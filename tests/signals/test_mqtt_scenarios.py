"""Every state of an event and every mode of a site, through a real broker, read by somebody else's client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from itertools import pairwise

import aiomqtt
import pytest

from farmctl.core.confirm import GIVE_UP_RETRY_S
from farmctl.core.events import TRANSITIONS
from farmctl.core.grid import EventState
from farmctl.ports.store import RecordKind
from tests.signals.conftest import Mosquitto
from tests.signals.dispatcher import config
from tests.signals.site_loop import Grid, Overheard, Site, overhearing

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]


@contextlib.asynccontextmanager
async def on_stage(mosquitto: Mosquitto, *, outsiders: bool = True) -> AsyncIterator[tuple[Site, Grid, Overheard]]:
    """A site, its dispatcher and a stranger who listens."""
    await mosquitto.start()
    site = Site(config(mosquitto.port), outsiders=outsiders)
    async with (
        overhearing(mosquitto.port) as overheard,
        site.running(),
        aiomqtt.Client(mosquitto.host, mosquitto.port) as client,
    ):
        grid = Grid(client, site.clock)
        grid.site = site
        await site.until(lambda: any(link.connected for link in site.inbox.links))
        yield site, grid, overheard


async def good_and_bad_days(site: Site, grid: Grid) -> None:
    """An event that is kept, one that is missed, one that is left and found again."""
    full, farm = site.rated_kw, site.day.farm
    await grid.orders("kept", limit_kw=0.6 * full, for_s=90, starts_in_s=10)
    await grid.lets_pass(40)
    await grid.lets_pass(80)
    await grid.orders("wavers", limit_kw=0.5 * full, for_s=240)
    await grid.lets_pass(50)
    farm.boot(slice(0, 30))
    farm.deaf[:] = True
    await grid.lets_pass(40)
    farm.deaf[:] = False
    for _ in range(4):
        await grid.lets_pass(40)
    farm.deaf[:] = True
    await grid.orders("missed", limit_kw=0.5 * full, for_s=60)
    await grid.lets_pass(70)
    farm.deaf[:] = False
    await grid.lets_pass(int(GIVE_UP_RETRY_S))  # rows that were given up are tried again, and obey


async def changes_of_mind(site: Site, grid: Grid) -> None:
    """Withdrawn while it runs, withdrawn before, beaten by a better one, over before it began, never good."""
    full = site.rated_kw
    await grid.orders("withdrawn", limit_kw=0.7 * full, for_s=100)
    await grid.lets_pass(20)
    await grid.withdraws("withdrawn")
    await grid.orders("cancelled-early", limit_kw=0.7 * full, starts_in_s=50)
    await grid.lets_pass(3)
    await grid.withdraws("cancelled-early")
    await grid.lets_pass(3)
    await grid.orders("loser", target_kw=0.8 * full, priority=20)
    await grid.lets_pass(5)
    await grid.orders("winner", target_kw=0.6 * full, priority=5)
    await grid.lets_pass(65)
    await grid.orders("never", limit_kw=0.5 * full, starts_in_s=60, expiresAt=grid._times(20)["expiresAt"])
    await grid.lets_pass(30)
    await grid.orders("refused", limit_kw=-1)
    await grid.orders("late", limit_kw=1, issuedAt="2026-11-24T08:00:00Z", expiresAt="2026-11-24T08:30:00Z")
    await grid.lets_pass(2)


async def test_every_state_of_an_event_is_reached_and_told_in_order(mosquitto: Mosquitto) -> None:
    async with on_stage(mosquitto) as (site, grid, overheard):
        await grid.is_alive()
        await site.run(20)
        await good_and_bad_days(site, grid)
        await changes_of_mind(site, grid)
        await site.until(lambda: overheard.states_of("late"))
    told = {name: overheard.states_of(name) for name in ("kept", "missed", "wavers", "withdrawn", "cancelled-early")}
    assert told["kept"] == ["RECEIVED", "ACCEPTED", "SCHEDULED", "ACTIVE", "RAMPING", "REACHED", "COMPLETED"]
    assert told["missed"] == ["RECEIVED", "ACCEPTED", "ACTIVE", "RAMPING", "DEVIATING", "FAILED"]
    assert told["wavers"][:7] == ["RECEIVED", "ACCEPTED", "ACTIVE", "RAMPING", "REACHED", "DEVIATING", "REACHED"]
    assert told["wavers"][-1] == "COMPLETED"
    assert told["withdrawn"][-1] == told["cancelled-early"][-1] == "CANCELLED"
    assert told["cancelled-early"][:3] == ["RECEIVED", "ACCEPTED", "SCHEDULED"]
    told |= {name: overheard.states_of(name) for name in ("loser", "winner", "never", "refused", "late")}
    assert (told["loser"][-1], told["winner"][-1]) == ("SUPERSEDED", "COMPLETED")
    assert told["never"] == ["RECEIVED", "ACCEPTED", "SCHEDULED", "EXPIRED"]
    assert told["refused"] == told["late"] == ["REJECTED"]
    codes = {body["code"] for topic, body in overheard.messages if topic.endswith("/ack")}
    assert codes >= {1, 2, 3, 6, 7, 10, 253, 254}
    for name, states in told.items():
        for before, after in pairwise(states):
            assert after in TRANSITIONS[EventState(before)], (name, before, after)
    assert {state for states in told.values() for state in states} == {s.value for s in EventState} - {"OPTED_OUT"}


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
