"""What the site says to the grid: the bodies of the contract, how they are made, and their signature."""

from __future__ import annotations

from farmctl.signals.uplink.build import (
    Offer,
    Sender,
    ack_json,
    capability_json,
    encoded,
    state_json,
    status_json,
    telemetry_json,
)

__all__ = [
    "Offer",
    "Sender",
    "ack_json",
    "capability_json",
    "encoded",
    "state_json",
    "status_json",
    "telemetry_json",
]
