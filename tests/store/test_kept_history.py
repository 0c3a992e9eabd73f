"""The pages that workers keep in the database fill what the files of the process that is asked know nothing of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks._lease_site import SITE, prepared
from farmctl.config.load import load
from farmctl.core.model import MinerId, MinerState, PowerSource
from farmctl.core.units import MS_PER_S
from farmctl.engine import pages
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.ports.devices import Reading
from farmctl.ports.shards import Held
from farmctl.ports.store import InventoryRow
from farmctl.store.crew import WorkerPost
from farmctl.store.postgres import open_postgres, pool_of
from farmctl.wiring.history import site_history

START_MS = 1_796_083_200_000
STEP_S = 10
ROWS = [
    InventoryRow(miner_id=MinerId(f"aa:{n:02}"), host=f"10.0.0.{n}", ports={}, driver="luxos", container=f"C00{n // 2}")
    for n in range(4)
]


def reading(power_w: float) -> Reading:
    return Reading(
        state=MinerState.HASHING, power_w=power_w, power_source=PowerSource.DEVICE, hash_rate_hs=1e14,
        temperature_c=60.0, uptime_s=100.0, setting="full",
    )  # fmt: skip


async def test_history_reads_what_the_workers_kept_and_tells_no_part_of_a_sum_for_the_whole(
    dsn: str, tmp_path: Path
) -> None:
    await prepared(dsn, 2)  # C000 and C001
    keeper = FleetKeeper()
    keeper.seat([Seat(row=row, ladder=None, node=0, group=0, commandable=True) for row in ROWS])
    shards = pages.rows_of(keeper, {row.miner_id: row.container for row in ROWS})
    pool = await pool_of(dsn, 1)
    post = WorkerPost(pool, SITE)
    for step in range(3):
        at_ms = START_MS + step * STEP_S * MS_PER_S
        for row in range(3):  # the last one is silent
            keeper.seen(row, reading(1_000.0 * (row + 1) + step), at_ms)
        told = ["C000", "C001"] if step < 2 else ["C000"]
        await post.keep(at_ms, [(Held(shard=shard, epoch=1), pages.pack(keeper, shards[shard])) for shard in told])
    await pool.close()
    (tmp_path / "dsn").write_text(dsn, encoding="utf-8")
    (tmp_path / "dsn").chmod(0o600)
    text = f'[site]\nname = "s"\nrated_kw = 100.0\n[store]\nkind = "postgres"\ndir = "{tmp_path}"\ndsn_file = "dsn"\n'
    (tmp_path / "farm.toml").write_text(text, encoding="utf-8")
    config = load(tmp_path / "farm.toml", environment={}).config
    store = await open_postgres(dsn)
    await store.put_inventory(ROWS)
    asked = ["site.power_w", "cont:C000.running", "aa:02.power_w", "aa:03.power_w", "site.target_w"]
    end_ms = START_MS + 4 * STEP_S * MS_PER_S
    found = await site_history(config, store).lines(asked, START_MS, end_ms, STEP_S)
    await store.close()
    nan = np.nan
    wanted = {
        "site.power_w": [6_000.0, 6_003.0, nan, nan],
        "cont:C000.running": [2.0, 2.0, 2.0, nan],
        "aa:02.power_w": [3_000.0, 3_001.0, nan, nan],
        "aa:03.power_w": [nan] * 4,
        "site.target_w": [nan] * 4,
    }
    for name, line in wanted.items():
        assert np.array_equal(found.values[name], line, equal_nan=True), (name, found.values[name])
