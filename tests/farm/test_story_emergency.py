"""An EMERGENCY on stock Whatsminers: down past every ramp, latched past its end, up by ramps alone."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from farmctl.core.grid import SiteMode
from farmctl.ports.store import RecordKind
from simulators.broker import find_mosquitto
from simulators.grid.orders import EventClass, Order
from tests.farm.controller import Controller, controller
from tests.farm.setting import Setting
from tests.farm.site import Site, site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
SETTING = Setting(net=231, mix={"m50": 8, "m60s": 8})
CALM = 0.12
"""Share of the full power that sleeping machines, their fans and the site's own load may still draw."""
LASTS_S = 3.0
JITTER_S = 2.0


async def test_an_emergency_stops_whatsminers_at_once_stays_after_its_end_and_is_left_by_a_release_and_a_ramp(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, SETTING) as there:
        text = there.config_path.read_text(encoding="utf-8")
        text = text.replace('op = "grid-op"\n', f'op = "grid-op"\nrelease_jitter_s = {JITTER_S}\n')
        there.config_path.write_text(text, encoding="utf-8")
        async with controller(there) as farm:
            await emergency(there, farm)
    modes = [record.record.body["mode"] for record in await there.journal(RecordKind.MODE)]
    assert modes[-2:] == ["EMERGENCY", "AUTONOMOUS"]


async def emergency(there: Site, farm: Controller) -> None:
    await there.until(lambda: farm.seen.mode is SiteMode.AUTONOMOUS, "leaves boot fail-safe")
    await there.until(lambda: there.near(there.full_kw, 0.06), "everything runs")
    least_kw = round(CALM * there.full_kw, 1)  # asleep they still draw, and the site has a load of its own
    order = Order(limit_kw=least_kw, event_class=EventClass.EMERGENCY, duration_s=LASTS_S, respond_within_s=30)
    down = (await there.grid.create_event(order)).order_id
    await there.until(lambda: there.shown_kw <= CALM * there.full_kw, "meter at the least")
    await there.grid.wait_for(down, {"REACHED"}, within_s=40.0)  # by the mean of ten seconds
    await asyncio.sleep(2 * LASTS_S)
    assert farm.seen.mode is SiteMode.EMERGENCY  # its time is over and it is latched
    assert "emergency_latched" in farm.seen.alarms
    assert max(there.shown_since(time.monotonic() - LASTS_S)) <= CALM * there.full_kw
    await there.grid.release(down)
    await there.until(lambda: farm.seen.mode is SiteMode.AUTONOMOUS, "released")
    await there.until(lambda: there.near(there.full_kw, 0.06), "everything runs again", within_s=90.0)
    told = there.states(down)
    assert told[:2] == ("RECEIVED", "ACCEPTED")
    assert told[-1] in {"COMPLETED", "CANCELLED"}
