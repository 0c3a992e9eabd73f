"""Set-points down and up: the dispatcher's acks tell the story, and the meter agrees with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmctl.core.grid import SiteMode
from farmctl.ports.store import RecordKind
from simulators.broker import find_mosquitto
from tests.farm.controller import controller
from tests.farm.setting import Setting
from tests.farm.site import site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(120),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
SETTING = Setting(net=201, mix={"m50": 15, "s21": 8, "luxos-s19kpro": 15})


async def test_the_site_follows_a_set_point_down_and_up_and_says_so_in_order(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there, controller(there) as farm:
        await there.until(lambda: farm.seen.mode is SiteMode.AUTONOMOUS, "leaves boot fail-safe")
        down = await there.ask(0.55 * there.full_kw, duration_s=20.0, name="down")
        await there.until(lambda: there.near(0.55 * there.full_kw), "meter on the lower set-point")
        await there.grid.wait_for(down, {"COMPLETED"}, within_s=40.0)
        up = await there.ask(0.8 * there.full_kw, duration_s=20.0, name="up")
        await there.until(lambda: there.near(0.8 * there.full_kw), "meter on the higher set-point")
        await there.grid.wait_for(up, {"COMPLETED"}, within_s=40.0)
        for order in (down, up):
            told = there.states(order)
            places = [told.index(state) for state in ("ACCEPTED", "ACTIVE", "REACHED", "COMPLETED")]
            assert places == sorted(places), told
        assert "power_above_limit" not in farm.seen.alarms
    moves = [r.record.body["state"] for r in await there.journal(RecordKind.EVENT) if r.record.body["event"] == down]
    assert moves[0] in {"RECEIVED", "ACCEPTED"}
    assert moves[-1] == "COMPLETED"
    assert {r.record.kind for r in await there.journal()} >= {RecordKind.SIGNAL, RecordKind.DECISION, RecordKind.STOP}
