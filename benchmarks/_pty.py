"""A program in a pseudo-terminal: what it writes and when, what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK = 1 << 16
KEPT = 1 << 20


class Terminal:
    """The master's side of a pty; reads at once, so that no program waits for its terminal."""

    def __init__(self, command: Sequence[str], *, columns: int, lines: int) -> None:
        self._command = list(command)
        self._size = (lines, columns)
        self._kept = bytearray()
        self._news = asyncio.Event()
        self._heard_s = 0.0
        self.received = 0

    async def __aenter__(self) -> Self:
        """Start the program."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *self._size, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.pop("NO_COLOR", None)
        self._program = subprocess.Popen(  # noqa: ASYNC220, S603 - returns at once; our own program
            self._command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        asyncio.get_running_loop().remove_reader(self._master)
        with contextlib.suppress(ProcessLookupError):
            self._program.kill()
        self._program.wait()
        os.close(self._master)

    def write(self, keys: bytes) -> float:
        """Press keys; forgets what was written before, returns the monotonic moment."""
        self._kept.clear()
        at_s = time.monotonic()
        os.write(self._master, keys)
        return at_s

    async def seen(self, text: bytes, within_s: float) -> float:
        """When a text came. Raises TimeoutError that names it."""
        try:
            async with asyncio.timeout(within_s):
                while text not in self._kept:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            message = f"{text!r} was not painted within {within_s:.0f} s; last: {bytes(self._kept[-400:])!r}"
            raise TimeoutError(message) from None
        return self._heard_s

    async def ended(self, within_s: float) -> None:
        """Until the program has left. Raises subprocess.TimeoutExpired."""
        await asyncio.to_thread(self._program.wait, within_s)

    def cpu_s(self) -> float:
        """CPU time of the program so far, s (proc(5): utime and stime)."""
        fields = Path(f"/proc/{self._program.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory of the program, MB."""
        status = Path(f"/proc/{self._program.pid}/status").read_text(encoding="ascii")
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kilobytes) / 1_000

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self._master, CHUNK)
            self._heard_s = time.monotonic()
            self.received += len(data)
            self._kept += data
            del self._kept[:-KEPT]
            self._news.set()
