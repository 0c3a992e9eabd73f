"""One folder per family of machines; strangers to one another. This file names them and imports nothing."""

from __future__ import annotations

BUILTIN: dict[str, str] = {
    "whatsminer": "drivers.whatsminer.driver:WhatsminerDriver",
    "antminer": "drivers.antminer.driver:AntminerDriver",
    "luxos": "drivers.luxos.driver:LuxosDriver",
    "vnish": "drivers.vnish.driver:VnishDriver",
    "braiins": "drivers.braiins.driver:BraiinsDriver",
    "auradine": "drivers.auradine.driver:AuradineDriver",
    "bitaxe": "drivers.bitaxe.driver:BitaxeDriver",
    "whatsminer_v3": "drivers.whatsminer_v3.driver:WhatsminerV3Driver",
    "avalon": "drivers.avalon.driver:AvalonDriver",
    "epic": "drivers.epic.driver:EpicDriver",
    "pyasic": "drivers.pyasic_bridge.driver:PyasicDriver",
}
"""Drivers in a bare checkout; in an installed one the entry points `farmctl.drivers` say the same."""
