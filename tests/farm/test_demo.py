"""The demo without a terminal: one JSON object at the end, in time, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOR_S = 30
STOP_S = 5.0
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
    arguments = ("demo", "--headless", "--miners", "30", "--for", f"{FOR_S}s", "--seed", "1", "-o", "json")
    mark = f"FARMCTL_TEST_MARK={tmp_path}"
    name, _, value = mark.partition("=")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "farmctl", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, name: value},
    )
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
    assert not await asyncio.to_thread(marked, mark.encode())


def marked(mark: bytes) -> list[str]:
    """Command lines of processes whose environment carries a mark; a child inherits it whoever adopts it."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in environment:
            found.append(words)
    return found
