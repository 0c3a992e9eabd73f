"""The shipped rules: Debian's promtool and amtool have no complaint, and every alert says what a person needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from farmctl.alarms.catalogue import CATALOGUE
from farmctl.core.alarms import AlarmKind
from farmctl.metrics.families import CONTROLLER, FAMILIES

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
RULES = sorted((CONFIGS / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((CONFIGS / "prometheus" / "tests").glob("*.yml"))
PROMTOOL, AMTOOL = shutil.which("promtool"), shutil.which("amtool")
BOOKS = "http://127.0.0.1:9108/runbooks/"
SEVERITY = {"0": "none", "1": "critical", "2": "major", "3": "minor", "4": "info"}
BY_LABEL = re.compile(r'priority="(\d)"')
INSTANT = {"FarmctlWatchdog", "FarmctlSignalStale", "FarmctlAlarmP1", "FarmctlAlarmP2"}
"""Fire at once: the delay is in their expression, or in the controller's catalogue."""


def rules() -> list[dict[str, Any]]:
    loaded = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in RULES]
    return [rule for document in loaded for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def priority_of(rule: dict[str, Any]) -> str:
    stated = rule["labels"].get("priority")
    return str(stated or BY_LABEL.search(rule["expr"])[1])  # type: ignore[index]  # a rule has one or the other


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_a_person_needs(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert rule["labels"]["severity"] == SEVERITY[priority_of(rule)]
    assert "for" in rule or rule["alert"] in INSTANT
    assert rule["alert"].startswith("Farmctl")
    assert notes["runbook_url"].startswith(BOOKS)


def test_every_alert_has_its_runbook() -> None:
    books = {rule["annotations"]["runbook_url"].removeprefix(BOOKS) for rule in alerts()}
    assert "{{ $labels.alarm }}" in books  # the controller's own alarms: tests/alarms looks after those
    for book in books - {"{{ $labels.alarm }}"}:
        page = (ROOT / "docs" / "runbooks" / f"{book}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {book} (P")
        assert "## First steps\n\n1. " in page


def test_an_alert_that_repeats_an_alarm_of_the_catalogue_has_its_priority() -> None:
    for rule in alerts():
        known: AlarmKind | None = CATALOGUE.get(rule["annotations"]["runbook_url"].removeprefix(BOOKS))
        assert known is None or str(known.priority) == priority_of(rule), rule["alert"]


def test_rules_use_series_that_are_there() -> None:
    exported = {family.name for family in FAMILIES} | {instrument.name for instrument in CONTROLLER}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        for name in re.findall(r"\b(farmctl_\w+|\w+:\w+:\w+)\b", rule["expr"]):
            assert name.removesuffix("_bucket") in exported | recorded, f"{name} in {rule}"


def test_every_alert_is_shown_to_fire_and_to_keep_quiet() -> None:
    fired, quiet = set(), set()
    for file in RULE_TESTS:
        for story in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            sites = set(re.findall(r'site="(\w+)"', str(story["input_series"])))
            for case in story["alert_rule_test"]:
                told = {alert["exp_labels"].get("site") for alert in case["exp_alerts"]}
                fired |= {case["alertname"]} if case["exp_alerts"] else set()
                quiet |= {case["alertname"]} if sites - told or not case["exp_alerts"] else set()
    names = {rule["alert"] for rule in alerts()}
    assert fired == names
    assert names - quiet == {"FarmctlWatchdog"}


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.peer
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_checks_the_rules_and_the_configuration() -> None:
    assert PROMTOOL is not None
    assert run(PROMTOOL, "check", "rules", *RULES).count("SUCCESS") == len(RULES)
    assert "FAILED" not in run(PROMTOOL, "check", "config", CONFIGS / "prometheus" / "prometheus.yml")


@pytest.mark.peer
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: str(file.stem))
def test_promtool_tests_the_rules(file: Path) -> None:
    assert PROMTOOL is not None
    assert "SUCCESS" in run(PROMTOOL, "test", "rules", file)


@pytest.mark.peer
@pytest.mark.skipif(AMTOOL is None, reason="amtool is not installed")
def test_amtool_checks_the_routes() -> None:
    assert AMTOOL is not None
    config = CONFIGS / "alertmanager" / "alertmanager.yml"
    assert "SUCCESS" in run(AMTOOL, "check-config", config)
    for labels, receiver in (
        ("alertname=FarmctlWatchdog severity=none priority=0", "heartbeat"),
        ("alertname=FarmctlDown site=a priority=1", "oncall"),
        ("alertname=FarmctlAlarmP2 site=a priority=2 alarm=container_offline", "oncall"),
        ("alertname=FarmctlAlarmP4 site=a priority=4 alarm=low_hash", "tickets"),
    ):
        found = run(AMTOOL, "config", "routes", "test", f"--config.file={config}", *labels.split())
        assert found.split()[0] == receiver
