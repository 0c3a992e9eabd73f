"""Simulated farms of any size in processes of their own, and the inventory of a controller that polls them."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
PER_NET = 1 << 16
PER_CONTAINER = 200
REAL_PORTS = "ports = { api = 4028, http = 80 }"
READY_S = 180.0
FARMSIM = (sys.executable, "-m", "simulators")


@dataclass(frozen=True, slots=True)
class Crowd:
    """A farm that is there."""

    places: list[dict[str, Any]]
    """Its inventory as farmsim tells it."""
    pids: tuple[int, ...]
    """The processes that answer, for what they cost."""
    controls: tuple[str, ...] = ()
    """Control addresses of the farmsims that know the truth."""


@asynccontextmanager
async def crowd(
    miners: int, mix: str, folder: Path, *, seed: int = 1, net: int = FIRST_NET, real_ports: bool = False
) -> AsyncIterator[Crowd]:
    """Serve `miners` on ports of their own, or the real ones, until the block ends."""
    async with AsyncExitStack() as stack:
        shares = [PER_PROCESS] * (miners // PER_PROCESS) + ([miners % PER_PROCESS] if miners % PER_PROCESS else [])
        farms = [
            await stack.enter_async_context(
                _farmsim(share, mix, folder, net + 2 * number, seed + number, real_ports=real_ports)
            )
            for number, share in enumerate(shares)
        ]
        told = await asyncio.gather(*(asyncio.to_thread(_inventory, control) for control, _ in farms))
        places, controls = [place for part in told for place in part], tuple(control for control, _ in farms)
        yield Crowd(places, tuple(pid for _, pid in farms), controls)


@asynccontextmanager
async def site_meter(controls: Sequence[str], rated_kw: float) -> AsyncIterator[int]:
    """Serve the site meter over these farmsims, without a load of its own; its Modbus TCP port on loopback."""
    follows = [word for control in controls for word in ("--control", f"http://{control}")]
    process = await asyncio.create_subprocess_exec(
        *(*FARMSIM, "meter", *follows, "--port", "0", "--rated-kw", str(rated_kw)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_S) if process.stdout else b""
        yield int(json.loads(line)["port"])
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def lean_crowd(miners: int, mix: str, folder: Path) -> AsyncIterator[Crowd]:
    """The same from one process that says what one simulated miner of each model says; see `_responder`."""
    weights = {model: int(weight) for model, _, weight in (part.partition("=") for part in mix.split(","))}
    one_each = ",".join(f"{model}=1" for model in weights)
    async with crowd(len(weights), one_each, folder) as samples:
        by_model = dict(zip(weights, samples.places, strict=True))
        turn = [model for model, weight in weights.items() for _ in range(weight)]
        places = [_place(number, by_model[turn[number % len(turn)]]) for number in range(miners)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks._responder"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            port = await asyncio.wait_for(_told(process, by_model, places), READY_S)
            for place in places:
                place["ports"] = {"api": port}
            yield Crowd(places, (process.pid, *samples.pids))
        finally:
            process.kill()
            await process.wait()


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


def _place(number: int, sample: dict[str, Any]) -> dict[str, Any]:
    """One more miner like the sample, with an address and a name of its own."""
    net, rest = FIRST_NET + 2 + number // PER_NET, number % PER_NET
    container = f"C{number // PER_CONTAINER:03}"
    return {
        **sample,
        "id": "0A:00:00:" + ":".join(f"{number >> shift & 255:02X}" for shift in (16, 8, 0)),
        "host": f"127.{net}.{rest >> 8}.{rest & 255}",
        "container": container,
        "rack": f"{container}-R{number % PER_CONTAINER // 50}",
    }


async def _told(
    process: asyncio.subprocess.Process, samples: dict[str, dict[str, Any]], places: list[dict[str, Any]]
) -> int:
    """Tell the responder whom it plays; the port that it answers on."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the responder was started without pipes")
    speaker = {place["model"]: [place["id"], place["host"], place["ports"]["api"]] for place in samples.values()}
    miners = [[place["host"], place["model"], place["id"]] for place in places]
    process.stdin.write(json.dumps({"samples": speaker, "miners": miners}).encode() + b"\n")
    await process.stdin.drain()
    return int(await process.stdout.readline())


@asynccontextmanager
async def _farmsim(
    miners: int, mix: str, folder: Path, net: int, seed: int, *, real_ports: bool
) -> AsyncIterator[tuple[str, int]]:
    world = folder / f"world-{net}.toml"
    command = [*FARMSIM, "world", "--miners", str(miners), "--mix", mix, "--first-net", str(net), "--seed", str(seed)]
    text = await asyncio.to_thread(subprocess.check_output, command, text=True)
    if not real_ports:  # apart from every other farm on this machine
        text = text.replace(REAL_PORTS, f"ports = {{ api = {_free_port()}, http = {_free_port()} }}")
    await asyncio.to_thread(world.write_text, text)
    process = await asyncio.create_subprocess_exec(
        *FARMSIM, "run", str(world), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_S) if process.stdout else b""
        yield str(json.loads(line)["control"]), process.pid
    finally:
        process.terminate()
        await process.wait()


def _inventory(control: str) -> list[dict[str, Any]]:
    with urlopen(f"http://{control}/inventory", timeout=60) as answer:
        return list(json.loads(answer.read()))
