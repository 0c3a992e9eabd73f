"""Owns the worker process: starts it at the first call, bounds what is in flight, replaces it when it ails."""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from drivers.pyasic_bridge.process import GRACE_S, WorkerProcess
from drivers.pyasic_bridge.wire import READY_ID, WRITES, Answer, Call, Failing, Operation
from farmctl.errors import CredentialError, FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials

START_S = 30.0
"""Importing pyasic takes 0.7-0.9 s on an idle core; a busy small machine needs many times that."""
RESTART_S = 10.0
"""After a start that failed; the queue behind it would else try one by one."""
RSS_BYTES_MAX = 512 << 20
OPEN_FILES_MAX = 4096
"""Idle it has 60-90 MiB and 10 files; 100 Antminers at 12 requests each are 1,200. Above is what pyasic leaked."""
WORKER = "drivers.pyasic_bridge.worker"

ERRORS: dict[Failing, type[FarmError]] = {
    Failing.SILENT: SilentPeerError,
    Failing.MALFORMED: MalformedReplyError,
    Failing.REFUSED: RefusedError,
    Failing.CREDENTIAL: CredentialError,
}


class Bridge:
    """Calls into the worker; one worker at a time takes new calls, one that ails finishes what it has.

    `close` ends it; so does the end of this process, because the worker leaves at the end of its input.
    """

    def __init__(
        self,
        *,
        rss_bytes_max: int = RSS_BYTES_MAX,
        open_files_max: int = OPEN_FILES_MAX,
        grace_s: float = GRACE_S,
    ) -> None:
        self.rss_bytes_max = rss_bytes_max
        self.open_files_max = open_files_max
        self.grace_s = grace_s
        self.started = 0
        """How many workers there have been."""
        self._link: WorkerProcess | None = None
        self._starting: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._retired: set[WorkerProcess] = set()
        self._no_start_before_s = 0.0
        self._ids = count(READY_ID + 1)
        self._holders: set[object] = set()

    @property
    def pid(self) -> int | None:
        """Process id of the worker that takes calls."""
        return self._link.pid if self._link is not None else None

    def hold(self, holder: object) -> None:
        """Keep the worker until `release`."""
        self._holders.add(holder)

    async def release(self, holder: object) -> None:
        """Give the worker back; the last holder out ends it."""
        if holder in self._holders:
            self._holders.discard(holder)
            if not self._holders:
                await self.close()

    async def call(
        self, operation: Operation, host: str, credentials: Credentials, *, argument: str = "", deadline_s: float
    ) -> Answer:
        """Have one thing done.

        Raises the leaves of `farmctl.errors`; a worker that died or hangs is a SilentPeerError.
        """
        call = Call(
            id=next(self._ids),
            operation=operation,
            host=host,
            user=credentials.user,
            password=credentials.password,
            argument=argument,
            deadline_s=deadline_s,
        )
        try:
            link, answer = await self._carry(call)
        except EOFError as fault:
            if operation in WRITES:
                raise SilentPeerError(f"{host}: {fault}") from fault
            # A read that went down with the worker, perhaps with another miner's call, is worth a second worker.
            try:
                link, answer = await self._carry(call)
            except EOFError as again:
                raise SilentPeerError(f"{host}: {again}") from again
        if answer.rss_bytes > self.rss_bytes_max or answer.open_files > self.open_files_max:
            self._retire(link)
        if answer.failing is not None:
            raise ERRORS[answer.failing](f"{host}: pyasic: {answer.said}")
        return answer

    async def close(self) -> None:
        """End every worker and wait for it; safe to call twice."""
        links = [*self._retired, *([self._link] if self._link is not None else [])]
        self._link = None
        self._retired.clear()
        for link in links:
            await link.end()

    async def _carry(self, call: Call) -> tuple[WorkerProcess, Answer]:
        """Raises EOFError where the worker ended under the call."""
        link = await self._running()
        try:
            return link, await link.carry(call, self.grace_s)
        except TimeoutError as fault:
            self._drop(link)
            link.kill()
            said = f"{call.host}: the pyasic worker did not answer {self.grace_s} s past its own deadline: restarted"
            raise SilentPeerError(said) from fault
        except EOFError:
            self._drop(link)
            raise

    async def _running(self) -> WorkerProcess:
        loop = asyncio.get_running_loop()
        if self._starting is None or self._loop is not loop:
            self._starting, self._loop, self._link = asyncio.Lock(), loop, None
        async with self._starting:
            if self._link is None or self._link.has_ended:
                if loop.time() < self._no_start_before_s:
                    raise SilentPeerError("the pyasic worker did not start a moment ago")
                try:
                    self._link = await self._start(loop)
                except SilentPeerError:
                    self._no_start_before_s = loop.time() + RESTART_S
                    raise
            return self._link

    async def _start(self, loop: asyncio.AbstractEventLoop) -> WorkerProcess:
        here = str(Path(__file__).parents[2])  # a bare checkout is on no path that a child would inherit
        path = os.pathsep.join(entry for entry in (here, os.environ.get("PYTHONPATH", "")) if entry)
        self.started += 1
        link: WorkerProcess | None = None
        try:
            async with asyncio.timeout(START_S):
                _, link = await loop.subprocess_exec(
                    lambda: WorkerProcess(loop), sys.executable, "-m", WORKER, env=os.environ | {"PYTHONPATH": path}
                )
                await link.ready
        except TimeoutError as fault:
            raise SilentPeerError(f"the pyasic worker was not ready within {START_S} s") from fault
        except (EOFError, OSError) as fault:
            raise SilentPeerError(f"the pyasic worker did not start: {fault}") from fault
        finally:
            if link is not None and not (link.ready.done() and not link.ready.cancelled() and not link.has_ended):
                link.kill()
        return link

    def _retire(self, link: WorkerProcess) -> None:
        self._drop(link)
        link.leave_when_idle()

    def _drop(self, link: WorkerProcess) -> None:
        self._retired = {kept for kept in self._retired if not kept.has_ended}
        if self._link is link:
            self._link = None
            self._retired.add(link)
