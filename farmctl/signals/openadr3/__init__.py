"""OpenADR 3.1 as a VEN: events by polling (and MQTT notifications as a nudge), acks and telemetry as reports."""

from __future__ import annotations

from farmctl.signals.openadr3.config import OpenAdr3Config
from farmctl.signals.openadr3.source import OpenAdr3Source

__all__ = ["OpenAdr3Config", "OpenAdr3Source"]
