"""A simulated farm of one model in a process of its own, on real ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

FARMSIM = (sys.executable, "-m", "simulators")
TRIES, STRIDE, NETS = 4, 37, 200
"""Somebody else's farm may sit on a net of 127.0.0.0/8: the next try is on another."""


@contextlib.asynccontextmanager
async def farm_of(miners: int, model: str, net: int) -> AsyncIterator[list[dict[str, Any]]]:
    """So many miners; yields what farmsim lists of them."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(TRIES):
            process, control = await _start(
                Path(folder) / "world.toml", miners, model, (net + number * STRIDE) % NETS + 1
            )
            if control:
                break
        else:
            raise RuntimeError(f"farmsim with {miners} {model} did not start on any of {TRIES} nets")
        try:
            yield await asyncio.to_thread(_inventory, control)
        finally:
            process.terminate()
            await process.wait()


async def _start(world: Path, miners: int, model: str, net: int) -> tuple[asyncio.subprocess.Process, str]:
    """The process, and where it listens for control; empty where it could not start."""
    command = [*FARMSIM, "world", "--miners", str(miners), "--mix", f"{model}=1", "--first-net", str(net)]
    text = await asyncio.to_thread(subprocess.check_output, command, text=True)
    await asyncio.to_thread(world.write_text, text)
    process = await asyncio.create_subprocess_exec(
        *FARMSIM, "run", str(world), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    line = await asyncio.wait_for(process.stdout.readline(), 60) if process.stdout else b""
    if not line:
        await process.wait()
        return process, ""
    return process, str(json.loads(line)["control"])


def _inventory(control: str) -> list[dict[str, Any]]:
    with urlopen(f"http://{control}/inventory", timeout=30) as answer:
        return list(json.loads(answer.read()))
