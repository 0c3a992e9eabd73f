"""Miners that are silent, lie, or never wake: the meter stays on target and the record says who did not follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from farmctl.core.grid import SiteMode
from farmctl.core.memory import Standing
from farmctl.ports.store import RecordKind
from simulators.broker import find_mosquitto
from simulators.faults import Fault
from tests.farm.controller import Controller, controller
from tests.farm.setting import Setting
from tests.farm.site import Site, site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
NET = 210


async def ready(there: Site, farm: Controller) -> None:
    """The fleet has been heard and the grid too."""
    await there.until(lambda: farm.seen.mode is SiteMode.AUTONOMOUS, "leaves boot fail-safe")
    await there.until(lambda: bool((farm.farm.fleet.keeper.table.seen_ms > 0).all()), "every miner was heard")


def commanded(records: Sequence[Mapping[str, object]], miner: str) -> list[str]:
    """Settings that the journal says were sent to a miner."""
    return [str(body["setting"]) for body in records if miner in str(body["miners"])]


async def test_a_tenth_of_silent_miners_is_counted_and_the_rest_keeps_the_meter_on_target(tmp_path: Path) -> None:
    setting = Setting(net=NET, mix={"m50": 20, "luxos-s19kpro": 20})
    async with site(tmp_path, setting) as there, controller(there) as farm:
        await ready(there, farm)
        silent = there.fault([2, 9, 25, 36], Fault.SILENT)
        rows = [farm.row_of(there, miner.row) for miner in silent]
        table = farm.farm.fleet.keeper.table
        heard_ms = table.tried_ms[rows].max() + 8_000
        await there.until(lambda: bool((table.tried_ms[rows] > heard_ms).all()), "the silent ones are noticed")
        assert not farm.seen.picture.decision.seen.fresh[rows].any()
        target_kw = 0.55 * there.full_kw
        order = await there.ask(target_kw)
        await there.grid.wait_for(order, {"REACHED"}, within_s=40.0)
        await there.until(lambda: there.near(target_kw), "meter on target without the silent ones")
        decision = farm.seen.picture.decision
        for row, miner in zip(rows, silent, strict=True):
            still_w = float(there.world.fleet.power_w[miner.row])
            assert still_w > 0.9 * miner.personality.full_w
            assert float(decision.seen.counted_w[row]) > 0.8 * still_w
            assert not decision.seen.movable[row]
            assert miner.commands == 0
    bodies = [dict(record.record.body) for record in await there.journal(RecordKind.COMMAND)]
    assert bodies
    assert not any(commanded(bodies, miner.identity.mac) for miner in silent)


async def test_a_miner_that_never_resumes_is_retried_given_up_and_made_up_for(tmp_path: Path) -> None:
    setting = Setting(net=NET, mix={"m50": 15, "s21": 15}, control="max_attempts = 2")
    async with site(tmp_path, setting) as there, controller(there) as farm:
        await ready(there, farm)
        down = await there.ask(0.3 * there.full_kw, name="down")
        await there.grid.wait_for(down, {"REACHED"}, within_s=40.0)
        asleep = [miner for miner in there.world.miners if miner.is_asleep]
        stuck = there.fault([asleep[0].row], Fault.STUCK)[0]
        row = farm.row_of(there, stuck.row)
        name = str(farm.farm.fleet.keeper.table.miner_id[row])
        up_kw = 0.85 * there.full_kw
        await there.ask(up_kw, name="up")
        standing = farm.farm.cycle
        await there.until(
            lambda: bool(standing.latest and standing.latest.memory.rows.standing[row] == Standing.GAVE_UP),
            "the stuck miner is given up",
            within_s=80.0,
        )
        await there.until(lambda: there.near(up_kw), "the others make up for it")
        assert float(there.world.fleet.power_w[stuck.row]) < 0.1 * stuck.personality.full_w
        assert farm.farm.tally.retried >= 1
        assert "command_failures" in farm.seen.alarms
    fates = [dict(record.record.body) for record in await there.journal(RecordKind.FATE)]
    assert [body for body in fates if body["fate"] == "gave_up" and name in str(body["miners"])]
    sent = [dict(record.record.body) for record in await there.journal(RecordKind.COMMAND)]
    assert max(int(str(body["attempt"])) for body in sent if name in str(body["miners"])) == 2


async def test_liars_about_power_and_about_sleep_do_not_move_the_meter_off_target(tmp_path: Path) -> None:
    setting = Setting(net=NET, mix={"m50": 20, "luxos-s19kpro": 20})
    async with site(tmp_path, setting) as there, controller(there) as farm:
        await ready(there, farm)
        there.fault([0], Fault.LIES_POWER, factor=0.6)
        sleeper = there.fault([25], Fault.LIES_STATE, says="asleep")[0]
        target_kw = 0.6 * there.full_kw
        order = await there.ask(target_kw)
        await there.grid.wait_for(order, {"REACHED"}, within_s=60.0)
        await there.until(lambda: there.near(target_kw), "meter on target although two miners lie")
        there.fault([25], Fault.IGNORES)
        higher_kw = 0.75 * there.full_kw
        order = await there.ask(higher_kw, name="higher")
        await there.grid.wait_for(order, {"REACHED"}, within_s=60.0)
        await there.until(lambda: there.near(higher_kw), "meter on the next target too")
        assert float(there.world.fleet.power_w[sleeper.row]) > 0.3 * sleeper.personality.full_w
