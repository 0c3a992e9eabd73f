"""farmctl: runs a Bitcoin-ASIC farm as a dispatchable electrical load."""

from __future__ import annotations

__version__ = "0.1.0"
