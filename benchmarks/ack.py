"""From a signal to RECEIVED and to ACCEPTED or REJECTED while ten thousand miners are polled (SIGNALS section 11, 1).

The controller is the real one, the broker mosquitto where it is installed, the fleet farmsim on real sockets. Grid,
broker and fleet are processes of their own, so that only the controller is measured; the grid's own clock measures
both ends of every answer, and an answer that was not the expected one is told with its reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import structlog
import uvloop

from benchmarks._crowd import crowd, site_text, stock
from benchmarks._host import StealWatch
from benchmarks.dispatch import CONTROL, warm
from farmctl.config.load import load
from farmctl.wiring.farm import Farm, built
from simulators.broker import broker, free_port

MIX = "luxos-s19kpro=1"
GRID = (sys.executable, "-m", "benchmarks._ack_grid")
GRID_START_S = 30.0
PER_SIGNAL_S = 65.0
"""Two answers that never come, and a pause."""
RECEIVED_P99_S, JUDGED_P99_S = 1.0, 2.0


@click.command()
@click.option("--miners", type=click.IntRange(min=10), default=10_000, show_default=True)
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="s")
@click.option(
    "--signals", type=click.IntRange(4, 2_000), default=100, show_default=True, help="Every fourth is refused."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(miners: int, interval_s: float, signals: int, *, as_json: bool) -> None:
    """Time the answers of a site to its grid."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    result = uvloop.run(_measure(miners, interval_s, signals))
    if not as_json:
        for key, value in result.items():
            click.echo(f"{key:<22} {value}")
    click.echo(json.dumps(result))


async def _measure(miners: int, interval_s: float, signals: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="farmctl-ack-") as name:
        folder, port, stop = Path(name), free_port(), asyncio.Event()
        async with crowd(miners, MIX, folder) as farms:
            await stock(folder, farms.places)
            path = folder / "farm.toml"
            text = site_text(folder, rated_kw=4.0 * miners, interval_s=interval_s, more=CONTROL.format(port=port))
            await asyncio.to_thread(path.write_text, text)
            async with (
                broker(port=port) as served,
                _grid(port, signals) as grid,
                built(load(path, environment={}), stop=stop) as farm,
            ):
                running = asyncio.ensure_future(farm.run())
                try:
                    await warm(farm, interval_s)
                    steal, used = StealWatch(), _Used(farm)
                    answers = await _answers(grid, signals)
                    spent = used.told()
                finally:
                    stop.set()
                    await running
    return {
        "miners": miners,
        "broker": served.kind,
        "signals": signals,
        **spent,
        **_told("received", answers["received"]),
        **_told("judged", answers["judged"]),
        "wrong": answers["wrong"],
        "within": not answers["wrong"]
        and _p99(answers["received"]) <= RECEIVED_P99_S
        and _p99(answers["judged"]) <= JUDGED_P99_S,
        "steal_pct": steal.steal_pct(),
    }


class _Used:
    """What the controller did since this was made."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._polls, self._cpu_s, self._began_s = farm.tally.polls, time.process_time(), time.monotonic()

    def told(self) -> dict[str, float]:
        """Polls per s, and CPU in percent of one core."""
        spent_s = time.monotonic() - self._began_s
        return {
            "polls_per_s": round((self._farm.tally.polls - self._polls) / spent_s),
            "controller_cpu_pct": round(100 * (time.process_time() - self._cpu_s) / spent_s, 1),
        }


@asynccontextmanager
async def _grid(port: int, signals: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The dispatcher, connected and waiting to be told; ended with the block."""
    told = ("--port", str(port), "--signals", str(signals))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*GRID, *told, stdin=pipe, stdout=pipe, limit=2**22)
    try:
        await asyncio.wait_for(_line(process), GRID_START_S)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(grid: asyncio.subprocess.Process, signals: int) -> dict[str, Any]:
    if grid.stdin is None:
        raise click.ClickException("the grid has no stdin")
    grid.stdin.write(b"go\n")
    answers: dict[str, Any] = json.loads(await asyncio.wait_for(_line(grid), signals * PER_SIGNAL_S))
    return answers


async def _line(process: asyncio.subprocess.Process) -> bytes:
    line = await process.stdout.readline() if process.stdout else b""
    if not line:
        raise click.ClickException("the grid ended without a word")
    return line


def _p99(seconds: list[float]) -> float:
    return float(np.quantile(seconds, 0.99))


def _told(name: str, seconds: list[float]) -> dict[str, float]:
    """Quantiles in ms."""
    ms = np.array(seconds) * 1e3
    return {
        f"{name}_p50_ms": round(float(np.quantile(ms, 0.5)), 1),
        f"{name}_p99_ms": round(float(np.quantile(ms, 0.99)), 1),
        f"{name}_worst_ms": round(float(ms.max()), 1),
    }


if __name__ == "__main__":
    main()
