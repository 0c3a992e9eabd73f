"""The demo without a terminal: one JSON object at the end, in time, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOR_S = 30
STOP_S = 5.0
MARK = "FARMCTL_TEST_MARK"
KEYS = {
    "miners": set[str](),
    "identified": set[str](),
    "polls": set[str](),
    "poll_errors": set[str](),
    "signals": set[str](),
    "events": {"id", "state", "target_kw", "reached_s", "mean_error_pct"},
    "commands": {"sent", "confirmed", "failed", "retried"},
    "tracking": {"mean_error_pct", "p95_error_pct", "samples"},
    "first_command_ms": {"p50", "p99"},
    "limit_violations": set[str](),
    "alarms": set[str](),
    "journal": {"records", "chain_ok"},
    "metrics_scrape_ok": set[str](),
    "wall_s": set[str](),
}


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_the_headless_demo_ends_in_time_with_one_whole_object_and_leaves_nobody_behind(tmp_path: Path) -> None:
    process = await demo(tmp_path, "--miners", "30", "--for", f"{FOR_S}s", "--seed", "1", "-o", "json")
    out, err = await process.communicate()
    said = err.decode()
    assert process.returncode == 0, said
    lines = out.decode().splitlines()
    assert len(lines) == 1, lines
    told = json.loads(lines[0])
    for key, parts in KEYS.items():
        assert key in told
        found = told[key][0] if isinstance(told[key], list) and parts else told[key]
        assert parts <= set(found if parts else ()), key
    assert told["miners"] == told["identified"] == 30
    assert told["polls"] > 0
    assert told["journal"]["chain_ok"] is True
    assert told["limit_violations"] == 0
    assert told["metrics_scrape_ok"] is True
    up = re.search(r"controller up with 30 miners after ([0-9.]+) s", said)
    assert up is not None, said
    assert FOR_S <= round(told["wall_s"] - float(up[1]), 1) <= FOR_S + STOP_S, said
    assert not await asyncio.to_thread(marked, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not here (Debian package util-linux)")
async def test_a_demo_that_is_killed_takes_its_miners_and_its_broker_with_it(tmp_path: Path) -> None:
    process = await demo(tmp_path, "--miners", "10", "--for", "2m", "--folder", str(tmp_path))
    assert process.stderr is not None
    async for line in process.stderr:
        if b"controller up" in line:
            break
    assert len(await asyncio.to_thread(marked, tmp_path)) > 2
    process.kill()
    await process.communicate()
    end_s = time.monotonic() + 30.0
    while left := await asyncio.to_thread(marked, tmp_path):
        assert time.monotonic() < end_s, left
        await asyncio.sleep(0.2)


async def demo(folder: Path, *options: str) -> asyncio.subprocess.Process:
    """The demo; it and all that it starts bear the folder's name in their environment."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "farmctl", "demo", "--headless", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, MARK: str(folder)},
    )


def marked(folder: Path) -> list[str]:
    """Command lines of processes whose environment carries the mark; a child inherits it whoever adopts it."""
    found: list[str] = []
    mark = f"{MARK}={folder}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in environment:
            found.append(words)
    return found
