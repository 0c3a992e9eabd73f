"""Observe mode decides and records and sends nothing; a faulty configuration sends nothing either."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from farmctl.ports.store import RecordKind
from simulators.broker import find_mosquitto
from tests.farm.controller import ENDS_S, daemon
from tests.farm.setting import Setting
from tests.farm.site import site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(120),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
SETTING = Setting(net=225, mix={"m50": 4, "s21": 4, "luxos-s19kpro": 4})


async def test_observe_mode_records_its_decisions_and_commands_nobody(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there:
        before_kw = there.shown_kw
        async with daemon(there, "--observe") as running:
            spoken = there.grid.uplink.raw
            await there.until(lambda: running.ended or "state" in spoken, "the site speaks to the grid")
            assert not running.ended, await running.said()
            order = await there.ask(0.5 * there.full_kw)
            await there.grid.wait_for(order, {"ACTIVE"}, within_s=40.0)
            await asyncio.sleep(4.0)
            assert there.near(before_kw), there.shown_kw
        assert there.commands() == 0
        assert not any(miner.log for miner in there.world.miners)
        assert sum(miner.reads.total() for miner in there.world.miners) > 0
        decisions = [record.record.body for record in await there.journal(RecordKind.DECISION)]
        assert order in {body["event"] for body in decisions}
        assert not await there.journal(RecordKind.COMMAND)


async def test_a_configuration_with_faults_ends_in_all_of_them_and_no_packet(tmp_path: Path) -> None:
    async with site(tmp_path, SETTING) as there:
        text = there.config_path.read_text(encoding="utf-8")
        faulty = (
            text.replace("min_on_s = 1.0", "min_on_s = -1.0")
            .replace("interval_s = 1.0", 'interval_s = "often"\nwarp = 9')
            .replace('kind = "modbus"', 'kind = "telepathy"')
        )
        there.config_path.write_text(faulty, encoding="utf-8")
        reads = sum(miner.reads.total() for miner in there.world.miners)
        async with daemon(there) as running, asyncio.timeout(ENDS_S):
            code = await running.process.wait()
        said = await running.said()
        assert code == 2, said
        for key in ("control.min_on_s", "poll.interval_s", "poll.warp", "kind"):
            assert key in said, said
        assert sum(miner.reads.total() for miner in there.world.miners) == reads
        assert there.commands() == 0
        assert there.meter.reads == 0
