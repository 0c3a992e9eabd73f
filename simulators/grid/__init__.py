"""The grid's side of the wire: a dispatcher that plays a trace over MQTT and remembers what the site answers."""

from __future__ import annotations

from simulators.grid.app import main
from simulators.grid.dispatcher import Dispatcher
from simulators.grid.orders import EventClass, Order
from simulators.grid.signing import Signer
from simulators.grid.trace import Trace

__all__ = ["Dispatcher", "EventClass", "Order", "Signer", "Trace", "main"]
