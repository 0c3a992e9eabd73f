"""The broker dies in the middle of an event, or was never there: load never rises until the grid is heard again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from farmctl.core.grid import SiteMode
from farmctl.ports.store import RecordKind
from simulators.broker import find_mosquitto
from tests.farm.controller import controller
from tests.farm.setting import FIRM, Setting
from tests.farm.site import site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
MIX = {"m50": 20, "luxos-s19kpro": 20}
MARGIN = 1.02
"""What the meter's noise and a miner that settles may add."""


async def test_a_broker_killed_in_an_event_ends_in_fail_safe_and_is_followed_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, Setting(net=205, mix=MIX, lost_s=10.0)) as there, controller(there) as farm:
        await there.until(lambda: farm.seen.mode is SiteMode.AUTONOMOUS, "leaves boot fail-safe")
        target_kw = 0.7 * there.full_kw
        order = await there.ask(target_kw, duration_s=120.0)
        await there.grid.wait_for(order, {"REACHED"}, within_s=40.0)
        assert there.broker is not None
        await there.broker.kill()
        killed_s = time.monotonic()
        await asyncio.sleep(4.0)
        held = there.shown_since(killed_s)
        assert there.near(target_kw), held
        assert farm.seen.mode is SiteMode.FOLLOWING
        await there.until(lambda: farm.seen.mode is SiteMode.FAILSAFE, "fail-safe after ten silent seconds")
        firm_kw = FIRM * there.rated_kw
        await there.until(lambda: there.shown_kw <= firm_kw * MARGIN, "meter at the firm level")
        await asyncio.sleep(2.0)
        assert max(there.shown_since(killed_s)) <= held[0] * MARGIN
        assert max(there.shown_since(time.monotonic() - 2.0)) <= firm_kw * MARGIN
        assert "signal_stale" in farm.seen.alarms
        await there.broker.restart()
        await there.until(lambda: farm.seen.mode is SiteMode.FOLLOWING, "the snapshot brings the event back")
        await there.until(lambda: there.near(target_kw), "meter on the set-point again")
    modes = [record.record.body["mode"] for record in await there.journal(RecordKind.MODE)]
    assert modes[-3:] == ["FOLLOWING", "FAILSAFE", "FOLLOWING"]


async def test_a_controller_started_without_a_broker_waits_in_fail_safe_and_follows_when_it_appears(
    tmp_path: Path,
) -> None:
    setting = Setting(net=205, mix=MIX, lost_s=10.0, broker=False)
    with capture_logs() as said:
        async with site(tmp_path, setting) as there, controller(there) as farm:
            firm_kw = FIRM * there.rated_kw
            began_s = time.monotonic()
            await there.until(lambda: there.shown_kw <= firm_kw * MARGIN, "meter at the firm level")
            await asyncio.sleep(3.0)
            assert farm.seen.modes == [SiteMode.INIT_FAILSAFE]
            assert max(there.shown_since(began_s)) <= there.shown_since(began_s)[0] * MARGIN
            assert max(there.shown_since(time.monotonic() - 2.0)) <= firm_kw * MARGIN
            complaints = [line for line in said if line["event"] == "grid_link_lost"]
            assert len(complaints) == 1, [line["event"] for line in said]
            assert f":{there.broker_port}" in str(complaints[0])
            await there.open_broker()
            target_kw = 0.6 * there.full_kw
            order = await there.ask(target_kw)
            await there.grid.wait_for(order, {"REACHED"}, within_s=60.0)
            await there.until(lambda: there.near(target_kw), "meter on the set-point")
            assert farm.seen.mode is SiteMode.FOLLOWING
