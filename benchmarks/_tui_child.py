"""`farmctl tui` as its verb starts it, and beside it a sampler of how late the loop runs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np

from farmctl.control.feed import SocketFeed
from farmctl.tui.app import run_tui

SLEEP_S = 0.01
ENDING = 50
"""The last samples are of the glass being closed."""


async def _glass(socket: str) -> list[float]:
    late_s: list[float] = []

    async def sample() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + SLEEP_S
            await asyncio.sleep(SLEEP_S)
            late_s.append(loop.time() - due_s)

    sampling = asyncio.create_task(sample())
    await run_tui(SocketFeed(socket), read_only=True)
    sampling.cancel()
    return late_s


def main(socket: str, answer: str) -> None:
    """Show the glass; when it is left, tell how late its loop ran."""
    late_ms = 1_000.0 * np.array(asyncio.run(_glass(socket)))
    settled = late_ms[len(late_ms) // 5 : -ENDING]  # the start is told by snapshot_to_paint_ms
    told = {"p99": float(np.percentile(settled, 99)), "max": float(settled.max())}
    Path(answer).write_text(json.dumps(told), encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
