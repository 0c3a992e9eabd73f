"""Child processes that say on one line when they are ready, and go when we go."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farmctl.errors import AskHumanError

READY_S = 60.0
STOP_S = 4.0


def with_us(command: Sequence[str]) -> list[str]:
    """A command that gets a SIGTERM when we are killed and cannot send it, where Linux does that."""
    setpriv = shutil.which("setpriv")  # util-linux; PR_SET_PDEATHSIG, which exec keeps
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)


class ChildError(AskHumanError):
    """A part of the demo did not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One running simulator."""

    process: asyncio.subprocess.Process
    ready: dict[str, Any]
    """What it said when it was ready."""
    log: Path

    async def last_line(self) -> dict[str, Any]:
        """The JSON object it ends with; waits until it has ended."""
        out, _ = await self.process.communicate()
        lines = out.decode().splitlines()
        found = [line for line in lines if line.startswith("{")]
        return dict(json.loads(found[-1])) if found else {}

    async def must_be_well(self, name: str) -> None:
        """It has ended, and was not at fault. Raises ChildError with what it complained of."""
        if self.process.returncode:
            complaint = await asyncio.to_thread(self.log.read_text, errors="replace")
            raise ChildError(f"farmsim {name}: {complaint.strip()[-500:].rpartition('Error: ')[2]}")


async def run_once(*arguments: str) -> str:
    """Standard output of a simulator's command that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *_command(arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise ChildError(f"farmsim {' '.join(arguments)}: {err.decode().strip()}")
    return out.decode()


@asynccontextmanager
async def child(arguments: Sequence[str], log: Path, *, says_ready: bool = True) -> AsyncIterator[Child]:
    """Run a simulator's command; asked to stop on leaving, killed if it does not. Raises ChildError."""
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *with_us(_command(arguments)), stdout=asyncio.subprocess.PIPE, stderr=stderr, start_new_session=True
        )
    try:
        ready = await _ready(process, arguments, log) if says_ready else {}
        yield Child(process=process, ready=ready, log=log)
    finally:
        await asyncio.shield(_stopped(process))


async def _ready(process: asyncio.subprocess.Process, arguments: Sequence[str], log: Path) -> dict[str, Any]:
    line = b""
    try:
        async with asyncio.timeout(READY_S):
            if process.stdout is not None:
                line = await process.stdout.readline()
    except TimeoutError:
        pass
    try:
        return dict(json.loads(line))
    except ValueError:
        complaint = await asyncio.to_thread(log.read_text, errors="replace")
        said = (line.decode(errors="replace") + complaint).strip()[-500:]
        raise ChildError(f"farmsim {' '.join(arguments)}: expected a JSON line when ready, got: {said}") from None


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.communicate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "simulators", *arguments]
