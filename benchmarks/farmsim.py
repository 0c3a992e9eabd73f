"""What the simulated farm costs: CPU of the farmsim process for each poll that it answers, family by family.

One process serves a mixed farm of all families; the polls are those of our own drivers, from this process.  CPU is
read from /proc, so Linux only; what time alone costs (physics, idle sockets) is measured first and told apart, and so
is the floor: what a connection costs the cheapest server there can be, on this machine in this minute.
Target: 0.15 ms for each answered poll of a mixed farm of 10,000.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import uvloop

from benchmarks._host import StealWatch, cpu_of
from farmctl.errors import FarmError
from farmctl.ports.devices import Credentials, Device, Endpoint
from farmctl.wiring.drivers import load_drivers

MIX = {
    "m50": 20,
    "m60s": 15,
    "m60s-v3": 8,
    "s19pro": 5,
    "s21": 12,
    "luxos-s19kpro": 10,
    "luxos-s21": 8,
    "braiins-s19jpro": 3,
    "braiins-s19xp": 4,
    "vnish-s19jpro": 4,
    "vnish-s21pro": 4,
    "epic-s19xp": 2,
    "a1246": 3,
    "auradine-at2880": 1,
    "bitaxe-gamma": 1,
}
"""Shares of a mixed farm, percent."""

IN_FLIGHT = 100
IDLE_S = 5.0
POLLS = 10_000
"""The kernel counts CPU in ticks of 10 ms: 1 % of what these take."""
ROUND_S = 15.0
"""How long one family is polled at most."""
START_S = 120.0
FIRST_NET = 90
PORTS = "ports = { api = 4128, http = 8180, api3 = 4533, grpc = 50151 }"
"""Apart from the real ones: a farm that shares its sockets cannot stand beside another that has those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some polls took out of farmsim."""

    polls: int
    errors: int
    cpu_s: float
    wall_s: float

    def told(self, idle_share: float) -> dict[str, float]:
        """As JSON; `net_ms` is without what the same time costs a farm that nobody asks."""
        net_s = self.cpu_s - idle_share * self.wall_s
        return {
            "polls": self.polls,
            "errors": self.errors,
            "cpu_ms": round(self.cpu_s / max(self.polls, 1) * 1e3, 4),
            "net_ms": round(net_s / max(self.polls, 1) * 1e3, 4),
            "per_s": round(self.polls / self.wall_s, 1),
        }


@click.command()
@click.option("--miners", type=click.IntRange(min=100), default=10_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(miners: int, *, as_json: bool) -> None:
    """Measure what an answered poll costs the simulated farm."""
    logging.disable(logging.CRITICAL)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result = uvloop.run(_measure(miners))
    if not as_json:
        for family, row in result["families"].items():
            click.echo(f"{family:<14} {row}")
    click.echo(json.dumps(result))


async def _measure(miners: int) -> dict[str, Any]:
    steal = StealWatch()
    floor_ms = await _floor()
    began_s = time.monotonic()
    async with _farm(miners) as (pid, listening, places):
        up_s = time.monotonic() - began_s
        cpu_s, wall_s = cpu_of(pid), time.monotonic()
        await asyncio.sleep(IDLE_S)
        idle = (cpu_of(pid) - cpu_s) / (time.monotonic() - wall_s)
        drivers = load_drivers(sorted({place["family"] for place in places}))
        by_family: dict[str, list[Device]] = {name: [] for name in drivers}
        for place in places:
            made = drivers[place["family"]].device(Endpoint(host=place["host"], ports=place["ports"]), Credentials())
            by_family[place["family"]].append(made)
        families = {name: (await _polled(pid, devices)).told(idle) for name, devices in by_family.items()}
        mixed = [device for devices in by_family.values() for device in devices]
        random.Random(1).shuffle(mixed)  # noqa: S311 - the order of a benchmark
        whole = (await _polled(pid, mixed)).told(idle)
        rss_mib = _rss_mib(pid)
        for device in mixed:
            await device.close()
    return {
        "miners": miners,
        "listening": listening,
        **whole,
        "floor_ms": round(floor_ms, 4),
        "idle_cpu_pct": round(idle * 100, 2),
        "start_s": round(up_s, 2),
        "rss_mib": rss_mib,
        "families": families,
        "steal_pct": steal.steal_pct(),
    }


async def _floor() -> float:
    """CPU ms for each connection of the cheapest server there can be, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._echo"), stdout=asyncio.subprocess.PIPE
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_S) if process.stdout else b""
        left = iter(range(POLLS))

        async def work() -> None:
            for _ in left:
                reader, writer = await asyncio.open_connection("127.0.0.1", int(line))
                writer.write(b"{}")
                await reader.read()
                writer.close()

        cpu_s = cpu_of(process.pid)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(work())
        return (cpu_of(process.pid) - cpu_s) / POLLS * 1e3
    finally:
        process.terminate()
        await process.wait()


async def _polled(pid: int, devices: Sequence[Device]) -> Cost:
    """Poll each device once to log in, then POLLS times in all, for ROUND_S at most."""
    await _round(devices, time.monotonic() + START_S)
    cpu_s, wall_s = cpu_of(pid), time.monotonic()
    polls = errors = 0
    while polls + errors < POLLS and time.monotonic() < wall_s + ROUND_S:
        done, failed = await _round(devices, wall_s + ROUND_S)
        polls, errors = polls + done, errors + failed
    return Cost(polls=polls, errors=errors, cpu_s=cpu_of(pid) - cpu_s, wall_s=time.monotonic() - wall_s)


async def _round(devices: Sequence[Device], until_s: float) -> tuple[int, int]:
    waiting = iter(devices)
    done = failed = 0

    async def work() -> None:
        nonlocal done, failed
        for device in waiting:
            try:
                await device.poll()
            except FarmError:
                failed += 1
            else:
                done += 1
            if time.monotonic() > until_s:
                return

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(IN_FLIGHT, len(devices))):
            tasks.create_task(work())
    return done, failed


@contextlib.asynccontextmanager
async def _farm(miners: int) -> AsyncIterator[tuple[int, str, list[dict[str, Any]]]]:
    """A mixed farm in a process of its own, ports above 1024: no root needed."""
    farmsim = [sys.executable, "-m", "simulators"]
    mix = ",".join(f"{model}={weight}" for model, weight in MIX.items())
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world.toml"
        options = ["--miners", str(miners), "--mix", mix, "--first-net", str(FIRST_NET)]
        made = await asyncio.create_subprocess_exec(*farmsim, "world", *options, stdout=asyncio.subprocess.PIPE)
        text, _ = await made.communicate()
        described = text.decode().replace("ports = { api = 4028, http = 80 }", PORTS)
        await asyncio.to_thread(world.write_text, described)
        process = await asyncio.create_subprocess_exec(*farmsim, "run", str(world), stdout=asyncio.subprocess.PIPE)
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S) if process.stdout else b""
            ready = json.loads(line)
            yield process.pid, ready["listening"], await asyncio.to_thread(_inventory, ready["control"])
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _inventory(control: str) -> list[dict[str, Any]]:
    with urlopen(f"http://{control}/inventory", timeout=60) as answer:
        return list(json.loads(answer.read()))


if __name__ == "__main__":
    main()
