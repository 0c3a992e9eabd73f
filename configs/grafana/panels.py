"""What a Grafana dashboard is made of, in the few shapes that ours use, and its JSON.

Plain JSON of schema 39 (Grafana 10 and later): the types of the foundation SDK on PyPI belong to one old Grafana.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA = 39
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREY, ORANGE, RED = "text", "orange", "red"
"""Normal is grey; a saturated colour means that something is wrong, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression and the name of its series."""

    expr: str
    legend: str = "__auto"
    at_once: bool = False
    """Only the newest value, for tables and bars."""
    heat: bool = False
    """Buckets of a histogram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; the unit is never left out: `short` is a bare number, `none` is text."""

    title: str
    kind: str
    unit: str
    queries: tuple[Query, ...]
    help: str
    width: int = 8
    height: int = 8
    least: float | None = None
    most: float | None = None
    steps: tuple[tuple[float, str], ...] = ()
    """(from this value on, colour), ascending; below the first it is grey."""
    named: bool = False
    """A stat shows the name of the series that is 1."""
    words: tuple[tuple[float, str], ...] = ()
    """Values that are shown as words."""
    dashed: tuple[str, ...] = ()
    """Series that are targets and limits, not measurements."""
    stacked: bool = False

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana reads it."""
        defaults: dict[str, Any] = {"unit": self.unit, "custom": self._custom(), "mappings": self._mappings()}
        defaults |= {"min": self.least} if self.least is not None else {}
        defaults |= {"max": self.most} if self.most is not None else {}
        base: dict[str, Any] = {"color": GREY, "value": None}
        limits = [base, *({"color": color, "value": value} for value, color in self.steps)]
        defaults["thresholds"] = {"mode": "absolute", "steps": limits}
        if self.steps or self.kind == "stat":
            defaults["color"] = {"mode": "thresholds"}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.help,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": defaults, "overrides": [_dashed(name) for name in self.dashed]},
            "options": self._options(),
            "targets": [self._target(query, chr(ord("A") + n)) for n, query in enumerate(self.queries)],
        }

    def _custom(self) -> dict[str, Any]:
        if self.kind != "timeseries":
            return {}
        stacking = {"mode": "normal" if self.stacked else "none", "group": "A"}
        return {"lineWidth": 1, "fillOpacity": 30 if self.stacked else 0, "stacking": stacking, "showPoints": "never"}

    def _mappings(self) -> list[dict[str, Any]]:
        words = {str(value): {"text": word, "index": n} for n, (value, word) in enumerate(self.words)}
        return [{"type": "value", "options": words}] if words else []

    def _options(self) -> dict[str, Any]:
        last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        match self.kind:
            case "stat":
                text = "name" if self.named else "value_and_name" if len(self.queries) > 1 else "auto"
                return {"reduceOptions": last, "textMode": text, "colorMode": "value", "graphMode": "none"}
            case "bargauge":
                return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic"}
            case "heatmap":
                return {
                    "calculate": False,
                    "yAxis": {"unit": self.unit},
                    "color": {"scheme": "Greys", "mode": "scheme"},
                }
            case "state-timeline":
                return {"mergeValues": True, "showValue": "auto", "rowHeight": 0.9}
            case "timeseries":
                legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
                return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
            case _:
                return {}

    def _target(self, query: Query, letter: str) -> dict[str, Any]:
        shape = "heatmap" if query.heat else "table" if self.kind == "table" else "time_series"
        return {
            "refId": letter,
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": query.at_once,
            "range": not query.at_once,
            "format": shape,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard; panels flow from left to right in rows."""

    uid: str
    title: str
    help: str
    panels: tuple[Panel, ...]

    def json(self) -> dict[str, Any]:
        """As Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.help,
            "tags": ["farmctl"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-2h", "to": "now"},
            "timezone": "browser",
            "links": [_LINKS],
            "annotations": {"list": [_annotation(*note) for note in ANNOTATIONS]},
            "templating": {"list": [_DATASOURCE, _SITE, _CONTAINER]},
            "panels": list(_placed(self.panels)),
        }


_EVENTS = 'farmctl_event_state{site=~"$site",state=~"active|ramping|reached|deviating"}'
ANNOTATIONS = (
    (
        "Events",
        "blue",
        f"{_EVENTS} > 0 unless {_EVENTS} offset 15s > 0",
        "{{site}}: an event is {{state}}",
    ),
    (
        "Overrides",
        "purple",
        'changes(farmctl_overrides{site=~"$site"}[30s]) > 0',
        "{{site}}: an override was set or is over",
    ),
    (
        "Modes",
        "yellow",
        'farmctl_control_mode{site=~"$site"} == 1 and changes(farmctl_control_mode{site=~"$site"}[30s]) > 0',
        "{{site}}: mode {{mode}}",
    ),
)
"""Name, colour, expression, text."""

_LINKS = {"type": "dashboards", "tags": ["farmctl"], "title": "farmctl", "asDropdown": True, "includeVars": True}
_DATASOURCE = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1}
_LABEL: dict[str, Any] = {
    "type": "query",
    "datasource": SOURCE,
    "multi": True,
    "includeAll": True,
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
    "refresh": 2,
    "sort": 1,
}
_SITE = {
    **_LABEL,
    "name": "site",
    "label": "Site",
    "query": {"query": "label_values(farmctl_leader, site)", "refId": "site"},
}
_CONTAINER = {
    **_LABEL,
    "name": "container",
    "label": "Container",
    "query": {
        "query": 'label_values(farmctl_container_miners_inventory{site=~"$site"}, container)',
        "refId": "container",
    },
}


def _annotation(name: str, color: str, expr: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "iconColor": color,
        "expr": expr,
        "step": "15s",
        "titleFormat": text,
    }


def _dashed(name: str) -> dict[str, Any]:
    style = {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}}
    color = {"id": "color", "value": {"mode": "fixed", "fixedColor": GREY}}
    return {"matcher": {"id": "byName", "options": name}, "properties": [style, color]}


def _placed(panels: Sequence[Panel]) -> Sequence[dict[str, Any]]:
    """Rows of 24 columns; a row is as high as its highest panel."""
    found, numbers = [], itertools.count(1)
    x = y = height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        found.append(panel.json(next(numbers), x, y))
        x, height = x + panel.width, max(height, panel.height)
    return found
