"""The worker: `python -m drivers.pyasic_bridge.worker`, calls in on standard input, answers out on standard output."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from drivers.pyasic_bridge.wire import (
    READY_ID,
    Answer,
    Call,
    CallFailedError,
    Cancel,
    Failing,
    Snapshot,
    decode_input,
    encode,
)

Work = Callable[[Call], Awaitable[Snapshot | None]]


class Worker:
    """Carries out calls side by side; the parent bounds how many."""

    def __init__(self, work: Work, output: int) -> None:
        self._work = work
        self._output = output
        self._running: dict[int, asyncio.Task[Snapshot | None]] = {}
        self._carriers: set[asyncio.Task[None]] = set()

    def take(self, line: bytes) -> None:
        """Start a call or drop one."""
        match decode_input(line):
            case Cancel(cancel=dropped):
                task = self._running.get(dropped)
                if task is not None:
                    task.cancel()
            case Call() as call:
                carrier = asyncio.get_running_loop().create_task(self._carry(call))
                self._carriers.add(carrier)
                carrier.add_done_callback(self._carriers.discard)

    def say(self, answer: Answer) -> None:
        """Write one line; blocks while the parent does not read, which is its business."""
        left = memoryview(encode(answer))
        while left:
            left = left[os.write(self._output, left) :]

    async def _carry(self, call: Call) -> None:
        task = asyncio.ensure_future(self._work(call))
        self._running[call.id] = task
        # Not `timeout`: pyasic swallows cancellation (`concurrent_get_first_result`) and would hold the answer up.
        await asyncio.wait({task}, timeout=call.deadline_s)
        if not task.done():
            task.cancel()
            self._carriers.add(asyncio.ensure_future(_forget(task)))
        self._running.pop(call.id, None)
        self.say(_answer(call, task))


def main() -> None:
    """Give standard output away, import pyasic, serve until the end of input."""
    # pyasic and what it imports may print; a line of theirs between ours would be read as an answer.
    output = os.dup(1)
    os.dup2(2, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(output))


async def _serve(output: int) -> None:
    import pyasic  # noqa: F401, PLC0415  in this process only, and now: the first call should not pay for it

    from drivers.pyasic_bridge import miners  # noqa: PLC0415  what comes with it

    worker = Worker(miners.work, output)
    loop = asyncio.get_running_loop()
    # A thread, so that the end of input ends the process even while the loop is stuck: no orphan, whatever hangs.
    threading.Thread(target=_listen, args=(loop, worker), daemon=True).start()
    worker.say(Answer(id=READY_ID))
    await loop.create_future()


def _listen(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    with os.fdopen(os.dup(0), "rb") as lines:
        for line in lines:
            loop.call_soon_threadsafe(worker.take, line)
    os._exit(0)


async def _forget(task: asyncio.Task[Snapshot | None]) -> None:
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _answer(call: Call, task: asyncio.Task[Snapshot | None]) -> Answer:
    rss_bytes, open_files = _health()
    failing: Failing | None = None
    said, snapshot = "", None
    if not task.done() or task.cancelled():
        failing, said = Failing.SILENT, f"no answer to {call.operation} within {call.deadline_s} s"
    elif (fault := task.exception()) is None:
        snapshot = task.result()
    elif isinstance(fault, CallFailedError):
        failing, said = fault.failing, fault.said
    else:
        # Control and data methods raise KeyError, APIError, TimeoutError and more where a miner says the unexpected.
        failing, said = Failing.MALFORMED, f"{call.operation} raised {type(fault).__name__}: {fault}"
        print(f"{call.host}: {said}", file=sys.stderr)  # noqa: T201  standard error is the parent's last-words buffer
    return Answer(
        id=call.id, snapshot=snapshot, failing=failing, said=said[:500], rss_bytes=rss_bytes, open_files=open_files
    )


def _health() -> tuple[int, int]:
    """Resident bytes and open files; zeros where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names are enough
    except OSError:
        return 0, 0


if __name__ == "__main__":
    main()
