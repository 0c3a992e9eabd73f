"""A sweep of a whole site by one controller process: missed polls, CPU, loop lag and memory (N2 of the design).

The controller is the real one (poller, cycle, journal, metrics), in observe mode; the miners are simulated in
processes of their own and answer on real ports, one address each: farmsim, or, for more than it can serve on the
cores that are left, a responder that repeats what farmsim says. The first intervals identify every miner and are not
counted.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import structlog
import uvloop

from benchmarks._crowd import Crowd, crowd, lean_crowd, site_text, stock
from benchmarks._host import StealWatch, cpu_of, load_average
from farmctl.config.load import load
from farmctl.core.model import Command, Fate
from farmctl.wiring.farm import Farm, Listeners, built

MIX = "m50=6,luxos-s19kpro=4"
"""Families of one port each: with two, a simulator process would meet its file limit first."""
LAG_PROBE_S = 0.01
WARM_LIMIT_S = 300.0
MOST_SIMULATED = 12_500
"""Above so many a poll every 10 s takes more of farmsim than two cores have beside the controller."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Count:
    """Polls by their end."""

    ok: int = 0
    failed: int = 0
    overruns: int = 0
    seconds: list[float] = field(default_factory=list)

    def polled(self, seconds: float, *, ok: bool) -> None:
        """One poll ended."""
        self.ok += ok
        self.failed += not ok
        self.seconds.append(seconds)

    def overrun(self) -> None:
        """A due poll had to wait."""
        self.overruns += 1

    def fated(self, command: Command, fate: Fate, seconds: float) -> None:
        """Nothing is commanded here."""

    def responded(self, seconds: float) -> None:
        """No signal is sent here."""


@click.command()
@click.option("--miners", type=click.IntRange(min=10), default=10_000, show_default=True)
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="s")
@click.option("--sweeps", type=click.IntRange(1, 100), default=6, show_default=True, help="Counted intervals.")
@click.option(
    "--simulator", type=click.Choice(["auto", "farmsim", "responder"]), default="auto", show_default=True, help="Peers."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(miners: int, interval_s: float, sweeps: int, simulator: str, *, as_json: bool) -> None:
    """Poll a simulated site as its controller does."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if simulator == "auto":
        simulator = "farmsim" if miners <= MOST_SIMULATED else "responder"
    result = uvloop.run(_measure(miners, interval_s, sweeps, simulator))
    if not as_json:
        for key, value in result.items():
            click.echo(f"{key:<22} {value}")
    click.echo(json.dumps(result))


async def _measure(miners: int, interval_s: float, sweeps: int, simulator: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="farmctl-sweep-") as name:
        folder = Path(name)
        serving = crowd if simulator == "farmsim" else lean_crowd
        async with serving(miners, MIX, folder) as farms:
            await stock(folder, farms.places)
            path = folder / "farm.toml"
            text = site_text(folder, rated_kw=4.0 * miners, interval_s=interval_s, more="[control]\nobserve = true\n")
            await asyncio.to_thread(path.write_text, text)
            before_bytes, count, stop = _rss_bytes(), Count(), asyncio.Event()
            async with built(load(path, environment={}), stop=stop, listeners=Listeners(watches=(count,))) as farm:
                running = asyncio.ensure_future(farm.run())
                try:
                    warm_s = await _warm(farm, interval_s)
                    result = await _counted(count, miners, interval_s, sweeps, farms)
                    result |= _memory(farm, before_bytes) | {"identify_s": round(warm_s, 1), "simulator": simulator}
                finally:
                    stop.set()
                    await running
            return result


async def _warm(farm: Farm, interval_s: float) -> float:
    """Until every miner was heard, and one sweep more."""
    began_s = time.monotonic()
    table = farm.fleet.keeper.table
    while (table.seen_ms < 0).any():
        if time.monotonic() - began_s > WARM_LIMIT_S:
            raise click.ClickException(
                f"{int((table.seen_ms < 0).sum())} miners were not heard in {WARM_LIMIT_S:.0f} s"
            )
        await asyncio.sleep(0.2)
    heard_s = time.monotonic() - began_s
    await asyncio.sleep(interval_s)
    return heard_s


async def _counted(count: Count, miners: int, interval_s: float, sweeps: int, farms: Crowd) -> dict[str, Any]:
    steal, lags = StealWatch(), []
    first, failed, overruns = count.ok, count.failed, count.overruns
    count.seconds.clear()
    sim_cpu_s = sum(map(cpu_of, farms.pids))
    cpu_s, began_s = time.process_time(), time.monotonic()
    while (left_s := began_s + sweeps * interval_s - time.monotonic()) > 0:
        due_s = time.monotonic() + min(LAG_PROBE_S, left_s)
        await asyncio.sleep(min(LAG_PROBE_S, left_s))
        lags.append(max(time.monotonic() - due_s, 0.0))
    wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    sim_cpu_s = sum(map(cpu_of, farms.pids)) - sim_cpu_s
    due = miners * wall_s / interval_s
    answered = count.ok - first
    lag_ms = np.array(lags) * 1e3
    poll_ms = np.array(count.seconds) * 1e3
    return {
        "miners": miners,
        "interval_s": interval_s,
        "sweeps": sweeps,
        "polls": answered,
        # Slots are spread over the interval: what is on the wire when the clock stops is late, not missed.
        "missed": max(round(due) - answered - round(_on_the_wire(poll_ms, due, wall_s)), 0),
        "failed": count.failed - failed,
        "overruns": count.overruns - overruns,
        "cpu_pct": round(100.0 * cpu_s / wall_s, 1),
        "cpu_ms_per_poll": round(1e3 * cpu_s / max(answered, 1), 4),
        "simulator_cpu_pct": round(100.0 * sim_cpu_s / wall_s, 1),
        "poll_p50_ms": round(float(np.quantile(poll_ms, 0.5)), 2),
        "poll_p99_ms": round(float(np.quantile(poll_ms, 0.99)), 2),
        "loop_lag_p50_ms": round(float(np.quantile(lag_ms, 0.5)), 2),
        "loop_lag_p99_ms": round(float(np.quantile(lag_ms, 0.99)), 2),
        "loop_lag_max_ms": round(float(lag_ms.max()), 2),
        "steal_pct": steal.steal_pct(),
        "load_average": load_average(),
    }


def _on_the_wire(poll_ms: np.ndarray, due: float, wall_s: float) -> float:
    """Little's law: how many polls were under way at the end, with the schedule's grain of 20 ms."""
    per_s = due / wall_s
    return per_s * (float(np.quantile(poll_ms, 0.99)) / 1e3 + 0.04) + 3.0 * math.sqrt(per_s)


def _memory(farm: Farm, before_bytes: int) -> dict[str, Any]:
    rss_bytes = _rss_bytes()
    miners = len(farm.fleet.keeper.table)
    return {
        "rss_mib": round(rss_bytes / 2**20, 1),
        "rss_per_miner_kib": round((rss_bytes - before_bytes) / miners / 1024, 2),
    }


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    main()
