"""The demo without a terminal: one JSON object at the end, in time, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOR_S = 30
START_S = 10.0
"""300 miners are up in less (DESIGN section 4); here it is patience for a busy machine."""
STOP_S = 5.0
KEYS = {
    "miners": set[str](),
    "identified": set[str](),
    "polls": set[str](),
    "poll_errors": set[str](),
    "signals": set[str](),
    "events": {"id", "state", "target_kw", "reached_s", "mean_error_pct"},
    "commands": {"sent", "confirmed", "failed", "retried"},
    "tracking": {"mean_error_pct", "p95_error_pct", "samples"},
    "first_command_ms": {"p50", "p99"},
    "limit_violations": set[str](),
    "alarms": set[str](),
    "journal": {"records", "chain_ok"},
    "metrics_scrape_ok": set[str](),
    "wall_s": set[str](),
}
