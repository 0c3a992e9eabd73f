"""`farmctl run` as a process of its own: an orderly stop, a kill in the middle of an event, and what comes after."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from farmctl.ports.store import RecordKind
from simulators.broker import find_mosquitto
from tests.farm.controller import Daemon, daemon
from tests.farm.setting import Setting
from tests.farm.site import Site, site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
SETTING = Setting(net=220, mix={"m50": 20, "luxos-s19kpro": 20})


async def online(there: Site, running: Daemon) -> None:
    """This run has told the grid its mode and left boot fail-safe."""
    known = len(there.grid.uplink.modes)
    left = {"AUTONOMOUS", "FOLLOWING"}
    await there.until(
        lambda: running.ended or any(mode in left for _, mode in there.grid.uplink.modes[known:]),
        "farmctl run leaves boot fail-safe",
    )
    assert not running.ended, await running.said()


async def resumed(there: Site, target_kw: float) -> None:
    """A controller that has just started comes back to the target and never goes above it on the way."""
    began_s = time.monotonic()
    await asyncio.sleep(3.0)
    await there.until(lambda: there.near(target_kw), "meter on the set-point of the resumed event")
    assert max(there.shown_since(began_s)) <= 1.03 * target_kw


async def test_sigterm_leaves_the_fleet_as_it_is_and_a_restart_goes_on_with_the_event(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there:
        async with daemon(there) as first:
            await online(there, first)
            target_kw = 0.6 * there.full_kw
            order = await there.ask(target_kw, duration_s=42.0)
            await there.grid.wait_for(order, {"REACHED"}, within_s=40.0)
            await there.until(lambda: there.near(target_kw), "meter on the set-point")
            assert await first.end(signal.SIGTERM) == 0, await first.said()
        told = there.commands()
        await asyncio.sleep(2.0)
        assert there.near(target_kw), there.shown_kw
        assert there.commands() == told
        last = (await there.journal(RecordKind.STOP))[-1]
        assert last.record.body["fleet"] == "left as it is"
        async with daemon(there) as second:
            await online(there, second)
            await resumed(there, target_kw)
            await there.grid.wait_for(order, {"COMPLETED"}, within_s=60.0)
        assert "REJECTED" not in there.states(order)
        assert len(await there.journal(RecordKind.START)) == 2


async def test_a_controller_killed_in_an_event_goes_on_with_it_and_the_journal_is_whole(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there:
        async with daemon(there) as first:
            await online(there, first)
            target_kw = 0.6 * there.full_kw
            order = await there.ask(target_kw, duration_s=120.0)
            await there.grid.wait_for(order, {"REACHED"}, within_s=40.0)
            await there.until(lambda: there.near(target_kw), "meter on the set-point")
            assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        before = await there.journal()
        assert not await there.journal(RecordKind.STOP)
        await asyncio.sleep(2.0)
        assert there.near(target_kw), there.shown_kw
        async with daemon(there) as second:
            await online(there, second)
            await resumed(there, target_kw)
            assert there.grid.uplink.telemetry[-1].event_id == order
            assert there.grid.uplink.telemetry[-1].mode == "FOLLOWING"
            lower_kw = 0.5 * there.full_kw
            lower = await there.ask(lower_kw, name="lower")
            await there.grid.wait_for(lower, {"REACHED"}, within_s=40.0)
            await there.until(lambda: there.near(lower_kw), "the restarted controller follows the next set-point")
            assert await second.end(signal.SIGTERM) == 0, await second.said()
        after = await there.journal()
        assert [record.hash for record in after[: len(before)]] == [record.hash for record in before]
        assert not {"REJECTED", "FAILED"} & set(there.states(order))
