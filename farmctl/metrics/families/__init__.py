"""The catalogue of metrics: one row each; names are API and listed in the CHANGELOG when they change."""

from __future__ import annotations

from farmctl.metrics.families.controller import CONTROLLER
from farmctl.metrics.families.fleet import CIRCUITS, CONTAINERS, FLEET, RACKS
from farmctl.metrics.families.site import ALARMS, CONTROL, SITE

FAMILIES = (*SITE, *CONTROL, *CONTAINERS, *CIRCUITS, *RACKS, *FLEET, *ALARMS)
"""Written from a snapshot, in this order."""

__all__ = ["CONTROLLER", "FAMILIES"]
