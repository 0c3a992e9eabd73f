"""One pyasic worker process, its pipes and the calls that wait for it."""

from __future__ import annotations

import asyncio
from typing import cast

from typing_extensions import override

from drivers.pyasic_bridge.wire import READY_ID, WRITES, Answer, Call, Cancel, decode_answer, encode
from farmctl.ports.fence import must_be_open

READS_IN_FLIGHT, WRITES_IN_FLIGHT = 80, 20
"""Together 100: pyasic's identification has a fixed 3 s time-out and finds 0 miners above 300-600 at once on a core
(1,000 of 1,000 found at 100). Commands have their own share, so that they never wait behind polls."""
GRACE_S = 5.0
"""The worker answers at its own deadline; later than this its loop is stuck. 100 Antminer polls are 3 s of CPU."""
END_S = 2.0
STDERR_TAIL = 2000


class WorkerProcess(asyncio.SubprocessProtocol):
    """One worker process and the calls that wait for it; needs no task of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ready: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._ended: asyncio.Future[None] = loop.create_future()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._reads = asyncio.Semaphore(READS_IN_FLIGHT)
        self._writes = asyncio.Semaphore(WRITES_IN_FLIGHT)
        self._transport: asyncio.SubprocessTransport | None = None
        self._half = b""
        self._errors = b""
        self._leaving = False
        self._queued = 0

    @property
    def pid(self) -> int | None:
        """Its process id; None before it runs."""
        return self._transport.get_pid() if self._transport is not None else None

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone and its pipes are drained."""
        return self._ended.done()

    async def carry(self, call: Call, grace_s: float) -> Answer:
        """Raises EOFError where the worker ended, TimeoutError where it hangs."""
        self._queued += 1
        try:
            async with self._writes if call.operation in WRITES else self._reads:
                return await self._exchange(call, grace_s)
        finally:
            self._queued -= 1
            if self._leaving:
                self.leave_when_idle()

    async def end(self) -> None:
        """Close its input, wait a little, kill."""
        self._close_input()
        try:
            async with asyncio.timeout(END_S):
                await asyncio.shield(self._ended)
        except TimeoutError:
            self.kill()
            await asyncio.shield(self._ended)

    def leave_when_idle(self) -> None:
        """Close its input once nobody waits: it ends by itself."""
        self._leaving = True
        if not self._queued:
            self._close_input()

    def kill(self) -> None:
        """End it now; whoever waits gets EOFError."""
        if self._transport is not None and not self.has_ended:
            self._transport.kill()
        self._fail_all("killed")

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            self._errors = (self._errors + data)[-STDERR_TAIL:]
            return
        *lines, self._half = (self._half + data).split(b"\n")
        for line in lines:
            self._take(line)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        # The process has ended and its pipes are drained.
        code = self._transport.get_returncode() if self._transport is not None else None
        last = self._errors.decode(errors="replace").strip().rpartition("\n")[2]
        self._fail_all(f"the pyasic worker ended with code {code}: {last}")
        if self._transport is not None:
            self._transport.close()
        if not self._ended.done():
            self._ended.set_result(None)

    async def _exchange(self, call: Call, grace_s: float) -> Answer:
        if self.has_ended or self._transport is None:
            raise EOFError("the pyasic worker ended")
        must_be_open()  # as near to the miner as this process gets
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[call.id] = future
        self._write(encode(call))
        try:
            async with asyncio.timeout(call.deadline_s + grace_s):
                return await future
        except asyncio.CancelledError:
            self._write(encode(Cancel(cancel=call.id)))
            raise
        finally:
            self._waiting.pop(call.id, None)

    def _take(self, line: bytes) -> None:
        try:
            answer = decode_answer(line)
        except ValueError:
            # The worker gives standard output away before it imports anything; a line that is no answer is a defect
            # of ours, and one lost answer ends at its deadline.
            self._errors = (self._errors + b"\nnot an answer: " + line)[-STDERR_TAIL:]
            return
        if answer.id == READY_ID:
            if not self.ready.done():
                self.ready.set_result(None)
            return
        future = self._waiting.get(answer.id)
        if future is not None and not future.done():
            future.set_result(answer)

    def _write(self, line: bytes) -> None:
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        if pipe is not None and not pipe.is_closing():
            cast("asyncio.WriteTransport", pipe).write(line)

    def _close_input(self) -> None:
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        if pipe is not None and not pipe.is_closing():
            pipe.close()

    def _fail_all(self, why: str) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(EOFError(why))
        if not self.ready.done():
            self.ready.set_exception(EOFError(why))
        if self.ready.done() and not self.ready.cancelled():
            self.ready.exception()  # seen: nobody may be waiting for it any more
