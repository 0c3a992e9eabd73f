"""Stop-all with the scheduler dead: from the inventory straight to the drivers, with nothing in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farmctl.config.load import load, search
from farmctl.config.schema import FarmConfig
from farmctl.core.model import MinerId, OperatingPoint, PointKind
from farmctl.engine.clock import SystemClock
from farmctl.engine.desk import Desk
from farmctl.errors import FarmError
from farmctl.ports.control import By
from farmctl.ports.devices import AppliesPoint, Credentials, Device, Driver
from farmctl.ports.store import InventoryRow
from farmctl.store.places import open_store
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.fleet import endpoint_of, login_of
from farmctl.wiring.stores import known_rows, place_of

SLEEP = OperatingPoint(kind=PointKind.SLEEP, power_w=0.0, hash_rate_hs=0.0, setting="sleep")
IN_FLIGHT = 500
DEADLINE_S = 15.0


@dataclass(slots=True, kw_only=True)
class DirectReport:
    """What became of every miner."""

    total: int
    ok: int = 0
    failed: dict[MinerId, str] = field(default_factory=dict)
    """Miner -> why it could not be told."""


async def stop_all_directly(config_path: str | None = None) -> DirectReport:
    """Tell every miner of the inventory to sleep; needs no daemon, no broker and no writable disk."""
    path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
    config = load(path, environment=os.environ).config
    return await put_to_sleep(config, await known_rows(config))


async def put_to_sleep(config: FarmConfig, rows: Sequence[InventoryRow]) -> DirectReport:
    """Tell these miners to sleep, all at once within bounds; who could not be told is in the report."""
    drivers = load_drivers(sorted({row.driver for row in rows}))
    logins = {row.miner_id: login_of(config.credentials, row) for row in rows}
    return await _stop(rows, drivers, logins)


async def remember_stop(config_path: str | None, by: By, report: DirectReport) -> str:
    """Note the order where the next controller finds it, so that it wakes nobody; else why that could not be done.

    A controller that hangs holds the journal: then it has to be restarted, and stopped again through its desk.
    """
    path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
    try:
        journal = place_of(load(path, environment=os.environ).config)
        async with asyncio.timeout(DEADLINE_S):
            store = await open_store(journal)
            try:
                desk = Desk(store, SystemClock(), asyncio.Event(), armed=False)
                await desk.restore()
                await desk.set_stop_all(by, on=True)
                told = f"told {report.ok} of {report.total} miners to sleep, {len(report.failed)} could not be told"
                await desk.audit("stop_all_direct", by, told)
            finally:
                await store.close()
    except (FarmError, TimeoutError) as error:
        return str(error) or type(error).__name__
    return ""


async def _stop(
    rows: Sequence[InventoryRow], drivers: Mapping[str, Driver], logins: Mapping[MinerId, Credentials]
) -> DirectReport:
    report = DirectReport(total=len(rows))
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with asyncio.TaskGroup() as tasks:
        for row in rows:
            device = drivers[row.driver].device(endpoint_of(row), logins[row.miner_id])
            tasks.create_task(_stop_one(row.miner_id, device, slots, report))
    return report


async def _stop_one(miner: MinerId, device: Device, slots: asyncio.Semaphore, report: DirectReport) -> None:
    async with slots:
        try:
            if not isinstance(device, AppliesPoint):
                report.failed[miner] = "its driver cannot command"
                return
            async with asyncio.timeout(DEADLINE_S):
                await device.apply(SLEEP)
            report.ok += 1
        except (FarmError, TimeoutError) as error:
            report.failed[miner] = str(error) or type(error).__name__
        finally:
            await device.close()
