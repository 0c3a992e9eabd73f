"""`farmctl inventory set`: many rows at once, shown first, refused where the site could not be run with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farmctl.cli.exits import Exit
from tests.cli.conftest import Verb

MINERS = "miner_id,host,driver,model,circuit,container,rack,tags,site\n" + "".join(
    f"02:00:00:00:00:0{n},10.0.0.{n},{driver},{model},site,C001,C001-R0{rack},{tags},north-1\n"
    for n, driver, model, rack, tags in (
        (1, "whatsminer", "M50_VH50", 1, "hot"),
        (2, "luxos", "Antminer S21", 1, ""),
        (3, "antminer", "Antminer S21", 2, "old;hot"),
    )
)


@pytest.fixture
def stocked(verb: Verb, site: Path) -> Path:
    (site / "miners.csv").write_text(MINERS, encoding="utf-8")
    assert verb("inventory", "import", "miners.csv")[0] == Exit.OK
    return site


def told(answer: tuple[int, str, str]) -> dict[str, Any]:
    assert answer[0] == Exit.OK, answer
    return dict(json.loads(answer[1]))


def exported(verb: Verb) -> list[dict[str, str]]:
    header, *lines = verb("inventory", "export")[1].splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def test_a_dry_run_shows_old_and_new_and_writes_nothing(verb: Verb, stocked: Path) -> None:
    assert stocked.exists()
    words = "inventory", "set", "-l", "rack=C001-R01 !tag=hot", "phase=l2+L1", "slot=U07", "tags+=new", "--dry-run"
    answer = told(verb(*words, "-o", "json"))
    assert (answer["dry_run"], answer["matched"]) == (True, 1)
    change = {"slot": ["", "U07"], "phase": ["", "L1-L2"], "tags": [[], ["new"]]}
    assert answer["changed"] == [{"miner_id": "02:00:00:00:00:02", **change}]
    assert verb(*words, "--exit-code")[0] == Exit.PENDING
    assert "phase - -> L1-L2" in verb(*words)[1]
    assert all(row["phase"] == row["slot"] == "" for row in exported(verb))


def test_an_edit_is_written_exported_and_on_record_with_its_reason(verb: Verb, stocked: Path) -> None:
    assert stocked.exists()
    words = "inventory", "set", "-l", "model~s21", "protected=yes", "tier=3", "tags-=hot", "owner=ACME"
    assert verb(*words)[0] == Exit.USAGE, "a reason is missing"
    answer = told(verb(*words, "--reason", "ward of ACME", "-o", "json"))
    assert [change["miner_id"][-1] for change in answer["changed"]] == ["2", "3"]
    first, second, third = exported(verb)
    assert (first["protected"], first["owner"]) == ("false", "")
    assert (second["protected"], second["tier"], third["tags"], third["owner"]) == ("true", "3", "old", "ACME")
    assert {row["site"] for row in (first, second, third)} == {"north-1"}
    record = json.loads(verb("journal", "list", "-o", "json")[1])["rows"][-1]["body"]
    assert (record["verb"], record["reason"]) == ("inventory set", "ward of ACME")
    assert record["changed"] == ["02:00:00:00:00:02", "02:00:00:00:00:03"]
    assert told(verb(*words, "--reason", "again", "-o", "json"))["changed"] == [], "a second time changes nothing"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("rack=R9",), "--all for the whole site"),
        (("--all", "-l", "tier=0", "rack=R9"), "--all for the whole site"),
        (("--all", "rak=R9", "tier=x", "phase=L4"), "did you mean rack?"),
        (("--all", "tier=1", "tier=2"), "tier: expected each column once"),
        (("--all", "rack+=R9"), "only tags can be added"),
        (("--all", "host=10.0.0.9"), "host: expected a column that can be edited"),
        (("-l", "modle~S21", "tier=1"), "did you mean model?"),
        (("-l", "model>", "tier=1"), "filter at character 1"),
        (("--all", "circuit=sight"), "did you mean site?"),
    ],
)
def test_nonsense_is_refused_with_what_was_expected(
    verb: Verb, stocked: Path, words: tuple[str, ...], complaint: str
) -> None:
    assert stocked.exists()
    before = exported(verb)
    code, out, err = verb("inventory", "set", *words, "--reason", "why")
    assert code != Exit.OK
    assert out == ""
    assert complaint in err
    assert exported(verb) == before


def test_a_file_of_another_site_is_refused(verb: Verb, stocked: Path) -> None:
    (stocked / "south.csv").write_text(MINERS.replace("north-1", "south-2"), encoding="utf-8")
    code, _, err = verb("inventory", "import", "south.csv")
    assert code == Exit.USAGE
    assert 'south.csv:2: site: expected a known site, got "south-2"' in err


def test_a_phase_that_no_grid_has_is_a_fault(verb: Verb, site: Path) -> None:
    (site / "miners.csv").write_text(MINERS.replace("tags,site", "phase,site"), encoding="utf-8")
    code, _, err = verb("inventory", "import", "miners.csv")
    assert code == Exit.USAGE
    assert 'phase: expected L1, L2, L3, or several of them such as L1-L2, got "hot"' in err
