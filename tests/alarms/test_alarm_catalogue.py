"""The catalogue: every row complete, every runbook there, every condition listed with its own priority."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from farmctl.alarms.catalogue import CATALOGUE, ROWS
from farmctl.core.alarms import AlarmKind, AlarmSource, Suppress

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


NORMATIVE = """
1 life_safety emergency_latched signal_stale power_above_limit shed_incomplete meter_lost_armed circuit_overload
1 cooling_failed store_failed two_leaders cycle_stalled controller_down
2 container_offline circuit_near_limit ambient_temp dew_point hashrate_low pools_down foreign_pool command_failures
2 poll_failures meter_mismatch running_while_off ramp_too_slow plan_expired override_expiring audit_chain_broken
2 lease_flapping clock_refusing store_filling site_silent
3 reject_ratio efficiency_drift fan_failures hashboards_missing temp_margin_low warmup_overrun firmware_drift
3 clock_offset address_conflict credential_expiry feed_stale outbox_backlog inventory_missing
4 worklist_growth restart_loops low_hash filter_dust backup_failed
"""
STAYS = {"running_while_off", "override_expiring", "audit_chain_broken", "lease_flapping", "clock_refusing"} | {
    "store_filling", "site_silent", "clock_offset",
    "credential_expiry", "feed_stale", "outbox_backlog", "backup_failed",
}  # fmt: skip
"""Maintenance of machines does not explain a machine that runs against its order, nor what is wrong with this host."""


def test_the_catalogue_is_the_one_of_the_operations_guide() -> None:
    wanted = {name: int(p) for p, *names in map(str.split, NORMATIVE.split("\n")[1:-1]) for name in names}
    assert {row.alarm: row.priority for row in ROWS} == wanted


def test_every_row_has_its_limit_guard_and_owner() -> None:
    assert [row.alarm for row in ROWS if not all((row.setpoint, row.deadband, row.guard, row.owner))] == []


def test_a_p1_is_never_suppressed_and_maintenance_hides_what_it_explains() -> None:
    assert not [row.alarm for row in ROWS if row.priority == 1 and row.suppressed_by]
    shown = {row.alarm for row in ROWS if row.priority > 1 and Suppress.MAINTENANCE not in row.suppressed_by}
    assert shown == STAYS


def test_every_alarm_of_a_watch_is_raised_by_one() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "farmctl/alarms/watches").glob("*.py"))
    watched = {row.alarm for row in ROWS if row.source is AlarmSource.WATCH}
    assert {alarm for alarm in watched if f'alarm="{alarm}"' not in text} == set()


def test_every_condition_of_the_core_is_in_the_catalogue_with_the_same_priority() -> None:
    raised = dict(_raised(ROOT / "farmctl/core/alarms/site.py")) | dict(_raised(ROOT / "farmctl/core/alarms/rows.py"))
    assert len(raised) >= 15
    assert {alarm: CATALOGUE[alarm].priority for alarm in raised} == raised
    assert {row.alarm for row in ROWS if row.source is AlarmSource.CORE} == set(raised)


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
