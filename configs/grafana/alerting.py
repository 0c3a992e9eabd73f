"""The alert rules of Prometheus as Grafana-managed ones: for sites without an Alertmanager.  Use one of the two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

FOLDER = "farmctl"
DATASOURCE = "farmctl-prometheus"
"""The uid that `provisioning/datasources` gives to Prometheus."""
LOOK_BACK_S = 600
INTERVAL = "10s"
"""A multiple of the 10 s in which Grafana's scheduler counts."""
EXPRESSION = {"type": "__expr__", "uid": "__expr__"}
NOTE = (
    "# Generated from configs/prometheus/rules by `python -m configs.grafana.generate`: change the rules there.\n"
    "# Use either Prometheus with Alertmanager or this file, never both: everything would be paged twice.\n"
)
_RECORDED = re.compile(r"\b\w+:\w+:\w+\b")


def provisioned(documents: Iterable[Mapping[str, Any]]) -> str:
    """One provisioning file for every alert of the rule files; recorded names are replaced by what they stand for."""
    groups = [group for document in documents for group in document["groups"]]
    recorded = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"] if "record" in rule}
    found = []
    for group in groups:
        alerts = [rule for rule in group["rules"] if "alert" in rule]
        if alerts:
            rules = [_rule(rule, recorded) for rule in alerts]
            found.append({"orgId": 1, "name": group["name"], "folder": FOLDER, "interval": INTERVAL, "rules": rules})
    text: str = yaml.safe_dump({"apiVersion": 1, "groups": found}, sort_keys=False, width=120, allow_unicode=True)
    return NOTE + text


def inlined(expr: str, recorded: Mapping[str, str]) -> str:
    """The expression with every recorded name replaced by its own expression."""
    return _RECORDED.sub(lambda name: f"({inlined(recorded[name[0]], recorded)})", expr)


def _rule(rule: Mapping[str, Any], recorded: Mapping[str, str]) -> dict[str, Any]:
    """An alert of Prometheus fires for every sample there is, also for a 0: hence `is_number` as the condition."""
    span = {"from": LOOK_BACK_S, "to": 0}
    query = {
        "refId": "A",
        "relativeTimeRange": span,
        "datasourceUid": DATASOURCE,
        "model": {"refId": "A", "expr": inlined(rule["expr"], recorded), "instant": True, "range": False},
    }
    condition = {
        "refId": "B",
        "relativeTimeRange": span,
        "datasourceUid": "__expr__",
        "model": {"refId": "B", "datasource": EXPRESSION, "type": "math", "expression": "is_number($A)"},
    }
    made: dict[str, Any] = {
        "uid": _uid(rule["alert"]),
        "title": rule["alert"],
        "condition": "B",
        "data": [query, condition],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": rule.get("for", "0s"),
    }
    made |= {"keepFiringFor": rule["keep_firing_for"]} if "keep_firing_for" in rule else {}
    notes = {name: text.replace("$value", "$values.A.Value") for name, text in rule["annotations"].items()}
    return made | {"labels": dict(rule["labels"]), "annotations": notes, "isPaused": False}


def _uid(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
