"""Discovery: which addresses hold miners, who they are, and what has changed since the inventory was written."""

from __future__ import annotations

from farmctl.engine.scan.compare import Diff, Move, diff
from farmctl.engine.scan.nouns import Found, Progress, ScanReport, ScanRules, ScanStoppedError, Stage, Unknown
from farmctl.engine.scan.ranges import Ranges, RangesError, read_ranges
from farmctl.engine.scan.scanner import scan
from farmctl.engine.scan.take import Held, Taking, take

__all__ = [
    "Diff",
    "Found",
    "Held",
    "Move",
    "Progress",
    "Ranges",
    "RangesError",
    "ScanReport",
    "ScanRules",
    "ScanStoppedError",
    "Stage",
    "Taking",
    "Unknown",
    "diff",
    "read_ranges",
    "scan",
    "take",
]
