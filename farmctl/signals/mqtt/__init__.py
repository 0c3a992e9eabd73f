"""Grid signals over MQTT 3.1.1 or 5: the source, its uplink, and the configuration of both."""

from __future__ import annotations

from farmctl.signals.mqtt.compat import CompatConfig, CompatSource
from farmctl.signals.mqtt.config import Form, MqttSourceConfig, TlsFiles
from farmctl.signals.mqtt.outbox import Mark, Outbox, Parcel
from farmctl.signals.mqtt.source import MqttSource

__all__ = [
    "CompatConfig",
    "CompatSource",
    "Form",
    "Mark",
    "MqttSource",
    "MqttSourceConfig",
    "Outbox",
    "Parcel",
    "TlsFiles",
]
