"""From a signal to RECEIVED and to ACCEPTED or REJECTED while ten thousand miners are polled (SIGNALS section 11, 1).

The controller is the real one, the broker mosquitto where it is installed, the fleet farmsim on real sockets; the
dispatcher's own clock measures both ends of every answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import warnings
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
from farmctl.wiring.farm import built
from simulators.broker import broker, free_port
from simulators.grid.dispatcher import Dispatcher
from simulators.grid.orders import Order

MIX = "luxos-s19kpro=1"
ANSWER_S = 30.0
PAUSE_S = 0.3
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
        async with crowd(miners, MIX, folder) as places:
            await stock(folder, places)
            path = folder / "farm.toml"
            text = site_text(folder, rated_kw=4.0 * miners, interval_s=interval_s, more=CONTROL.format(port=port))
            await asyncio.to_thread(path.write_text, text)
            async with broker(port=port) as served, Dispatcher("127.0.0.1", port, op="grid-op", site="crowd") as grid:
                await grid.wait_online()
                async with built(load(path, environment={}), stop=stop) as farm:
                    running = asyncio.ensure_future(farm.run())
                    try:
                        await warm(farm, interval_s)
                        steal, polls = StealWatch(), farm.tally.polls
                        received, judged = await _asked(grid, signals)
                        polls = farm.tally.polls - polls
                    finally:
                        stop.set()
                        await running
    return {
        "miners": miners,
        "broker": served.kind,
        "signals": signals,
        "polls_meanwhile": polls,
        **_told("received", received),
        **_told("judged", judged),
        "within": _p99(received) <= RECEIVED_P99_S and _p99(judged) <= JUDGED_P99_S,
        "steal_pct": steal.steal_pct(),
    }


async def _asked(grid: Dispatcher, signals: int) -> tuple[list[float], list[float]]:
    """Seconds from sending to RECEIVED (or REJECTED, which has none before it), and to ACCEPTED or REJECTED."""
    received, judged = [], []
    for number in range(signals):
        bad = number % 4 == 3  # noqa: PLR2004 - every fourth
        order = Order(limit_kw=-1.0 if bad else 1e6 - number, duration_s=600.0, name="bad" if bad else "good")
        sent = await grid.create_event(order)
        told = await grid.wait_for(sent.order_id, {"ACCEPTED", "REJECTED"}, within_s=ANSWER_S)
        judged.append(told.received_s - sent.sent_s)
        if not bad:
            first = await grid.wait_for(sent.order_id, {"RECEIVED"}, within_s=ANSWER_S)
            received.append(first.received_s - sent.sent_s)
        else:
            grid.ledger.live.pop(sent.order_id, None)  # a refused event has no place in the snapshot
        await asyncio.sleep(PAUSE_S)
    return received, judged


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
