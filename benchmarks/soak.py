"""A controller for a long time under continuous faults: does it grow, does it leak, is its journal whole?

The controller is what `farmctl run` runs, in a process of its own; every miner, the broker and the meter are behind
a proxy that makes trouble (latency, reset, half-open, slow drip, truncated, corrupt), farmsim's miners misbehave by
themselves too, the dispatcher plays the surplus day over and over and signs it, and people look at /metrics and the
control socket. Growth of RSS is judged between the window after the warm-up and the last one, leaks between the calm
before the first fault and the calm after the last.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import click

from benchmarks._host import StealWatch
from benchmarks._procfs import of_process
from benchmarks._soak_judge import Span, judged
from benchmarks._soak_site import Stage, Weather, stage
from benchmarks._soak_watchers import watching
from farmctl.store.journal import Intact
from farmctl.store.reader import open_reader
from farmctl.wiring.stores import JOURNAL

SAMPLE_S = 10.0
START_S = 90.0
UP_S = 20.0
"""From the proxy's start to the controller's first sweep, about."""
STOP_S = 60.0
FAULTS: tuple[tuple[str, dict[str, float | str]], ...] = (
    ("silent", {}),
    ("slow", {"delay_s": 3.0}),
    ("reset", {}),
    ("truncated", {}),
    ("malformed", {"how": "garbage"}),
    ("malformed", {"how": "comma_brace"}),
    ("unauthorized", {}),
    ("expired", {}),
    ("unplugged", {}),
    ("reboot", {}),
    ("lies_power", {}),
    ("lies_state", {}),
    ("refuses", {}),
    ("ignores", {}),
)
FAULT_EVERY_S = (1.0, 6.0)
FAULT_FOR_S = (5.0, 60.0)
FAULT_SHARE = (0.0005, 0.005)


@dataclass(slots=True)
class Tally:
    """What was done to the site."""

    faults: int = 0
    miners_hit: int = 0
    children: list[dict[str, Any]] = field(default_factory=list)
    """Samples of the processes around the controller."""


@click.command()
@click.option("--miners", type=click.IntRange(min=50), default=2_000, show_default=True)
@click.option("--minutes", type=click.FloatRange(min=2.0), default=30.0, show_default=True, help="With faults.")
@click.option("--calm", "calm_s", type=float, default=120.0, show_default=True, help="s before and after the faults.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the files here.")
@click.option("--dig", "dig_every", type=int, default=0, help="Samples between two accounts of what lives; 0: never.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(
    miners: int, minutes: float, calm_s: float, seed: int, folder: Path | None, dig_every: int, *, as_json: bool
) -> None:
    """Soak a simulated site; exit 1 where something grew, leaked or broke."""
    with tempfile.TemporaryDirectory(prefix="farmctl-soak-") as name:
        place = folder or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        result = asyncio.run(_soak(place, miners, minutes * 60.0, calm_s, (seed, dig_every)))
    if not as_json:
        for key, value in result.items():
            click.echo(f"{key:<24} {value}")
    click.echo(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)


async def _soak(folder: Path, miners: int, seconds: float, calm_s: float, seed_dig: tuple[int, int]) -> dict[str, Any]:
    seed, dig_every = seed_dig
    steal, tally = StealWatch(), Tally()
    async with (
        stage(miners, folder, seed=seed, weather=Weather(after_s=UP_S + calm_s)) as there,
        _controller(there, dig_every) as (process, told),
    ):
        began_s = time.monotonic()
        await asyncio.sleep(calm_s)
        calm = Span(began_s + calm_s / 2, time.monotonic())
        hard = await _hard_days(there, process, tally, seconds, Random(seed))  # noqa: S311 - a story
        await there.clear()
        there.proxy.process.send_signal(signal.SIGUSR1)
        await asyncio.sleep(calm_s)
        after = Span(time.monotonic() - calm_s / 2, time.monotonic())
        cpu_s = _cpu_s(process.pid)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            code = await process.wait()
        there.proxy.process.terminate()
        proxied = await there.proxy.last_line()
    samples = [json.loads(line) for line in told.read_text("utf-8").splitlines()]
    return {
        "miners": there.miners,
        "minutes": round(seconds / 60.0, 1),
        **judged(samples, calm=calm, hard=hard, after=after),
        **await _journal(folder),
        "exit_code": code,
        "farm_faults": tally.faults,
        "miners_hit": tally.miners_hit,
        "proxy": proxied,
        "cpu_pct": round(100.0 * cpu_s / (after.end_s - began_s), 1),
        "around_mib": _around(tally.children),
        "log_lines": len((folder / "controller.log").read_text("utf-8").splitlines()),
        "steal_pct": steal.steal_pct(),
    }


@asynccontextmanager
async def _controller(there: Stage, dig_every: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    told = there.folder / "witness.jsonl"
    words = (
        sys.executable,
        "-m",
        "benchmarks._soak_child",
        str(there.config),
        str(told),
        "--every",
        str(SAMPLE_S),
        "--dig-every",
        str(dig_every),
    )
    with (there.folder / "controller.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*words, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(START_S):
            while not (there.folder / "farmctl.sock").exists():
                if process.returncode is not None:
                    raise click.ClickException((there.folder / "controller.log").read_text("utf-8")[-2000:])
                await asyncio.sleep(0.2)
        yield process, told
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _hard_days(
    there: Stage, process: asyncio.subprocess.Process, tally: Tally, seconds: float, dice: Random
) -> Span:
    """Faults, orders and onlookers for so long. Raises ClickException where the controller ends meanwhile."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            tasks.create_task(_faults(there, tally, dice))
            tasks.create_task(_orders(there))
            tasks.create_task(watching(there.metrics, there.folder / "farmctl.sock"))
            tasks.create_task(_sampled(there, tally))
            tasks.create_task(_alive(process, there.folder))
    except TimeoutError:
        pass
    return Span(began_s, time.monotonic())


async def _faults(there: Stage, tally: Tally, dice: Random) -> None:
    while True:
        await asyncio.sleep(dice.uniform(*FAULT_EVERY_S))
        fault, params = dice.choice(FAULTS)
        share, for_s = dice.uniform(*FAULT_SHARE), dice.uniform(*FAULT_FOR_S)
        tally.miners_hit += await there.fault(fault, fraction=share, for_s=for_s, **params)
        tally.faults += 1


async def _orders(there: Stage) -> None:
    """The grid's day, over and over, by a dispatcher that is started anew each time."""
    while True:
        async with there.dispatcher(240.0) as dispatcher:
            await dispatcher.last_line()


async def _sampled(there: Stage, tally: Tally) -> None:
    while True:
        tally.children.append({name: of_process(pid) for name, pid in there.children.items()})
        await asyncio.sleep(SAMPLE_S)


async def _alive(process: asyncio.subprocess.Process, folder: Path) -> None:
    await process.wait()
    raise click.ClickException(f"the controller ended: {(folder / 'controller.log').read_text('utf-8')[-2000:]}")


async def _journal(folder: Path) -> dict[str, Any]:
    path = folder / JOURNAL
    reader = await open_reader(path)
    try:
        verdict, head = await reader.verify(), await reader.head()
    finally:
        await reader.close()
    size = _size_bytes(path) + _size_bytes(path.with_name(f"{JOURNAL}-wal"))
    return {
        "journal_records": head.seq if head else 0,
        "journal_mib": round(size / 2**20, 1),
        "journal_ok": isinstance(verdict, Intact),
    }


def _around(samples: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """RSS of the simulators at the beginning and at the end, MiB: theirs is not judged."""
    if not samples:
        return {}
    ends = (samples[0], samples[-1])
    return {name: [sample[name].get("rss_mib", 0.0) for sample in ends] for name in samples[0]}


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


if __name__ == "__main__":
    main()
