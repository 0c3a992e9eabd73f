"""The glass in a real pty (N9): first paint, key to paint, CPU, lag and memory while thousands of rows change.

    python -m benchmarks.tui --json

The last line is one JSON object. Its first keys are those of the largest fleet; `sizes` holds every fleet.
`first_paint_ms` runs from the key that opens the miners' screen to its table on the terminal, median of several;
`snapshot_to_paint_ms` from the server's answer with 50,000 rows of JSON to the first picture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._host import StealWatch
from benchmarks._pty import Terminal
from benchmarks._tui_site import ServedSite

MINERS = (10_000, 50_000)
CHANGING_PER_S = 2_500
OPENINGS = 7
OPEN_EVERY_S = 0.6
KEYS = 120
KEY_EVERY_S = 0.07
IDLE_S = 6.0
START_S = 30.0
KEY_S = 5.0
DOWN, HOME = b"\x1b[B", b"\x1b[H"


async def measured(miners: int, folder: Path) -> dict[str, Any]:
    """One fleet, as in the module's contract."""
    busy = await _watched(miners, CHANGING_PER_S, folder / f"{miners}.sock", keys=KEYS)
    quiet = await _watched(miners, 0, folder / f"{miners}-quiet.sock", keys=0)
    return {
        **{name: value for name, value in busy.items() if name != "terminal_bytes_per_s"},
        "terminal_bytes_per_s": busy["terminal_bytes_per_s"],
        "quiet_overview_bytes_per_s": quiet["terminal_bytes_per_s"],
        "quiet_overview_cpu_pct": quiet["cpu_pct"],
    }


async def _watched(miners: int, changing_per_s: int, socket: Path, *, keys: int) -> dict[str, Any]:
    site, ready, done = ServedSite(miners=miners, changing_per_s=changing_per_s), asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(site.serve(str(socket), ready, done))
    await ready.wait()
    answer = socket.with_suffix(".json")
    command = [sys.executable, "-m", "benchmarks._tui_child", str(socket), str(answer)]
    async with Terminal(command, columns=200, lines=50) as terminal:
        shown_s = await terminal.seen(b"site-07", START_S)
        result: dict[str, Any] = {"snapshot_to_paint_ms": _ms(shown_s - site.snapshot_sent_s[0])}
        if keys:
            result |= await _keyed(terminal, miners, keys)
        result |= await _idle(terminal)
        terminal.write(b"q")
        await terminal.ended(KEY_S)
    done.set()
    await serving
    lag = json.loads(await asyncio.to_thread(answer.read_text, encoding="ascii"))
    return {**result, "loop_lag_p99_ms": _round(lag["p99"]), "loop_lag_max_ms": _round(lag["max"])}


async def _keyed(terminal: Terminal, miners: int, keys: int) -> dict[str, Any]:
    """The miners' screen, all of them listed; then the cursor goes down, key by key, while rows change."""
    opened_ms = []
    for _ in range(OPENINGS):
        terminal.write(b"1")
        await asyncio.sleep(OPEN_EVERY_S)
        pressed_s = terminal.write(b"3")
        opened_ms.append(1_000 * (await terminal.seen(b"Tmax C", KEY_S) - pressed_s))
        await asyncio.sleep(OPEN_EVERY_S)
    pressed_s = terminal.write(b"f")
    all_ms = _ms(await terminal.seen(f"/{miners:,}".encode(), KEY_S) - pressed_s)
    terminal.write(HOME)
    await terminal.seen(f"1/{miners:,}".encode(), KEY_S)
    await asyncio.sleep(4.0)
    took_ms = []
    cpu_s, from_s = terminal.cpu_s(), time.monotonic()
    for place in range(2, keys + 2):
        pressed_s = terminal.write(DOWN)
        took_ms.append(1_000 * (await terminal.seen(f"{place}/{miners:,}".encode(), KEY_S) - pressed_s))
        await asyncio.sleep(KEY_EVERY_S)
    keyed_pct = 100 * (terminal.cpu_s() - cpu_s) / (time.monotonic() - from_s)
    p50, p99 = np.percentile(took_ms, (50, 99))
    return {
        "first_paint_ms": _round(np.median(opened_ms)),
        "first_paint_max_ms": _round(max(opened_ms)),
        "all_rows_paint_ms": all_ms,
        "key_p50_ms": _round(p50),
        "key_p99_ms": _round(p99),
        "key_max_ms": _round(max(took_ms)),
        "keyed_cpu_pct": _round(keyed_pct),
    }


async def _idle(terminal: Terminal) -> dict[str, Any]:
    """Rows change, nobody presses a key."""
    await asyncio.sleep(4.0)
    cpu_s, got, from_s = terminal.cpu_s(), terminal.received, time.monotonic()
    await asyncio.sleep(IDLE_S)
    span_s = time.monotonic() - from_s
    return {
        "cpu_pct": _round(100 * (terminal.cpu_s() - cpu_s) / span_s),
        "terminal_bytes_per_s": round((terminal.received - got) / span_s),
        "rss_mb": _round(terminal.rss_mb()),
    }


def _ms(seconds: float) -> float:
    return _round(1_000 * seconds)


def _round(value: float) -> float:
    return round(float(value), 1)


def main() -> None:
    """Measure every fleet; the last line is the answer."""
    parser = argparse.ArgumentParser(description="The glass in a real pty.")
    parser.add_argument("--json", action="store_true", help="only the JSON object")
    parser.add_argument("--miners", type=int, nargs="+", default=MINERS)
    options = parser.parse_args()
    steal, sizes = StealWatch(), {}
    with tempfile.TemporaryDirectory(prefix="farmctl-tui-") as folder:
        for miners in options.miners:
            sizes[str(miners)] = asyncio.run(measured(miners, Path(folder)))
            if not options.json:
                sys.stdout.write(f"{miners:>6} miners: {sizes[str(miners)]}\n")
    largest = sizes[str(max(options.miners))]
    told = {"miners": max(options.miners), "changing_per_s": CHANGING_PER_S, **largest, "sizes": sizes}
    told |= {"load_1m": os.getloadavg()[0], "steal_pct": steal.steal_pct()}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
