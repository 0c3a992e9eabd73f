"""The only place where parts meet: configuration in, a running farm out."""

from __future__ import annotations

from farmctl.wiring.direct import remember_stop, stop_all_directly
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.roles import run_farm

__all__ = ["load_drivers", "remember_stop", "run_farm", "stop_all_directly"]
