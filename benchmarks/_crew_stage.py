"""A crew on its stage: the database, the workers' processes, and everything that can befall them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import _crew_site as site
from benchmarks._crew_hosts import Host
from benchmarks._crew_recorder import Befell, Recorder
from benchmarks._crew_worker import FREEZE
from benchmarks._postgresql import Cluster
from simulators.broker import free_port
from simulators.world import World

READY_S = 240.0
FREEZE_S = 20.0
"""So long a freeze waits for that worker to raise a miner."""
TALK_S = 2.5
"""So long a stop or a cut waits for a worker that is commanding, to hit it there."""
LOOK_S = 0.01
FAREWELL_S = 1.0
"""The miners' ends of what the killed had open are closed by what this loop hears then."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything that a fault can befall."""

    cluster: Cluster
    hosts: Sequence[Host]
    commands: list[list[str]]
    recorder: Recorder
    logs: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    starts: int = 0
    froze: int = 0
    """How often a process was stopped in front of its fence."""

    def start(self, slot: int) -> subprocess.Popen[bytes]:
        """One worker, on its host."""
        self.starts += 1
        with (self.logs / f"w-{slot}.log").open("ab") as log:
            return subprocess.Popen(self.commands[slot], stdout=log, stderr=log)  # noqa: S603 - our own words

    def start_all(self) -> None:
        """Every slot is filled from here on."""
        self.processes = [self.start(slot) for slot in range(len(self.hosts))]

    async def ready(self, cap_w: float) -> None:
        """Wait until the workers have the site where its cap wants it."""
        async with asyncio.timeout(READY_S):
            while self.recorder.setpoints_w() > cap_w:  # noqa: ASYNC110 - the miners tell nobody
                await asyncio.sleep(0.2)

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

    async def freezes(self, slot: int, within_s: float = FREEZE_S) -> bool:
        """Have it stop by itself between the last look at its lease and the bytes; False where it raises nobody."""
        mark = frozen_mark(self.logs, slot)
        await asyncio.to_thread(mark.touch)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while mark.exists():  # noqa: ASYNC110 - the process is stopped and tells nobody
                    await asyncio.sleep(LOOK_S)
        if mark.exists():
            mark.unlink(missing_ok=True)
            return False
        self.recorder.faults[slot].append(Befell(time.time(), "freeze"))
        self.froze += 1
        return True

    def thaw(self, slot: int) -> None:
        """Let it go on where it was."""
        self.processes[slot].send_signal(signal.SIGCONT)

    async def frozen(self, slot: int, for_s: float) -> None:
        """Stopped in front of its fence for so long; not at all if it raises nobody."""
        if await self.freezes(slot):
            await asyncio.sleep(for_s)
            self.thaw(slot)

    async def restart(self, mode: str) -> None:
        """The database is restarted, as an operator (fast) or a supervisor after a crash (immediate) does it."""
        await self._without(mode, 0.0, self.recorder.restarts)

    async def outage(self, down_s: float) -> None:
        """The database goes without a word and comes back later."""
        await self._without("immediate", down_s, self.recorder.outages)

    async def _without(self, mode: str, down_s: float, times: list[tuple[float, float]]) -> None:
        began_s = time.time()
        await asyncio.to_thread(self.cluster.stop, mode)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.cluster.start)
        times.append((began_s, time.time()))

    async def talking(self, slots: Sequence[int], otherwise: int) -> int:
        """One of these workers in the middle of a command; `otherwise` where none commands for a while."""
        since_s = time.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(TALK_S):
                while True:
                    for slot in slots:
                        if self.recorder.talked.get(slot, 0.0) > since_s:
                            return slot
                    await asyncio.sleep(LOOK_S)
        return otherwise

    def end(self) -> None:
        """Kill them all."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@asynccontextmanager
async def staged(
    cluster: Cluster, dsn: str, made: World, hosts: Sequence[Host], folder: Path, *, lease_s: float,
    unchecked: Collection[int],
) -> AsyncIterator[Stage]:  # fmt: skip
    """A stage with nobody on it yet; miners listen, the database is stocked. `unchecked`: slots without the check."""
    recorder = Recorder({host.address: slot for slot, host in enumerate(hosts)}, site.CAP * site.full_w(made))
    stage = Stage(cluster=cluster, hosts=hosts, commands=[], recorder=recorder, logs=folder)
    await made.start()
    try:
        await site.stocked(dsn, made)
        site.schedule(folder, made)
        for slot, host in enumerate(hosts):
            config = site.configured(folder, slot, made, dsn=host.dsn, lease_s=lease_s, metrics_port=free_port())
            words = ["env", f"{FREEZE}={frozen_mark(folder, slot)}", sys.executable, "-m", "benchmarks._crew_worker"]
            if slot in unchecked:
                words.append("--unchecked")
            stage.commands.append(host.command(*words, "run", "--config", str(config)))
        with recorder.listening(made.miners):
            yield stage
    finally:
        stage.end()
        await asyncio.sleep(FAREWELL_S)
        await made.stop()


def frozen_mark(folder: Path, slot: int) -> Path:
    """The file that stops a worker in front of its fence."""
    return folder / f"freeze-{slot}"
