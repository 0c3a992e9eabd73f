"""The site meter: a real Modbus TCP server whose kW is the true sum of the miners plus the site's own load."""

from __future__ import annotations

from simulators.meter.app import main
from simulators.meter.server import REGISTERS, Electrical, MeterFault, Register, SimMeter
from simulators.meter.site import Auxiliary

__all__ = ["REGISTERS", "Auxiliary", "Electrical", "MeterFault", "Register", "SimMeter", "main"]
