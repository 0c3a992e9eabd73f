"""Every unit that is shipped, as systemd itself reads and judges it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "configs" / "systemd"
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSED = 20
"""Tenths of systemd's 10: what is left is the network, which is the job."""

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed"),
    pytest.mark.parametrize("name", sorted(unit.name for unit in UNITS.glob("*.service"))),
]


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *words], check=False, capture_output=True, text=True, timeout=60)


def test_systemd_finds_nothing_to_say_about_a_unit(name: str, tmp_path: Path) -> None:
    text = (UNITS / name).read_text(encoding="utf-8")
    program = text.partition("ExecStart=")[2].split()[0]
    unit = tmp_path / name
    unit.write_text(text.replace(program, sys.executable), encoding="utf-8")  # where it will stand nothing stands yet
    said = analyze("verify", "--man=no", str(unit))
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_a_unit_is_exposed_no_more_than_its_job_needs(name: str) -> None:
    if "--offline" not in analyze("--help").stdout:
        pytest.skip("this systemd-analyze cannot judge a file: wanted systemd >= 250")
    said = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(UNITS / name))
    assert said.returncode == 0, said.stdout
