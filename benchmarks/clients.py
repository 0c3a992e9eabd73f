"""Loop lag of the controller alone, and with two mirrors, a shell and fifty slow readers at its API, in one run."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import structlog
import uvloop

from benchmarks._crowd import crowd, site_text, stock
from benchmarks._host import StealWatch
from farmctl.config.load import load
from farmctl.wiring.farm import Farm, Listeners, built

MIX = "m50=6,luxos-s19kpro=4"
LAG_PROBE_S = 0.01
WARM_LIMIT_S = 300.0


@click.command()
@click.option("--miners", type=click.IntRange(min=10), default=10_000, show_default=True)
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="s")
@click.option("--mirrors", type=click.IntRange(0, 20), default=2, show_default=True, help="Clients like the glass.")
@click.option("--readers", type=click.IntRange(0, 200), default=50, show_default=True, help="Slow SSE clients.")
@click.option("--seconds", type=click.FloatRange(min=1, max=600), default=30.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(miners: int, interval_s: float, mirrors: int, readers: int, seconds: float, *, as_json: bool) -> None:
    """Poll a simulated site and let everybody look at once."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    result = uvloop.run(_measure(miners, interval_s, mirrors, readers, seconds))
    if not as_json:
        for key, value in result.items():
            click.echo(f"{key:<24} {value}")
    click.echo(json.dumps(result))


async def _measure(miners: int, interval_s: float, mirrors: int, readers: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="farmctl-clients-") as name:
        folder = Path(name)
        async with crowd(miners, MIX, folder) as farms:
            await stock(folder, farms.places)
            path = folder / "farm.toml"
            text = site_text(folder, rated_kw=4.0 * miners, interval_s=interval_s, more="[control]\nobserve = true\n")
            await asyncio.to_thread(path.write_text, text)
            stop = asyncio.Event()
            async with built(load(path, environment={}), stop=stop, listeners=Listeners()) as farm:
                running = asyncio.ensure_future(farm.run())
                try:
                    await _warm(farm, interval_s)
                    steal = StealWatch()
                    alone = await _lag(seconds)
                    socket_path = str(farm.config.api.socket)
                    crowded, seen = await _with(socket_path, mirrors, readers, seconds)
                finally:
                    stop.set()
                    await running
    return {
        "miners": miners,
        "mirrors": mirrors,
        "readers": readers,
        "seconds": seconds,
        **{f"alone_{key}": value for key, value in alone.items()},
        **{f"crowded_{key}": value for key, value in crowded.items()},
        **seen,
        "steal_pct": steal.steal_pct(),
    }


async def _with(
    socket_path: str, mirrors: int, readers: int, seconds: float
) -> tuple[dict[str, float], dict[str, int]]:
    """The lag while everybody looks, and what they saw."""
    words = ("-m", "benchmarks._watchers", socket_path, "--mirrors", str(mirrors), "--readers", str(readers))
    child = await asyncio.create_subprocess_exec(
        sys.executable, *words, "--seconds", str(seconds + 5.0), stdout=asyncio.subprocess.PIPE
    )
    try:
        await asyncio.sleep(3.0)
        lag = await _lag(seconds)
        told, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return lag, json.loads(told.splitlines()[-1])


async def _warm(farm: Farm, interval_s: float) -> None:
    """Until every miner was heard, and one sweep more."""
    began_s, table = time.monotonic(), farm.fleet.keeper.table
    while (table.seen_ms < 0).any():
        if time.monotonic() - began_s > WARM_LIMIT_S:
            raise click.ClickException("some miners were never heard")
        await asyncio.sleep(0.2)
    await asyncio.sleep(interval_s)


async def _lag(seconds: float) -> dict[str, float]:
    """How late a timer of 10 ms is, ms, and how much of a core this process takes."""
    lags, cpu_s, began_s = [], time.process_time(), time.monotonic()
    while time.monotonic() - began_s < seconds:
        due_s = time.monotonic() + LAG_PROBE_S
        await asyncio.sleep(LAG_PROBE_S)
        lags.append(max(time.monotonic() - due_s, 0.0))
    cpu_pct = 100.0 * (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    p50, p99 = (float(np.quantile(lags, q)) * 1e3 for q in (0.5, 0.99))
    worst = max(lags) * 1e3
    return {
        "lag_p50_ms": round(p50, 2), "lag_p99_ms": round(p99, 2), "lag_max_ms": round(worst, 2),
        "cpu_pct": round(cpu_pct, 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
