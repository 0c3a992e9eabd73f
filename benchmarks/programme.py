"""Many sites under one figure: how long the split takes, one solve over all miners, and a figure to all sites and back.

Most sites are their capability curves in a process of their own, a loopback connection each; `--real` of them are whole
farmctl sites with simulated miners, each on its own broker, that are told signed events and answer with signed acks.
`--plot FILE` draws a release of the whole programme in virtual time instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks._fleet import fleet
from benchmarks._host import StealWatch
from benchmarks._programme_real import RealSite, real_sites
from benchmarks._programme_site import day, programme
from benchmarks.allocate import everything
from farmctl.core.ideal import ideal
from farmctl.core.policies import POLICIES
from farmctl.core.programme.governor import Manners, Wanted
from farmctl.core.programme.sites import Site, Terms, bounds
from farmctl.core.programme.split import Rule, split
from farmctl.engine.clock import SystemClock

FIGURES = 200
REAL_MINERS = 60
PAUSE_S = 0.1
PATIENCE_S = 60.0
MW = 1e6
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PLOT = Manners(step_w=100 * MW, window_s=60.0, spread_s=300.0)


def split_ms(sites: tuple[Site, ...]) -> float:
    """Median of the slowest rule, ms."""
    full_w = sum(site.max_w for site in sites)
    slowest = 0.0
    for rule in Rule:
        times = []
        for number in range(50):
            began = time.perf_counter()
            ranges = {site.name: bounds(site, Terms()) for site in sites}
            split(sites, ranges, full_w * (0.2 + 0.015 * number), rule, number)
            times.append((time.perf_counter() - began) * 1e3)
        slowest = max(slowest, statistics.median(times))
    return slowest


def allocate_ms(miners: int) -> tuple[float, float]:
    """One solve over all rows at 70 % of the full load; medians of three, ms of the clock and of the processor."""
    view = fleet(miners)
    budget_w, policy, rows = 0.7 * float(view.table.power_w.sum()), POLICIES["efficiency_first"], everything(miners)
    wall, cpu = [], []
    for _ in range(4):
        began, busy = time.perf_counter(), time.process_time()
        ideal(view, policy, rows, budget_w)
        wall.append((time.perf_counter() - began) * 1e3)
        cpu.append((time.process_time() - busy) * 1e3)
    return statistics.median(wall[1:]), statistics.median(cpu[1:])  # the first one also pays for pages of memory


async def ack_ms(sites: tuple[Site, ...], miners: int, real: int) -> tuple[list[float], list[float]]:
    """From a figure to the last site's acknowledgement, split and JSON included, ms, one entry per figure.

    The second list tells how much of it the real sites took after all others had answered.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._programme_site", "--sites", str(len(sites)), "--miners", str(miners)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(PATIENCE_S):
                ports = json.loads(await child.stdout.readline()) if child.stdout is not None else []
            links = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
            whole = await stack.enter_async_context(real_sites(real, REAL_MINERS))
            clock, full_w = SystemClock(), sum(site.max_w for site in sites)
            everyone, of_real = [], []
            for rev in range(1, FIGURES + 1):
                async with asyncio.timeout(PATIENCE_S):
                    shown = (*sites, *(site.now(clock) for site in whole))
                    took = await _told(shown, links, whole, full_w * (1 - rev / 1000), rev)
                everyone.append(took[0])
                of_real.append(took[1])
                await asyncio.sleep(PAUSE_S)
            return everyone, of_real
    finally:
        child.kill()
        await child.wait()


async def _told(
    sites: tuple[Site, ...], links: Sequence[Link], whole: Sequence[RealSite], figure_w: float, rev: int
) -> tuple[float, float]:
    began = time.perf_counter()
    ranges = {site.name: bounds(site, Terms()) for site in sites}
    shares = split(sites, ranges, figure_w).shares
    asking = [
        asyncio.create_task(site.told(share.share_w + rev / 10))  # another figure each time, also for a full site
        for site, share in zip(whole, shares[len(links) :], strict=True)
    ]
    for share, (_, writer) in zip(shares, links, strict=False):
        writer.write(json.dumps({"rev": rev, "share_w": share.share_w}).encode() + b"\n")
    for reader, _ in links:
        if not json.loads(await reader.readline())["accepted"]:
            raise RuntimeError("a site refused a new revision")
    simulated = time.perf_counter()
    await asyncio.gather(*asking)
    ended = time.perf_counter()
    return (ended - began) * 1e3, (ended - simulated) * 1e3


def plot(path: Path, sites: tuple[Site, ...]) -> None:
    """Curtailed for ten minutes, then all of it released at once."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    full_w = sum(site.max_w for site in sites)
    before, cut = Wanted(figure_w=full_w, event="before"), Wanted(figure_w=0.1 * full_w, event="cut", emergency=True)
    story = [before] * 60 + [cut] * 300 + [Wanted(figure_w=full_w, event="up")] * 1800
    drawn = zip(story, day(sites, PLOT, story), strict=True)
    rows = [(wanted.figure_w / MW, granted_w / MW, drawn_w / MW) for wanted, (granted_w, drawn_w) in drawn]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    minutes = [second / 60 for second in range(len(rows))]
    for column, (label, style) in enumerate((("figure", "k--"), ("granted", "C0-"), ("drawn", "C1-"))):
        axes.plot(minutes, [row[column] for row in rows], style, label=label, linewidth=1.2)
    axes.set(xlabel="minutes", ylabel="MW", ylim=(0, None))
    step = f"{PLOT.step_w / MW:.0f} MW in {PLOT.window_s:.0f} s"
    axes.set_title(f"{len(sites)} sites: an emergency, then all released at once; step {step}")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=57)
    parser.add_argument("--miners", type=int, default=570_000)
    parser.add_argument("--real", type=int, default=2, help="How many of them are whole farmctl sites.")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true", help="Accepted for likeness; the output always is.")
    asked = parser.parse_args()
    sites = programme(asked.sites, asked.miners)
    if asked.plot is not None:
        plot(asked.plot, sites)
        return
    steal = StealWatch()
    simulated = programme(asked.sites - asked.real, asked.miners)
    acks, waited = map(sorted, asyncio.run(ack_ms(simulated, asked.miners, asked.real)))
    wall_ms, cpu_ms = allocate_ms(asked.miners)
    told = {
        "sites": asked.sites,
        "real_sites": asked.real,
        "miners": asked.miners,
        "split_ms": round(split_ms(sites), 2),
        "ack_p50_ms": round(statistics.median(acks), 2),
        "ack_p99_ms": round(acks[int(len(acks) * 0.99)], 2),
        "waited_for_real_p50_ms": round(statistics.median(waited), 2),
        "allocate_ms": round(wall_ms, 1),
        "allocate_cpu_ms": round(cpu_ms, 1),
        "steal_pct": steal.steal_pct(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
