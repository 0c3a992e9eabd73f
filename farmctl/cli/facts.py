"""`farmctl facts`: what the miners themselves say now; reads only, straight from the inventory to the drivers."""

from __future__ import annotations

import asyncio
from math import isfinite
from typing import Any

import click

from farmctl.cli.asking import ClientVerb
from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, output_option, print_rows, say, select_option
from farmctl.core.ailments import ailment
from farmctl.core.units import HASHES_PER_TERAHASH
from farmctl.ports.devices import Facts, Reading

COLUMNS = (
    "id", "host", "driver", "model", "firmware", "state", "power_w", "power_pm_w", "hash_rate_ths", "temperature_c",
    "uptime_s", "boards", "fans", "pool", "user", "errors",
)  # fmt: skip


@click.command(cls=ClientVerb)
@select_option
@config_option
@output_option
def facts(*, selector: str, config_path: str | None, output: str) -> int:
    """Ask miners for firmware, uptime, boards, fans, pools and errors with cause and recommended action."""
    rows, silent = asyncio.run(_asked(config_path, selector))
    print_rows(rows if output in ("json", "jsonl") else [_flat(row) for row in rows], COLUMNS, output)
    for row in rows if output == "table" else []:
        for each in row["errors"]:
            say(f"{row['id']}: {each['code']}: {each['means']}; {each['action']}")
    if not rows and not silent:
        say(f"farmctl: no miner fits {selector}")
    for miner, why in silent.items():
        say(f"{miner}: {why}")
    return Exit.PARTIAL if silent else Exit.OK


async def _asked(config_path: str | None, selector: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    from farmctl.wiring import pools as work  # noqa: PLC0415 - drivers and numpy come with it

    places = await work.selected(config_path, selector)
    try:
        found = await work.read_facts(places)
        seen = await work.read_now([place for place in places if isinstance(found[place.row.miner_id], Facts)])
    finally:
        await work.close(places)
    rows: list[dict[str, Any]] = []
    silent: dict[str, str] = {}
    for place in places:
        said, reading = found[place.row.miner_id], seen.get(place.row.miner_id, "not asked")
        if isinstance(said, Facts) and isinstance(reading, Reading):
            about = {"id": str(place.row.miner_id), "host": place.row.host, "driver": place.row.driver}
            rows.append({**about, **_row(said, reading)})
        else:
            silent[str(place.row.miner_id)] = said if isinstance(said, str) else str(reading)
    return rows, silent


def _row(said: Facts, reading: Reading) -> dict[str, Any]:
    errors = [ailment(code) for code in reading.errors]
    return {
        "model": said.identity.model,
        "firmware": said.identity.firmware,
        "state": reading.state.name.lower(),
        **_power(said, reading),
        "hash_rate_ths": _known(reading.hash_rate_hs / HASHES_PER_TERAHASH),
        "temperature_c": _known(reading.temperature_c),
        "uptime_s": _known(reading.uptime_s),
        "boards": said.boards,
        "fans": [_known(speed) for speed in reading.fans_rpm],
        "pools": [{"url": pool.url, "user": pool.user, "alive": pool.alive} for pool in said.pools],
        "errors": [
            {"code": each.code, "cause": str(each.cause), "means": each.means, "action": each.action} for each in errors
        ],
    }


def _power(said: Facts, reading: Reading) -> dict[str, Any]:
    """Watts as the device measures them, else those of its model with what they may be off by."""
    if isfinite(reading.power_w):
        return {"power_w": reading.power_w, "power_pm_w": None, "power_source": reading.power_source.name.lower()}
    from farmctl.config.shipped import shipped_profiles  # noqa: PLC0415 - only machines that measure nothing need it
    from farmctl.inventory.profiles import estimate_power, read_profiles  # noqa: PLC0415

    who = said.identity
    found = estimate_power(who.driver, who.model, who.firmware, reading.hash_rate_hs, read_profiles(shipped_profiles()))
    if found is None:
        return {"power_w": None, "power_pm_w": None, "power_source": None}
    return {"power_w": round(found.power_w), "power_pm_w": _known(round(found.pm_w, 0)), "power_source": "model"}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """One line of a table: the first pool, and errors by code and cause."""
    first = row["pools"][0] if row["pools"] else {"url": None, "user": None}
    return {
        **row,
        "fans": " ".join("-" if speed is None else f"{speed:.0f}" for speed in row["fans"]) or None,
        "pool": first["url"],
        "user": first["user"],
        "errors": ", ".join(f"{each['code']} {each['cause']}" for each in row["errors"]) or None,
    }


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
