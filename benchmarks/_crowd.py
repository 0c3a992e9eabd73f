"""Simulated farms of any size in processes of their own, and the inventory of a controller that polls them."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from farmctl.core.model import MinerId
from farmctl.ports.store import InventoryRow
from farmctl.store.sqlite import open_sqlite
from farmctl.wiring.stores import JOURNAL

PER_PROCESS = 12_500
"""Miners of one farmsim: each listens on its own address, and 20,000 open files is a common hard limit."""
FIRST_NET = 70
READY_S = 180.0
FARMSIM = (sys.executable, "-m", "simulators")


@asynccontextmanager
async def crowd(miners: int, mix: str, folder: Path, *, seed: int = 1) -> AsyncIterator[list[dict[str, Any]]]:
    """Serve `miners` on real ports until the block ends; their inventory as farmsim tells it."""
    async with AsyncExitStack() as stack:
        shares = [PER_PROCESS] * (miners // PER_PROCESS) + ([miners % PER_PROCESS] if miners % PER_PROCESS else [])
        controls = [
            await stack.enter_async_context(_farmsim(share, mix, folder, FIRST_NET + 2 * number, seed + number))
            for number, share in enumerate(shares)
        ]
        told = await asyncio.gather(*(asyncio.to_thread(_inventory, control) for control in controls))
        yield [place for part in told for place in part]


def inventory_of(places: list[dict[str, Any]]) -> list[InventoryRow]:
    """Rows as a finished scan would have written them, all on the circuit of the site."""
    return [
        InventoryRow(
            miner_id=MinerId(place["id"].lower()),
            host=place["host"],
            ports=place["ports"],
            driver=place["family"],
            model=place["model"],
            circuit="site",
            container=place["container"],
            rack=place["rack"],
        )
        for place in places
    ]


async def stock(folder: Path, places: list[dict[str, Any]]) -> None:
    """Write the inventory into the store of the site in `folder`."""
    store = await open_sqlite(folder / JOURNAL)
    try:
        await store.put_inventory(inventory_of(places))
    finally:
        await store.close()


def site_text(folder: Path, *, rated_kw: float, interval_s: float, more: str = "") -> str:
    """A farm.toml of one circuit and no meter; `more` is appended as it is."""
    return f"""
[site]
name = "crowd"
rated_kw = {rated_kw}
standing_kw = {rated_kw}
[poll]
interval_s = {interval_s}
[[circuit]]
name = "site"
rating_kw = {rated_kw}
[store]
dir = "{folder}"
[metrics]
listen = "127.0.0.1:{_free_port()}"
[api]
socket = "{folder}/farmctl.sock"
{more}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _farmsim(miners: int, mix: str, folder: Path, net: int, seed: int) -> AsyncIterator[str]:
    world = folder / f"world-{net}.toml"
    command = [*FARMSIM, "world", "--miners", str(miners), "--mix", mix, "--first-net", str(net), "--seed", str(seed)]
    text = await asyncio.to_thread(subprocess.check_output, command, text=True)
    await asyncio.to_thread(world.write_text, text)
    process = await asyncio.create_subprocess_exec(
        *FARMSIM, "run", str(world), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_S) if process.stdout else b""
        yield str(json.loads(line)["control"])
    finally:
        process.terminate()
        await process.wait()


def _inventory(control: str) -> list[dict[str, Any]]:
    with urlopen(f"http://{control}/inventory", timeout=60) as answer:
        return list(json.loads(answer.read()))
