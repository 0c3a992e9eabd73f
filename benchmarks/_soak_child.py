"""The controller of a long run: what `farmctl run` does, with a witness in the process that counts what could leak."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

import click
import uvloop

from benchmarks import _soak_dig
from benchmarks._procfs import of_malloc, of_process
from farmctl.config.load import load
from farmctl.engine.supervisor import stop_on_signals
from farmctl.wiring import run_farm
from farmctl.wiring.logs import configure_logs


@click.command()
@click.argument("config", type=click.Path(exists=True, path_type=Path))
@click.argument("told", type=click.Path(path_type=Path))
@click.option("--every", "every_s", type=float, default=10.0)
@click.option("--dig-every", type=int, default=0, help="Tell kinds and lines at every so-manieth sample; 0: never.")
def main(config: Path, told: Path, every_s: float, dig_every: int) -> None:
    """Run CONFIG until SIGTERM; a JSON line into TOLD at every sample."""
    uvloop.run(_serve(config, told, every_s, dig_every))


async def _serve(config: Path, told: Path, every_s: float, dig_every: int) -> None:
    if dig_every:
        _soak_dig.start()
    configure_logs()
    stop, said = asyncio.Event(), list[str]()
    stop_on_signals(stop, said)
    with told.open("w", encoding="utf-8") as out:
        witness = asyncio.ensure_future(_witness(out, every_s, dig_every))
        await run_farm(load(config, environment={}), stop)
        witness.cancel()


async def _witness(out: IO[str], every_s: float, dig_every: int) -> None:
    number = 0
    while True:
        await asyncio.sleep(every_s)
        number += 1
        sample: dict[str, Any] = {
            "at_s": round(time.monotonic(), 1),
            "tasks": len(asyncio.all_tasks()),
            "task_names": dict(Counter(_name(task) for task in asyncio.all_tasks()).most_common(20)),
            "threads": threading.active_count(),
            "blocks": sys.getallocatedblocks(),
            **of_malloc(),
            **of_process("self"),
        }
        if dig_every and number % dig_every == 0:
            sample["dig"] = _soak_dig.census()
        out.write(json.dumps(sample) + "\n")
        out.flush()


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


if __name__ == "__main__":
    main()
