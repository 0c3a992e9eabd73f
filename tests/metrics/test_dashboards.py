"""The dashboards and the alert rules for Grafana: as generated, complete, and every expression is PromQL."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.grafana.alerting import inlined
from configs.grafana.generate import BOARDS, RULES, generated
from configs.grafana.panels import ANNOTATIONS
from farmctl.metrics.families import CONTROLLER, FAMILIES

GRAFANA = Path(__file__).parents[2] / "configs" / "grafana"
PROMTOOL = shutil.which("promtool")
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$site": ".*", "$container": ".*"}


def loaded() -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in DASHBOARDS]


def expressions(board: dict[str, Any]) -> list[str]:
    """Every expression of a dashboard, with its variables filled in as Grafana does."""
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [note["expr"] for note in board["annotations"]["list"]]
    for name, value in VARIABLES.items():
        found = [expr.replace(name, value) for expr in found]
    return found


def test_what_is_committed_is_what_the_generator_writes() -> None:
    """Regenerate: python -m configs.grafana.generate."""
    wanted = generated()
    assert {path.name for path in wanted if path.suffix == ".json"} == {path.name for path in DASHBOARDS}
    assert [str(path) for path, text in wanted.items() if path.read_text(encoding="utf-8") != text] == []


def test_there_are_seven_dashboards_and_each_has_an_address_of_its_own() -> None:
    boards = loaded()
    assert len(boards) == len(BOARDS) == 7
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == 7
    assert all(re.fullmatch(r"[a-z-]{1,40}", board["uid"]) for board in boards)


def test_every_panel_has_a_unit_a_help_text_and_takes_its_data_source_from_the_variable() -> None:
    for board in loaded():
        assert [v["name"] for v in board["templating"]["list"]] == ["datasource", "site", "container"]
        assert board["templating"]["list"][0]["type"] == "datasource"
        assert [note["name"] for note in board["annotations"]["list"]] == [note[0] for note in ANNOTATIONS]
        places = [panel["gridPos"] for panel in board["panels"]]
        assert all(place["x"] + place["w"] <= 24 for place in places)
        for panel in board["panels"]:
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["description"], panel["title"]
            assert panel["targets"], panel["title"]
        assert set(re.findall(r'"uid": "([^"]*)"', json.dumps(board["panels"]))) == {"${datasource}"}


def test_dashboards_use_series_that_are_there_and_the_site_that_was_chosen() -> None:
    exported = {family.name for family in FAMILIES} | {instrument.name for instrument in CONTROLLER}
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in RULES.glob("*.yml")]
    recorded = {r["record"] for d in documents for g in d["groups"] for r in g["rules"] if "record" in r}
    for board in loaded():
        for expr in [target["expr"] for panel in board["panels"] for target in panel["targets"]]:
            for name in re.findall(r"\b(farmctl_[a-z0-9_]+|\w+:\w+:\w+)(?=[{ )\[])", expr):
                plain = re.sub(r"_(bucket|count|sum)$", "", name)
                assert {plain, name} & (exported | recorded), f"{board['title']}: {name}"
            assert 'site=~"$site"' in expr, f"{board['title']}: {expr}"


@pytest.mark.peer
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    found = [expr for board in loaded() for expr in expressions(board)]
    provisioning = yaml.safe_load((GRAFANA / "provisioning" / "alerting" / "farmctl.yaml").read_text(encoding="utf-8"))
    copies = [rule["data"][0]["model"]["expr"] for group in provisioning["groups"] for rule in group["rules"]]
    assert len(copies) == 20
    rules = [{"record": f"test:e{number}", "expr": expr} for number, expr in enumerate([*found, *copies])]
    file = tmp_path / "expressions.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    check = subprocess.run(
        [PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert check.returncode == 0, check.stderr


def test_the_copy_for_grafana_has_every_alert_and_needs_no_recording_rule() -> None:
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in RULES.glob("*.yml")]
    alerts = {r["alert"]: r for d in documents for g in d["groups"] for r in g["rules"] if "alert" in r}
    provisioning = yaml.safe_load((GRAFANA / "provisioning" / "alerting" / "farmctl.yaml").read_text(encoding="utf-8"))
    copies = {rule["title"]: rule for group in provisioning["groups"] for rule in group["rules"]}
    assert set(copies) == set(alerts)
    assert len({rule["uid"] for rule in copies.values()}) == len(copies)
    for name, copy in copies.items():
        assert copy["labels"] == alerts[name]["labels"]
        assert copy["for"] == alerts[name].get("for", "0s")
        assert copy["annotations"]["runbook_url"] == alerts[name]["annotations"]["runbook_url"]
        assert not re.search(r"\w+:\w+:\w+", copy["data"][0]["model"]["expr"])


def test_recorded_names_are_replaced_down_to_the_ground() -> None:
    recorded = {"a:b:c": "x + y", "d:e:f": "2 * a:b:c"}
    assert inlined("d:e:f > 1", recorded) == "(2 * (x + y)) > 1"
