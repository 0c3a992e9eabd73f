"""The controller is gone and nobody is awake: the second process brings the meter to the firm level."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from farmctl.wiring.deadman import DeadMan, firm_share
from farmctl.wiring.stores import known_rows
from simulators.faults import Fault
from tests.farm.controller import controller
from tests.farm.setting import FIRM, Setting
from tests.farm.site import site

pytestmark = pytest.mark.timeout(150)
SETTING = Setting(net=230, mix={"m50": 10, "luxos-s19kpro": 10, "s21": 10}, broker=False)


async def test_a_fleet_without_a_controller_falls_to_the_firm_level_and_no_further(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there:
        now_s = [0.0]
        dog = DeadMan(there.loaded, after_s=60.0, now_s=lambda: now_s[0])
        assert not await dog.look()
        now_s[0] = 59.0
        assert not await dog.look()
        assert there.commands() == 0
        silent = there.fault([0], Fault.SILENT)[0]
        now_s[0] = 61.0
        assert await dog.look()
        firm_kw = FIRM * there.rated_kw
        await there.until(lambda: there.shown_kw <= firm_kw, "the meter at the firm level")
        assert all(report.total == report.ok + len(report.failed) for report in dog.reports)
        assert sum(miner.is_asleep for miner in there.world.miners) == sum(report.ok for report in dog.reports)
        assert there.shown_kw > 0.5 * firm_kw
        assert silent.commands == 0
        told = there.commands()
        now_s[0] = 90.0
        assert not await dog.look()
        assert there.commands() == told
        now_s[0] = 125.0
        assert await dog.look()


async def test_a_controller_that_decides_is_left_alone(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there, controller(there) as farm:
        await there.until(lambda: farm.farm.cycle.latest is not None, "a first cycle")
        now_s = [0.0]
        dog = DeadMan(there.loaded, after_s=60.0, now_s=lambda: now_s[0])
        for _ in range(3):
            now_s[0] += 100.0
            await there.until(lambda: farm.farm.cycle.latest is not None, "it lives")
            assert not await dog.look()
            await asyncio.sleep(0.1)
        assert not dog.reports


async def test_protected_miners_run_the_longest_and_the_best_before_the_rest(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there:
        rows = [replace(row, protected=row.driver == "whatsminer") for row in await known_rows(there.loaded.config)]
    share = firm_share(rows, 40_000.0)
    assert 0.9 * 40_000.0 < share.running_w <= 40_000.0
    asleep = {row.miner_id for row in share.sleep}
    assert not any(row.miner_id in asleep for row in rows if row.protected)
    assert firm_share(rows, 0.0).running_w == 0.0
    assert not firm_share(rows, 1e9).sleep
