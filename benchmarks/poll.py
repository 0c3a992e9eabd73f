"""What a poll costs: the floor, ours, pyasic and pyasic_rs side by side on the same simulated miners.

CPU is that of this process alone (all threads); the simulated farm answers from a process of its own. The floor is a
bare asyncio Protocol and orjson on uvloop with the same request and reply; ours is poll, parse, normalise and store in
the column. Targets: N1 of the design.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import click
import orjson
import uvloop
from typing_extensions import override

from benchmarks._host import StealWatch
from farmctl.config.shipped import shipped_profiles
from farmctl.core.model import MinerId
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.inventory.profiles import ladder_for, read_profiles
from farmctl.ports.devices import Credentials, Device, Endpoint
from farmctl.ports.store import InventoryRow
from farmctl.wiring.drivers import load_drivers

IN_FLIGHT = 100
FAMILIES = {
    "whatsminer": ("m50", b'{"cmd":"summary"}'),
    "luxos": ("luxos-s19kpro", b'{"command":"summary+config+power"}'),
    "antminer": ("s21", b'{"command":"stats"}'),
}
FOREIGN_SAMPLE = 60
IDENTIFY_IN_FLIGHT = 20
FOREIGN_DEADLINE_S = 60.0
WARM = 200
FIRST_NET = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU and pace of one client."""

    cpu_ms: float
    per_s: float
    polls: int


@click.command()
@click.option("--miners", type=click.IntRange(min=10), default=2000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--foreign/--no-foreign", default=True, show_default=True, help="Measure pyasic and pyasic_rs too.")
def main(miners: int, *, as_json: bool, foreign: bool) -> None:
    """Measure what a poll costs, for each family of the main job."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    result = uvloop.run(_measure(miners, foreign=foreign))
    if not as_json:
        for family, row in result["families"].items():
            click.echo(f"{family:<12} {row}")
    click.echo(json.dumps(result))


async def _measure(miners: int, *, foreign: bool) -> dict[str, Any]:
    steal = StealWatch()
    families: dict[str, dict[str, float | None]] = {}
    for number, (family, (model, request)) in enumerate(FAMILIES.items()):
        async with _farm(miners, model, FIRST_NET + number) as places:
            families[family] = await _family(family, request, places, foreign=foreign)
    main_one = families["whatsminer"]
    return {**main_one, "miners": miners, "families": families, "steal_pct": round(steal.steal_pct(), 2)}


async def _family(
    family: str, request: bytes, places: Sequence[dict[str, Any]], *, foreign: bool
) -> dict[str, float | None]:
    devices, keeper = _ours(family, places)
    hosts = [place["host"] for place in places]

    async def floor(index: int) -> None:
        orjson.loads(await _exchange(hosts[index], request))

    async def ours(index: int) -> None:
        keeper.seen(index, await devices[index].poll(), 1)

    for warm in range(min(WARM, len(places))):
        await floor(warm)
    await _cost(ours, len(places))
    # In turns, so that a neighbour who steals the processor steals from both.
    rounds = [(await _cost(floor, len(places)), await _cost(ours, len(places))) for _ in range(3)]
    floor_ms = sorted(pair[0].cpu_ms for pair in rounds)[1]
    ours_cost = sorted((pair[1] for pair in rounds), key=lambda cost: cost.cpu_ms)[1]
    for device in devices:
        await device.close()
    sample = min(FOREIGN_SAMPLE, len(places))
    pyasic_ms = (await _pyasic(hosts[:sample])) if foreign else None
    rs_ms = (await _pyasic_rs(hosts[:sample])) if foreign else None
    return {
        "floor_cpu_ms": round(floor_ms, 4),
        "ours_cpu_ms": round(ours_cost.cpu_ms, 4),
        "pyasic_cpu_ms": pyasic_ms,
        "pyasic_rs_cpu_ms": rs_ms,
        "ratio_to_floor": round(ours_cost.cpu_ms / floor_ms, 3),
        "ratio_pyasic_to_ours": None if pyasic_ms is None else round(pyasic_ms / ours_cost.cpu_ms, 1),
        "ratio_pyasic_rs_to_ours": None if rs_ms is None else round(rs_ms / ours_cost.cpu_ms, 1),
        "ours_per_s": round(ours_cost.per_s, 1),
    }


def _ours(family: str, places: Sequence[dict[str, Any]]) -> tuple[list[Device], FleetKeeper]:
    driver = load_drivers([family])[family]
    profiles = read_profiles(shipped_profiles())
    keeper = FleetKeeper()
    rows = [
        InventoryRow(miner_id=MinerId(p["id"]), host=p["host"], ports=p["ports"], driver=family, model=p["model"])
        for p in sorted(places, key=lambda p: p["id"])
    ]
    keeper.seat(
        [Seat(row=r, ladder=ladder_for(family, r.model, "", profiles), node=0, group=0, commandable=True) for r in rows]
    )
    return [driver.device(Endpoint(host=r.host, ports=r.ports), Credentials()) for r in rows], keeper


async def _cost(poll: Callable[[int], Awaitable[None]], polls: int) -> Cost:
    """CPU of this process for `polls` polls, `IN_FLIGHT` at a time."""
    indices = iter(range(polls))

    async def work() -> None:
        for index in indices:
            await poll(index)

    cpu_s, wall_s = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(IN_FLIGHT, polls)):
            tasks.create_task(work())
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    return Cost(cpu_ms=cpu_s / polls * 1e3, per_s=polls / wall_s, polls=polls)


class _Bare(asyncio.Protocol):
    """Connect, write, read to the NUL or the close: nothing less can poll a miner."""

    __slots__ = ("done", "parts", "request")

    def __init__(self, request: bytes, done: asyncio.Future[bytes]) -> None:
        self.request = request
        self.done = done
        self.parts: list[bytes] = []

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        cast("asyncio.WriteTransport", transport).write(self.request)

    @override
    def data_received(self, data: bytes) -> None:
        """Keep what comes; a NUL ends the reply, whoever closes first."""
        self.parts.append(data)
        if data.endswith(b"\0") and not self.done.done():
            self.done.set_result(b"".join(self.parts)[:-1])

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """The peer closes when it has said all."""
        del exc
        if not self.done.done():
            self.done.set_result(b"".join(self.parts))


async def _exchange(host: str, request: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Bare(request, done), host, 4028)
    try:
        return await done
    finally:
        transport.close()


async def _pyasic(hosts: Sequence[str]) -> float:
    import pyasic  # noqa: PLC0415 - costs most of a second, only where it is measured

    found = await _found(pyasic.get_miner, hosts)
    if not found:
        raise RuntimeError("pyasic found none of the simulated miners")
    await found[0].get_data()

    async def poll(index: int) -> None:
        await asyncio.wait_for(found[index].get_data(), FOREIGN_DEADLINE_S)

    return round((await _cost(poll, len(found))).cpu_ms, 3)


async def _pyasic_rs(hosts: Sequence[str]) -> float | None:
    try:
        from pyasic_rs import MinerFactory  # noqa: PLC0415 - a peer, not a dependency
    except ImportError:
        return None
    factory = MinerFactory()
    found = await _found(factory.get_miner, hosts)
    if not found:
        return None
    await found[0].get_data()

    async def poll(index: int) -> None:
        await found[index].get_data()

    return round((await _cost(poll, len(found))).cpu_ms, 3)


async def _found(get_miner: Callable[[str], Awaitable[Any]], hosts: Sequence[str]) -> list[Any]:
    """Let a foreign library identify the hosts, a few at a time: above some hundreds it finds none."""
    slots = asyncio.Semaphore(IDENTIFY_IN_FLIGHT)

    async def one(host: str) -> Any:
        async with slots:
            return await asyncio.wait_for(get_miner(host), FOREIGN_DEADLINE_S)

    return [miner for miner in await asyncio.gather(*(one(host) for host in hosts)) if miner is not None]


@contextlib.asynccontextmanager
async def _farm(miners: int, model: str, net: int) -> AsyncIterator[list[dict[str, Any]]]:
    """A simulated farm of one model in a process of its own, on real ports."""
    farmsim = [sys.executable, "-m", "simulators"]
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world.toml"
        command = [*farmsim, "world", "--miners", str(miners), "--mix", f"{model}=1", "--first-net", str(net)]
        text = await asyncio.to_thread(subprocess.check_output, command, text=True)
        await asyncio.to_thread(world.write_text, text)
        process = await asyncio.create_subprocess_exec(
            *farmsim, "run", str(world), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            line = await asyncio.wait_for(process.stdout.readline(), 60) if process.stdout else b""
            control = json.loads(line)["control"]
            yield await asyncio.to_thread(_inventory, control)
        finally:
            process.terminate()
            await process.wait()


def _inventory(control: str) -> list[dict[str, Any]]:
    with urlopen(f"http://{control}/inventory", timeout=30) as answer:
        return list(json.loads(answer.read()))


if __name__ == "__main__":
    main()
