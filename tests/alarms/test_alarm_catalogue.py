"""The catalogue: every row complete, every runbook there, every condition listed with its own priority."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from farmctl.alarms.catalogue import CATALOGUE, ROWS
from farmctl.core.alarms import AlarmKind

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.alarm)
def test_every_row_says_what_a_person_needs(row: AlarmKind) -> None:
    assert all((row.summary, row.cause, row.consequence, row.response))
    assert row.priority in (1, 2, 3, 4)
    page = (ROOT / row.runbook).read_text(encoding="utf-8")
    assert page.startswith(f"# {row.alarm} (P{row.priority})\n")
    assert row.response in page
    assert "## First steps\n\n1. " in page


def test_every_runbook_belongs_to_a_row_or_to_an_alert_of_prometheus() -> None:
    rules = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "configs/prometheus/rules").glob("*.yml"))
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages >= set(CATALOGUE)
    assert [page for page in pages - set(CATALOGUE) if f"/{page}\n" not in rules] == []


def test_a_p1_is_never_suppressed() -> None:
    assert not [row.alarm for row in ROWS if row.priority == 1 and row.suppressed_by]


def test_every_condition_of_the_core_is_in_the_catalogue_with_the_same_priority() -> None:
    raised = dict(_raised(ROOT / "farmctl/core/alarms/site.py")) | dict(_raised(ROOT / "farmctl/core/alarms/rows.py"))
    assert len(raised) >= 15
    assert {alarm: CATALOGUE[alarm].priority for alarm in raised} == raised
    assert {row.alarm for row in ROWS if row.watched_by == "controller"} == set(raised)


def _raised(source: Path) -> list[tuple[str, int]]:
    """(alarm, priority) of every condition that a module makes."""
    found: list[tuple[str, int]] = []
    for call in (
        node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ):
        named = {word.arg: word.value for word in call.keywords}
        pair = [named.get("alarm"), named.get("priority")]
        if isinstance(call.func, ast.Name) and call.func.id == "_site":
            pair = list(call.args[:2])
        values = [part.value for part in pair if isinstance(part, ast.Constant)]
        if len(values) == len(pair) and isinstance(values[0], str) and isinstance(values[1], int):
            found.append((values[0], values[1]))
    return found
