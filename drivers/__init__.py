"""One folder per family of machines; strangers to one another. This file names them and imports nothing."""

from __future__ import annotations

BUILTIN: dict[str, str] = {
    "whatsminer": "drivers.whatsminer.driver:WhatsminerDriver",
    "antminer": "drivers.antminer.driver:AntminerDriver",
    "luxos": "drivers.luxos.driver:LuxosDriver",
    "pyasic": "drivers.pyasic_bridge.driver:PyasicDriver",
}
"""Drivers in a bare checkout; in an installed one the entry points `farmctl.drivers` say the same."""
