"""A small OpenADR 3.1 VTN: the other end of the wire for tests, with OAuth2, reports, webhooks and MQTT notices."""

from __future__ import annotations

from simulators.vtn.access import Client
from simulators.vtn.app import Vtn

__all__ = ["Client", "Vtn"]
