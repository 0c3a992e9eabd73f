"""Pools of a fleet: read, and changed in stages, each of them read back; straight from the inventory to the drivers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from farmctl.config.credentials import SELECTOR_FIELDS, split_selector
from farmctl.config.load import load, search
from farmctl.core.model import MinerId
from farmctl.errors import ConfigError, FarmError, RefusedError
from farmctl.ports.devices import Device, Driver, Facts, Pool, PoolLogin, Reading, SetsPools
from farmctl.ports.store import InventoryRow
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.fleet import endpoint_of, login_of
from farmctl.wiring.stores import known_rows

Said = TypeVar("Said")

IN_FLIGHT = 50
READ_BACK_EVERY_S = 2.0
READ_BACK_S = 120.0
"""Mining restarts with new pools: a Whatsminer says them again after some 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One miner that was selected, and the device that speaks to it."""

    row: InventoryRow
    device: Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """First so few, then so many at a time."""

    first: int = 1
    batch: int = 20
    pause_s: float = 30.0


@dataclass(slots=True, kw_only=True)
class PoolReport:
    """What became of every miner."""

    total: int
    changed: list[MinerId] = field(default_factory=list)
    unchanged: list[MinerId] = field(default_factory=list)
    """They had these pools already, and were not written to."""
    failed: dict[MinerId, str] = field(default_factory=dict)
    untouched: list[MinerId] = field(default_factory=list)
    """Behind a stage that failed."""


async def selected(config_path: str | None, selector: str) -> list[Place]:
    """Miners of the inventory that a selector (`model=*S19*`, `rack=R1`, a bare host glob, `*`) fits.

    Raises ConfigError for a field that no selector has.
    """
    column, glob = split_selector(selector)
    if column not in SELECTOR_FIELDS:
        raise ConfigError(f"selector {selector!r}: expected one of {', '.join(SELECTOR_FIELDS)}")
    path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
    config = load(path, environment=os.environ).config
    rows = [row for row in await known_rows(config) if fnmatchcase(_word(row, column), glob)]
    drivers: Mapping[str, Driver] = load_drivers(sorted({row.driver for row in rows}))
    return [
        Place(row=row, device=drivers[row.driver].device(endpoint_of(row), login_of(config.credentials, row)))
        for row in rows
    ]


async def read_facts(places: Iterable[Place]) -> dict[MinerId, Facts | str]:
    """Slow facts of every miner, or why they could not be read."""
    return await _of_all(places, lambda device: device.facts())


async def read_now(places: Iterable[Place]) -> dict[MinerId, Reading | str]:
    """One poll of every miner, or why it failed."""
    return await _of_all(places, lambda device: device.poll())


async def set_pools(
    places: Sequence[Place],
    pools: Sequence[PoolLogin],
    stages: Stages,
    may_go_on: Callable[[], None],
    *,
    read_back_s: float = READ_BACK_S,
) -> PoolReport:
    """Change the pools stage by stage; a stage with a failure is the last one.

    `may_go_on` is asked before every stage and raises RefusedError where an event is live.
    """
    report = PoolReport(total=len(places))
    left = list(places)
    size = stages.first
    while left and not report.failed:
        may_go_on()
        stage, left = left[:size], left[size:]
        await asyncio.gather(*(_change(place, pools, report, read_back_s) for place in stage))
        size = stages.batch
        if left and not report.failed:
            await asyncio.sleep(stages.pause_s)
    report.untouched = [place.row.miner_id for place in left]
    return report


async def close(places: Iterable[Place]) -> None:
    """Give every device back."""
    for place in places:
        await place.device.close()


def same_pools(found: Sequence[Pool], wanted: Sequence[PoolLogin]) -> bool:
    """Whether a device shows exactly these, in this order; schemes may be left out."""
    return [(_host(pool.url), pool.user) for pool in found] == [(_host(pool.url), pool.user) for pool in wanted]


async def _of_all(
    places: Iterable[Place], ask: Callable[[Device], Coroutine[Any, Any, Said]]
) -> dict[MinerId, Said | str]:
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(place: Place) -> tuple[MinerId, Said | str]:
        async with slots:
            try:
                return place.row.miner_id, await ask(place.device)
            except FarmError as fault:
                return place.row.miner_id, f"{type(fault).__name__}: {fault}"

    return dict(await asyncio.gather(*(one(place) for place in places)))


async def _change(place: Place, pools: Sequence[PoolLogin], report: PoolReport, read_back_s: float) -> None:
    miner, device = place.row.miner_id, place.device
    try:
        if not isinstance(device, SetsPools):
            raise RefusedError(f"driver {place.row.driver} changes no pools")
        before = await device.facts()
        if before.identity.miner_id.lower() != miner.lower():
            raise RefusedError(f"{place.row.host} is {before.identity.miner_id} now, expected {miner}")
        if same_pools(before.pools, pools):
            report.unchanged.append(miner)
            return
        await device.set_pools(pools)
        await _read_back(device, pools, read_back_s)
    except FarmError as fault:
        report.failed[miner] = f"{type(fault).__name__}: {fault}"
    else:
        report.changed.append(miner)


async def _read_back(device: Device, pools: Sequence[PoolLogin], within_s: float) -> None:
    """Wait until the device itself shows the new pools; raises RefusedError where it does not in time."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    shown: tuple[Pool, ...] = ()
    while True:
        try:
            shown = (await device.facts()).pools
        except FarmError:
            shown = ()  # it restarts
        if same_pools(shown, pools):
            return
        if loop.time() >= until_s:
            said = ", ".join(f"{pool.url} {pool.user}" for pool in shown) or "nothing"
            raise RefusedError(f"it said yes, and after {within_s:g} s it still shows {said}")
        await asyncio.sleep(min(READ_BACK_EVERY_S, within_s))


def _word(row: InventoryRow, column: str) -> str:
    words = {
        "host": row.host,
        "id": str(row.miner_id),
        "model": row.model,
        "circuit": row.circuit,
        "container": row.container,
        "rack": row.rack,
    }
    return words[column]


def _host(url: str) -> str:
    return url.rpartition("://")[2].rstrip("/").lower()
