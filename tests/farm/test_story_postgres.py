"""`farmctl run` on a PostgreSQL: the same orders and the same journal, and a stop that needs no database."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from benchmarks._postgresql import Cluster
from farmctl.ports.store import RecordKind
from farmctl.wiring.direct import stop_all_directly
from simulators.broker import find_mosquitto
from tests.farm.controller import daemon
from tests.farm.setting import Setting
from tests.farm.site import site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]


async def test_a_set_point_is_reached_on_postgresql_and_the_site_is_stopped_with_the_database_dead(
    tmp_path: Path, cluster: Cluster
) -> None:
    setting = Setting(net=232, mix={"luxos-s19kpro": 12}, dsn=cluster.schema("one"))
    async with site(tmp_path, setting) as there:
        async with daemon(there) as first:
            await there.until(lambda: there.near(there.full_kw, 0.05), "meter at full load", within_s=90.0)
            target_kw = 0.6 * there.full_kw
            order = await there.ask(target_kw)
            await there.grid.wait_for(order, {"REACHED"}, within_s=90.0)
            assert await first.end(signal.SIGTERM) == 0, await first.said()
        kinds = [record.record.kind for record in await there.journal()]
        assert kinds[0] is RecordKind.START
        assert {RecordKind.SIGNAL, RecordKind.DECISION, RecordKind.COMMAND, RecordKind.STOP} <= set(kinds)
        await asyncio.to_thread(cluster.stop)
        try:
            report = await stop_all_directly(str(there.config_path))
        finally:
            await asyncio.to_thread(cluster.start)
        assert (report.total, report.ok) == (12, 12)
        await there.until(
            lambda: all(miner.is_asleep for miner in there.world.miners), "every miner asleep", within_s=90.0
        )
