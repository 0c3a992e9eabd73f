"""`farmctl report` as its user meets it: formats, proof, missing extras, refusals."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from farmctl.report.html import BROWSERS
from farmctl.store.memory import MemoryStore
from farmctl.store.sqlite import open_sqlite
from tests.cli.shell import Said, Shell
from tests.report.diary import Diary
from tests.scenarios.day import Day, farm

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One event in a journal on disk; never written again."""
    path = tmp_path_factory.mktemp("report") / "journal.db"
    asyncio.run(written(path))
    return path


async def written(path: Path) -> None:
    day, memory = Day(farm(40, feeders=2, aux_w=6_000.0)), MemoryStore()
    diary = await Diary(day, memory).run(60)
    day.event("ev-1", setpoint_w=0.6 * day.rated_w, for_s=90)
    await diary.run(150)
    store = await open_sqlite(path)
    await store.append([each.record async for each in memory.records()])
    await store.close()


def report(*words: str) -> Said:
    return Shell(Path("nobody")).now("report", *words)


def test_every_format_tells_the_same_event(journal: Path, tmp_path: Path) -> None:
    there = ("ev-1", "--path", str(journal))
    told = json.loads(report(*there, "-o", "json").out)
    table = list(csv.DictReader(report(*there, "-o", "csv").out.splitlines()))
    assert {row["method"] for row in table} == {"MBMA", "FIRM", "BOTTOM_UP"}
    assert {row["chain_hash"] for row in table} == {told["inputs"]["last_hash"]}
    kwh = sum(float(row["kwh"]) for row in table if row["method"] == "MBMA")
    assert kwh == pytest.approx(told["energy"]["metered_mwh"] * 1e3, rel=1e-3)
    page = tmp_path / "report.html"
    assert report(*there, "-f", str(page)).code == 0
    html = page.read_text()
    assert html.count("<svg") == 2
    assert "src=" not in html
    assert "http" not in html.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert report(*there, "--verify", "--against", str(page)).code == 0
    assert html == report(*there).out


def test_raw_samples_have_the_digest_that_the_report_names(journal: Path) -> None:
    import hashlib  # noqa: PLC0415 - the second opinion's own

    raw = report("ev-1", "--path", str(journal), "-o", "csv", "--raw").out
    told = json.loads(report("ev-1", "--path", str(journal), "-o", "json").out)
    assert hashlib.sha256(raw.encode()).hexdigest() == told["inputs"]["meter_csv_sha256"]


def test_a_copy_that_was_touched_or_counted_otherwise_is_told_apart(journal: Path, tmp_path: Path) -> None:
    there, copy = ("ev-1", "--path", str(journal)), tmp_path / "copy.json"
    assert report(*there, "-o", "json", "--tariff", "0.09", "-f", str(copy)).code == 0
    assert report(*there, "--against", str(copy)).code == 0  # built again with the prices that the copy names
    told = json.loads(copy.read_text())
    told["money"]["net"] += 1000
    copy.write_text(json.dumps(told))
    touched = report(*there, "--against", str(copy))
    assert (touched.code, "the copy's own digest" in touched.err) == (1, True)
    copy.write_bytes(b"<p>nothing \xff</p>")
    strange = report(*there, "--against", str(copy))
    assert (strange.code, str(copy) in strange.err) == (2, True)


def test_settlement_files_of_a_day_and_a_month(journal: Path) -> None:
    day = json.loads(report("--day", "2026-11-24", "--path", str(journal), "-o", "json").out)
    month = json.loads(report("--month", "2026-11", "--path", str(journal), "-o", "json").out)
    assert day["totals"] == month["totals"]
    assert "Settlement of 2026-11-24" in report("--day", "2026-11-24", "--path", str(journal)).out
    lines = report("--day", "2026-11-24", "--path", str(journal), "-o", "csv").out.splitlines()
    assert lines[0] == "interval_start,interval_end,kwh,quality,coverage_pct,site,chain_hash"
    assert report("--day", "2026-11-24", "--path", str(journal), "--verify").code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nothing",), 1),
        ((), 2),
        (("ev-1", "--day", "2026-11-24"), 2),
        (("--day", "2026-13-24"), 2),
        (("--day", "yesterday"), 2),
        (("--day", "2020-01-01"), 1),
        (("ev-1", "--x-of-y", "10"), 2),
        (("ev-1", "--raw"), 2),
    ],
)
def test_what_cannot_be_is_refused_with_its_exit_code(journal: Path, words: tuple[str, ...], code: int) -> None:
    said = report(*words, "--path", str(journal))
    assert (said.code, "--day YYYY-MM-DD" in said.err) == (code, "nothing" in words)


def test_without_the_extra_json_and_csv_work_and_html_says_how_to_get_it(journal: Path) -> None:
    hidden = (
        "import sys; sys.modules['matplotlib'] = None; from farmctl.cli import main; sys.argv[0] = 'farmctl'; main()"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", hidden, "report", "ev-1", "--path", str(journal), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert run("-o", "json").returncode == run("-o", "csv").returncode == 0
    html = run("-o", "html")
    assert html.returncode == 2
    assert "pip install 'farmctl[report]'" in html.stderr


def test_the_daemon_never_loads_what_only_a_report_needs() -> None:
    heavy = ("matplotlib", "jinja2", "pyarrow")
    code = f"import sys, farmctl.wiring.farm; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.strip() == "[]"


def test_a_settled_event_reads_as_it_did(journal: Path, snapshot: SnapshotAssertion) -> None:
    """Regenerate with --snapshot-update; a changed figure needs an entry in the CHANGELOG and a new report format."""
    told = json.loads(report("ev-1", "--path", str(journal), "-o", "json").out)
    assert {
        key: told[key] for key in ("identity", "obligations", "baselines", "response", "return", "money")
    } == snapshot


def test_a_pdf_without_a_browser_says_what_is_missing(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("FARMCTL_BROWSER", raising=False)
    said = report("ev-1", "--path", str(journal), "-o", "pdf", "-f", "never.pdf")
    assert said.code == 2
    assert "Chromium" in said.err


@pytest.mark.peer
@pytest.mark.skipif(not any(shutil.which(name) for name in BROWSERS), reason="chromium is not here")
def test_chromium_prints_the_report(journal: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    assert report("ev-1", "--path", str(journal), "-o", "pdf", "-f", str(target)).code == 0
    assert target.read_bytes().startswith(b"%PDF")
    assert os.path.getsize(target) > 20_000  # noqa: PTH202 - one number
