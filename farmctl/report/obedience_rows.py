"""The part of a report that tells of single machines."""

from __future__ import annotations

from farmctl.report.canonical import Json
from farmctl.report.case import Case
from farmctl.report.obeyed import by_firmware, obedience, stragglers


def obeyed(case: Case) -> Json:
    """Command success by firmware, and the stragglers."""
    found = obedience(case)
    return {"commands": by_firmware(found), "stragglers": stragglers(case, found)}
