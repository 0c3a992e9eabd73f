"""The demo's site: a farm.toml and an inventory for the machines that the simulators run."""

from __future__ import annotations

import asyncio
import grp
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farmctl.config.load import Loaded, load
from farmctl.config.shipped import shipped
from farmctl.core.model import MinerId
from farmctl.errors import FarmError
from farmctl.ports.devices import Credentials, Driver, Endpoint, Identity
from farmctl.ports.store import InventoryRow
from farmctl.store.places import Place, open_store
from farmctl.wiring.demo.seat import DemoKeys, signed

IDENTIFY_IN_FLIGHT = 200
AUX_BASE_SHARE = 0.01
AUX_SHARE = 0.03
"""Cooling and controls of the demo site: 1 % of the rating that is always there, and 3 % of what the miners draw."""
SPARE = 1.02
"""Rating of the site over everything that can run in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The demo site's figures."""

    rated_kw: float
    containers: tuple[str, ...]
    container_kw: float


def numbers(full_w: float, containers: Iterable[str], largest_container_w: float) -> Numbers:
    """Ratings that fit what the simulated machines can draw."""
    rated_kw = full_w * (1 + AUX_BASE_SHARE + AUX_SHARE) * SPARE / 1e3
    return Numbers(
        rated_kw=round(rated_kw, 1),
        containers=tuple(sorted(set(containers))),
        container_kw=round(largest_container_w * SPARE * (1 + AUX_SHARE) / 1e3, 1),
    )


def configured(
    folder: Path, figures: Numbers, *, site: str, broker: str, meter_port: int, metrics_port: int, keys: DemoKeys | None
) -> Loaded:
    """Write the demo's farm.toml from the shipped template and load it."""
    circuits = "\n".join(
        f'[[circuit]]\nname = "{name}"\nparent = "site"\nrating_kw = {figures.container_kw}\n'
        for name in figures.containers
    )
    template = shipped("demo.toml").read_text(encoding="utf-8")
    if keys is not None:
        template = signed(template, keys)
    text = (
        template.replace("@RATED_KW@", f"{figures.rated_kw}")
        .replace("@SITE@", site)
        .replace("@FIRM_KW@", f"{0.2 * figures.rated_kw:.1f}")
        .replace("@BROKER@", broker)
        .replace("@METER_PORT@", str(meter_port))
        .replace("@METRICS_PORT@", str(metrics_port))
        .replace("@FOLDER@", str(folder))
        .replace("@GROUP@", _own_group())
        .replace("# @CIRCUITS@", circuits)
    )
    path = folder / "farm.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environment={})


async def identified(places: Sequence[Endpoint], drivers: Sequence[Driver]) -> dict[str, Identity]:
    """Who answers at each place, by probing, natives first: host and ports -> identity."""
    found: dict[str, Identity] = {}
    slots = asyncio.Semaphore(IDENTIFY_IN_FLIGHT)

    async def probe(place: Endpoint) -> None:
        async with slots:
            for driver in drivers:
                try:
                    identity = await driver.identify(place, Credentials())
                except FarmError:
                    continue
                if identity is not None:
                    found[key_of(place.host, place.ports)] = identity
                    return

    async with asyncio.TaskGroup() as tasks:
        for place in places:
            tasks.create_task(probe(place))
    return found


async def stocked(at: Place, known: Sequence[Mapping[str, Any]], found: Mapping[str, Identity]) -> None:
    """Put every identified miner into the store, with the location that the site's list gives for its address."""
    rows = []
    for place in known:
        identity = found.get(key_of(place["host"], place["ports"]))
        if identity is None:
            continue
        rows.append(
            InventoryRow(
                miner_id=MinerId(identity.miner_id),
                host=place["host"],
                ports=place["ports"],
                driver=identity.driver,
                model=identity.model,
                firmware=identity.firmware,
                serial=identity.serial,
                circuit=place["container"],
                container=place["container"],
                rack=place["rack"],
            )
        )
    store = await open_store(at)
    try:
        await store.put_inventory(rows)
    finally:
        await store.close()


def key_of(host: str, ports: Mapping[str, int]) -> str:
    """One place, as a dictionary key."""
    return f"{host} {sorted(ports.items())}"


def _own_group() -> str:
    """Group of whoever runs the demo; its number where it has no name."""
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())
