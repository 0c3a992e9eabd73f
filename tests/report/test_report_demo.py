"""The report of a demo's event: equal to a second opinion from the raw journal; refused when a record is altered."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.report import reckoning

ROOT = Path(__file__).parents[2]
LONGEST_S = 200.0
ENDS = ("COMPLETED", "SUPERSEDED", "FAILED")
ALTERED = {
    "body": """UPDATE journal SET body = replace(body, 'power_w":', 'power_w":1')
               WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 'decision')""",
    "series": """UPDATE journal SET blob = CAST(blob || x'00' AS BLOB)
                 WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 'series')""",
    "time": "UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 3",
}


def farmctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farmctl", *words], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(280)
async def test_a_demo_event_is_reported_as_a_second_opinion_has_it(tmp_path: Path) -> None:
    base = 20_000 + os.getpid() % 60 * 200  # other demos may run beside this one, on the addresses of their own
    words = ("demo", "--headless", "--miners", "20", "--port-base", str(base), "--folder", str(tmp_path))
    journal = tmp_path / "journal.db"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "farmctl", *words),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ,
    )
    try:
        event_id = await asyncio.wait_for(first_ended(journal), LONGEST_S)
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    equal_to_the_second_opinion(journal, event_id)
    copy = tmp_path / "report.json"
    assert farmctl("report", event_id, "--path", str(journal), "-o", "json", "-f", str(copy)).returncode == 0
    verified = farmctl("report", event_id, "--path", str(journal), "--verify", "--against", str(copy))
    assert verified.returncode == 0, verified.stderr
    for name, change in ALTERED.items():
        await asyncio.to_thread(refused_when_altered, journal, tmp_path / f"{name}.db", change, event_id)


async def first_ended(journal: Path) -> str:
    """The first event that was followed to its end and whose series is written, however slow the machine is."""
    while True:
        await asyncio.sleep(1.0)
        try:
            moves = [(at_ms, body) for _, at_ms, body, _ in reckoning.rows(journal, "event")]
            pages = [body["to_ms"] for *_, body, _ in reckoning.rows(journal, "series")]
        except sqlite3.OperationalError:  # the file is not there yet
            continue
        ended = [(at_ms, body["event"]) for at_ms, body in moves if body["state"] in ENDS]
        if ended and pages and pages[-1] > ended[0][0]:
            return str(ended[0][1])


def equal_to_the_second_opinion(journal: Path, event_id: str) -> None:
    made = farmctl("report", event_id, "--path", str(journal), "-o", "json")
    assert made.returncode == 0, made.stderr
    report: dict[str, Any] = json.loads(made.stdout)
    event, points = reckoning.event(journal, event_id), reckoning.meter(journal)
    start_ms, end_ms = event["start_ms"], event["end_ms"]
    before = reckoning.cut(points, start_ms - 900_000, start_ms)
    inside = reckoning.cut(points, start_ms, end_ms)
    baseline_w, hours = reckoning.mean_w(before), (inside[-1][0] - inside[0][0]) / 3_600_000
    metered_wh = reckoning.watt_hours(inside)
    lines = {line["method"]: line for line in report["baselines"]}
    firm_w = next(
        body["firm_w"] for *_, body, _ in reckoning.rows(journal, "config") if body.get("what") == "settlement"
    )

    def near(value: float) -> object:
        return pytest.approx(value, rel=1e-3)

    assert report["energy"]["metered_mwh"] == near(metered_wh / 1e6)
    assert lines["MBMA"]["baseline_kw"] == near(baseline_w / 1e3)
    assert lines["MBMA"]["net_mwh"] == near((baseline_w * hours - metered_wh) / 1e6)
    assert lines["FIRM"]["net_mwh"] == near((firm_w * hours - metered_wh) / 1e6)
    assert report["response"]["power_kw"] == near(reckoning.mean_w(inside) / 1e3)
    setpoint_w = event["intervals"][0]["setpoint_w"]
    assert report["response"]["target_kw"] == near(setpoint_w / 1e3)
    due_ms = start_ms + event["respond_within_s"] * 1e3
    judged = [abs(w - setpoint_w) for at_ms, w in inside if due_ms <= at_ms < min(event["expires_ms"], end_ms)]
    if judged:
        assert report["response"]["mean_error_kw"] == near(sum(judged) / len(judged) / 1e3)
        assert report["response"]["max_error_kw"] == near(max(judged) / 1e3)


def refused_when_altered(journal: Path, copy: Path, change: str, event_id: str) -> None:
    shutil.copy(journal, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("DROP TRIGGER journal_keeps_what_was_written")
        assert connection.execute(change).rowcount == 1
    said = farmctl("report", event_id, "--path", str(copy), "--verify")
    assert said.returncode == 1
    assert "NOT verified: journal record" in said.stderr
