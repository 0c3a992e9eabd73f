"""What an import costs, seen in a fresh process: a static graph cannot prove that a lazy import is lazy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "aiohttp", "pyasic", "textual", "pydantic", "structlog", "aiomqtt", "pymodbus", "matplotlib")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    return set(answer.stdout.split())


def test_the_command_line_starts_without_anything_heavy() -> None:
    assert not loaded_by("import farmctl.cli").intersection(HEAVY)


@pytest.mark.parametrize(
    "module", ["farmctl.wiring", "farmctl.engine.cycle", "farmctl.signals.mqtt", "drivers.pyasic_bridge.driver"]
)
def test_the_daemon_never_loads_pyasic_or_textual(module: str) -> None:
    assert not loaded_by(f"import {module}").intersection({"pyasic", "pyasic_rs", "textual", "matplotlib"})


def test_the_core_needs_numpy_and_the_standard_library_alone() -> None:
    ours = loaded_by("import farmctl.core.step")
    assert not ours.intersection(set(HEAVY) - {"numpy"})
    assert "numpy" in ours


def test_simulators_load_nothing_of_the_controller() -> None:
    assert not loaded_by("import simulators.world, simulators.grid, simulators.meter").intersection(
        {"farmctl", "drivers"}
    )
