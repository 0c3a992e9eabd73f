"""How long a scan takes: 4,096 addresses, 1,000 miners of all families among them, the rest as silent as unused ones.

The miners share their listening sockets, whose filter drops every call to an address or port without a miner, so each
dead address costs the scan its whole connect deadline, as a real unused one does.  `farmctl scan` runs as its user runs
it, in a process of its own.  Target: under 30 s, and none missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click

from benchmarks._host import StealWatch
from benchmarks.farmsim import MIX

NET = "127.77"
PORTS = {"api": 4628, "http": 8680, "api3": 4933, "grpc": 50251}
START_S = 60.0
RUN = 64
"""Miners on neighbouring addresses, then a gap."""


@click.command()
@click.option("--miners", type=click.IntRange(min=20), default=1000, show_default=True)
@click.option("--addresses", type=click.IntRange(min=256, max=65_536), default=4096, show_default=True)
@click.option("--rate", type=float, default=1000.0, show_default=True, help="Addresses begun per second.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(miners: int, addresses: int, rate: float, *, as_json: bool) -> None:
    """Measure how long a scan takes and whether it misses anybody."""
    result = asyncio.run(_measure(miners, addresses, rate))
    if not as_json:
        click.echo(f"{result['found']} of {miners} miners in {result['wall_s']} s")
    click.echo(json.dumps(result))


async def _measure(miners: int, addresses: int, rate: float) -> dict[str, Any]:
    steal = StealWatch()
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world.toml"
        await asyncio.to_thread(world.write_text, "\n".join(_described(miners, addresses)))
        farmsim = [sys.executable, "-m", "simulators", "run", str(world)]
        process = await asyncio.create_subprocess_exec(*farmsim, stdout=asyncio.subprocess.PIPE)
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S) if process.stdout else b""
            truth = await asyncio.to_thread(_inventory, json.loads(line)["control"])
            began_s = time.monotonic()
            report = await _scan(addresses, rate)
            process_s = time.monotonic() - began_s
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
    found = {(each["host"], each["driver"]) for each in report["found"]}
    real = {(place["host"], place["family"]) for place in truth}
    return {
        "addresses": report["addresses"],
        "miners": len(real),
        "found": len(found & real),
        "missed": len(real - found),
        "mistaken": len(found - real),
        "wall_s": report["wall_s"],
        "process_s": round(process_s, 2),
        "families": Counter(driver for _, driver in found),
        "steal_pct": steal.steal_pct(),
    }


async def _scan(addresses: int, rate: float) -> dict[str, Any]:
    last = addresses - 1
    command = [
        "-m",
        "farmctl",
        "scan",
        f"{NET}.0.0-{NET}.{last // 256}.{last % 256}",
        "--rate",
        str(rate),
        "-o",
        "json",
    ]
    command += ["--ports", ",".join(f"{name}={port}" for name, port in PORTS.items())]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return dict(json.loads(out))


def _described(miners: int, addresses: int) -> Iterator[str]:
    """Runs of miners of one model, spread evenly over the addresses."""
    yield '[farm]\nlisten = "shared"'
    table = ", ".join(f"{name} = {port}" for name, port in PORTS.items())
    counts = {model: max(1, miners * weight // sum(MIX.values())) for model, weight in MIX.items()}
    counts[next(iter(counts))] += miners - sum(counts.values())
    runs = [(model, min(RUN, n - at)) for model, n in counts.items() for at in range(0, n, RUN)]
    stride = addresses // len(runs)
    for number, (model, count) in enumerate(runs):
        at = number * stride + 1
        yield f'[[group]]\nname = "{model}"\nmodel = "{model}"\ncount = {count}\nports = {{ {table} }}'
        yield f'address = "{NET}.{at // 256}.{at % 256}"'


def _inventory(control: str) -> list[dict[str, Any]]:
    with urlopen(f"http://{control}/inventory", timeout=60) as answer:
        return list(json.loads(answer.read()))


if __name__ == "__main__":
    main()
