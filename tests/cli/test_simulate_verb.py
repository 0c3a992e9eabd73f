"""`farmctl simulate`: a day in virtual time leaves a journal that replays, and a report of a fixed shape."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from farmctl.cli import cli

DAY = (
    "t_s,kind,name,target_pu,limit_pu,duration_s,lead_s\n"
    "0,create,bp-1,0.8,,120,20\n60,create,cap,,0.6,120,0\n150,create,bp-2,0.7,,120,20\n"
)
KEYS = {
    "miners", "rated_kw", "policy", "seed", "virtual_s", "cycles", "signals", "events", "commands", "tracking",
    "limit_violations", "alarms", "energy_mwh", "peak_kw", "mean_hash_rate_ths", "journal", "wall_s", "schema",
}  # fmt: skip


def test_a_simulated_day_is_reported_journalled_and_replayed(tmp_path: Path) -> None:
    signals, out = tmp_path / "day.csv", tmp_path / "out"
    signals.write_text(DAY)
    asked = ["simulate", "--signals", str(signals), "--miners", "40", "--out", str(out), "-o", "json"]
    said = CliRunner().invoke(cli, asked, standalone_mode=False)
    assert said.exception is None
    report = json.loads(said.stdout)
    assert set(report) == KEYS
    assert [event["id"] for event in report["events"]] == ["bp-1", "cap", "bp-2"]
    assert report["journal"]["chain_ok"]
    assert report["journal"]["recorded_cycles"] == report["cycles"]
    replayed = CliRunner().invoke(cli, ["replay", str(out), "-o", "json"], standalone_mode=False)
    assert json.loads(replayed.stdout)["identical"]
    told = CliRunner().invoke(
        cli, ["report", "cap", "--path", str(out / "journal.db"), "-o", "json"], standalone_mode=False
    )
    assert {baseline["method"] for baseline in json.loads(told.stdout)["baselines"]} >= {"MBMA", "FIRM", "BOTTOM_UP"}
    again = CliRunner().invoke(cli, asked, standalone_mode=False)
    assert "expected a new or empty folder" in str(again.exception)


@pytest.mark.parametrize(
    ("signals", "words", "told"),
    [
        (b"\xff\x00", (), "column 'kind' is missing"),
        (DAY.encode(), ("--policy", "nosuch"), "expected one of efficiency_first"),
        (DAY.encode(), ("--start", "noon"), "such as 2026-11-24T10:05"),
    ],
)
def test_a_day_that_cannot_be_played_is_told_in_words(
    tmp_path: Path, signals: bytes, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "day.csv").write_bytes(signals)
    asked = ["simulate", "--signals", str(tmp_path / "day.csv"), "--miners", "2", *words]
    assert told in str(CliRunner().invoke(cli, asked, standalone_mode=False).exception)


def test_why_and_plan_answer_for_a_moment_of_the_past(tmp_path: Path) -> None:
    signals, out = tmp_path / "day.csv", tmp_path / "out"
    signals.write_text(DAY)
    runner = CliRunner()
    made = [
        "simulate",
        "--signals",
        str(signals),
        "--miners",
        "40",
        "--out",
        str(out),
        "--start",
        "2026-11-30T06:00:00",
    ]
    runner.invoke(cli, made, standalone_mode=False)
    then = ["--at", "2026-11-30T06:01:50", "--journal", str(out), "-o", "json"]
    plan = json.loads(
        runner.invoke(cli, ["plan", "--to", "30%", "--until", "30m", *then], standalone_mode=False).stdout
    )
    assert "2026-11-30T06:01:40" < plan["plan"]["at"] <= "2026-11-30T06:01:50.000Z"
    assert plan["plan"]["limit_reason"] == "LIMITED"
    assert plan["plan"]["lowered"] > 5
    at, until = (datetime.fromisoformat(plan["plan"][key]) for key in ("at", "until"))
    assert abs(until - at - timedelta(minutes=30)) < timedelta(seconds=1)
    assert plan["plan"]["energy_kwh"] < 0 < plan["plan"]["hash_lost_th_h"]
    miner = plan["plan"]["miners"][0]["id"]
    why = json.loads(runner.invoke(cli, ["why", miner, *then], standalone_mode=False).stdout)
    assert (why["id"], why["at"], why["site"]["reason"]) == (miner, plan["plan"]["at"], "LIMITED")
    late = runner.invoke(
        cli, ["why", miner, "--at", "2026-11-30T09:00:00", "--journal", str(out)], standalone_mode=False
    )
    assert "no cycle at 2026-11-30T09:00:00Z" in str(late.exception)
    stranger = runner.invoke(cli, ["why", "nobody", *then], standalone_mode=False)
    assert "nobody" in str(stranger.exception)


def test_a_journal_with_one_altered_record_is_refused_with_its_number(tmp_path: Path) -> None:
    signals, out = tmp_path / "day.csv", tmp_path / "out"
    signals.write_text(DAY)
    runner = CliRunner()
    runner.invoke(cli, ["simulate", "--signals", str(signals), "--miners", "20", "--out", str(out)])
    with sqlite3.connect(out / "journal.db") as journal:
        for (trigger,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            journal.execute(f"DROP TRIGGER {trigger}")
        (seq,) = journal.execute("SELECT max(seq) FROM journal WHERE kind = 'decision'").fetchone()
        journal.execute("UPDATE journal SET body = replace(body, 'target_w', 'target_x') WHERE seq = ?", (seq,))
    journal.close()
    said = runner.invoke(cli, ["replay", str(out)], standalone_mode=False)
    assert said.return_value == 1
    assert f"refused: the journal is altered at record {seq}:" in said.stdout
