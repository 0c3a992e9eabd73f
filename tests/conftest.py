"""What holds for every test: no loop left behind, no task left running, no socket beyond loopback."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# pytest-asyncio asks for the current loop before it makes its own; on 3.11 that would create one that
# nobody closes, and its ResourceWarning would fail whichever test runs when it is collected.
asyncio.set_event_loop(None)

# The machine that runs the tests is shared: how long one example takes says nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", UNHURRIED)
settings.register_profile("ci", UNHURRIED, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose stories may take longest come first: at the end of a run no worker waits for another's last one."""
    longest_s: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        longest_s[item.path] = max(longest_s.get(item.path, 0.0), 0.0 if mark is None else float(mark.args[0]))
    items.sort(key=lambda item: -longest_s[item.path])
