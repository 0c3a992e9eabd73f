"""From a signal to its commands and to what telemetry confirms, over a real broker and real sockets (N3, N4).

The controller is the real one; the fleet is of fast firmware (LuxOS, 5 s to sleep) in processes of its own. Small
set-points measure how soon a first command is on the wire; one EMERGENCY to zero measures the rest: when its commands
are acknowledged, and when how much of what it asked for is gone by the site meter (`metered_*`), by the miners' own
watts (`read_*`), and by rows that are proved asleep (`confirmed_*`). The same stop is then done by pyasic on a sample.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import structlog
import uvloop

from benchmarks._crowd import Crowd, crowd, site_meter, site_text, stock
from benchmarks._host import StealWatch, cpu_of, load_average
from benchmarks._stopwatch import ALL, Stopwatch, reached_s
from farmctl.config.load import load
from farmctl.wiring.farm import Farm, Listeners, built
from simulators.broker import broker, free_port
from simulators.grid.dispatcher import Dispatcher
from simulators.grid.orders import Order

MIX = "luxos-s19kpro=1"
WARM_LIMIT_S = 300.0
SETTLE_S = 6.0
SHED_LIMIT_S = 120.0
CONTROL = """
[control]
ramp_up_fraction_per_min = 6.0
wake_fraction_per_5s = 1.0
min_on_s = 0.0
min_off_s = 0.0
[[signal]]
name = "grid"
kind = "mqtt"
brokers = ["127.0.0.1:{port}"]
op = "grid-op"
programmes = ["surplus-dispatch"]
auth = "unsigned-demo"
"""
METER = """
[[meter]]
name = "main"
kind = "modbus"
host = "127.0.0.1"
port = {port}
site = true
period_s = 0.5
registers = [{{ name = "kw", address = 0, type = "f32" }}]
"""


@click.command()
@click.option("--miners", type=click.IntRange(min=10), default=10_000, show_default=True)
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="s")
@click.option("--signals", type=click.IntRange(2, 200), default=20, show_default=True, help="Small set-points first.")
@click.option("--foreign/--no-foreign", default=True, show_default=True, help="Stop a sample with pyasic too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(miners: int, interval_s: float, signals: int, *, foreign: bool, as_json: bool) -> None:
    """Shed a simulated site on a signal."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    result = uvloop.run(_measure(miners, interval_s, signals, foreign=foreign))
    if not as_json:
        for key, value in result.items():
            click.echo(f"{key:<22} {value}")
    click.echo(json.dumps(result))


async def _measure(miners: int, interval_s: float, signals: int, *, foreign: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="farmctl-dispatch-") as name:
        folder = Path(name)
        async with crowd(miners, MIX, folder) as farms:
            await stock(folder, farms.places)
            result = await _controlled(folder, farms, interval_s, signals)
        return result | (await _pyasic() if foreign else {})


async def _controlled(folder: Path, farms: Crowd, interval_s: float, signals: int) -> dict[str, Any]:
    miners = len(farms.places)
    port, watch, stop, path = free_port(), Stopwatch(), asyncio.Event(), folder / "farm.toml"
    rated_kw = 4.0 * miners
    async with (
        site_meter(farms.controls, rated_kw) as metered,
        broker(port=port) as served,
        Dispatcher("127.0.0.1", port, op="grid-op", site="crowd") as grid,
    ):
        more = CONTROL.format(port=port) + METER.format(port=metered)
        text = site_text(folder, rated_kw=rated_kw, interval_s=interval_s, more=more)
        await asyncio.to_thread(path.write_text, text)
        await grid.wait_online()
        listeners = Listeners(pictures=(watch.see,), watches=(watch,))
        async with built(load(path, environment={}), stop=stop, listeners=listeners) as farm:
            running = asyncio.ensure_future(farm.run())
            try:
                await warm(farm, interval_s)
                steal = StealWatch()
                await _small(grid, farm, watch, signals)
                shed = await _shed(grid, farm, watch, farms.pids)
            finally:
                stop.set()
                await running
    first_ms = np.array(watch.responses_s) * 1e3
    return {
        "miners": miners,
        "broker": served.kind,
        "first_command_p50_ms": round(float(np.quantile(first_ms, 0.5)), 1),
        "first_command_p99_ms": round(float(np.quantile(first_ms, 0.99)), 1),
        "signals": len(first_ms),
        **shed,
        "steal_pct": steal.steal_pct(),
        "load_average": load_average(),
    }


async def warm(farm: Farm, interval_s: float) -> None:
    """Wait until every miner was heard, and two rounds more."""
    table, began_s = farm.fleet.keeper.table, time.monotonic()
    while (table.seen_ms < 0).any():
        if time.monotonic() - began_s > WARM_LIMIT_S:
            raise click.ClickException(f"{int((table.seen_ms < 0).sum())} miners were not heard")
        await asyncio.sleep(0.2)
    await asyncio.sleep(2 * interval_s)


async def _small(grid: Dispatcher, farm: Farm, watch: Stopwatch, signals: int) -> None:
    """Set-points a little lower each time, so that each sends a few commands."""
    drawn_kw = float(np.nansum(farm.fleet.keeper.table.power_w)) / 1e3
    for number in range(signals):
        known = len(watch.responses_s)
        await grid.create_event(Order(target_kw=round(drawn_kw * (0.99 - 0.01 * number), 1), duration_s=600.0))
        for _ in range(50):
            await asyncio.sleep(0.1)
            if len(watch.responses_s) > known:
                break
        await asyncio.sleep(0.7)


async def _shed(grid: Dispatcher, farm: Farm, watch: Stopwatch, peers: tuple[int, ...]) -> dict[str, Any]:
    await asyncio.sleep(SETTLE_S)
    cpu_s, peer_s = time.process_time(), sum(cpu_of(pid) for pid in peers)
    watch.start()
    watching = asyncio.create_task(watch.watch(farm))
    await grid.emergency(limit_kw=0.0)
    for _ in range(int(SHED_LIMIT_S / 0.1)):
        if watch.over:
            break
        await asyncio.sleep(0.1)
    cpu_s, peer_s = time.process_time() - cpu_s, sum(cpu_of(pid) for pid in peers) - peer_s
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    acked = watch.acked_s or [float("nan")]
    return {
        "shed_commands": len(watch.acked_s),
        "shed_failed": watch.failed,
        "first_ack_ms": round(min(acked) * 1e3, 1),
        "half_acked_s": watch.told_s(0.5),
        "last_ack_ms": round(max(acked) * 1e3, 1),
        **{
            f"{by}_{round(100 * share)}_s": reached_s(course, min(share, whole))
            for by, course, whole in (
                ("metered", watch.metered, ALL),
                ("read", watch.read, ALL),
                ("confirmed", watch.asleep, 1.0),
            )
            for share in (0.5, 0.9, 1.0)
        },
        "confirmed_share": round(watch.asleep[-1][1], 4) if watch.asleep else 0.0,
        "shed_polls": watch.polls,
        "ours_cpu_ms_per_confirmed_stop": round(1e3 * cpu_s / max(len(farm.fleet.links), 1), 3),
        "peers_cpu_s": round(peer_s, 2),
    }


async def _pyasic() -> dict[str, Any]:
    """What one stop costs there; nothing where its sample could not be served."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._dispatch_foreign", MIX), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return dict(json.loads(said)) if process.returncode == 0 else {"pyasic_sample": 0}


if __name__ == "__main__":
    main()
