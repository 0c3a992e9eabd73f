"""The single declaration of the configuration: one pydantic model per table, units in the key names."""

from __future__ import annotations

from farmctl.config.schema.circuits import CircuitTable, MeterTable, RegisterTable
from farmctl.config.schema.farm import FarmConfig
from farmctl.config.schema.notify import NotifyTable
from farmctl.config.schema.programme import ProgrammeTable, UnitTable
from farmctl.config.schema.records import HistoryTable, SettlementTable
from farmctl.config.schema.services import ApiTable, CredentialsTable, MetricsTable, StoreTable, WorkersTable
from farmctl.config.schema.signals import SIGNAL_KINDS, CompatTable, IssuerTable, KeyTable, MqttTable
from farmctl.config.schema.site import ControlTable, PollTable, SiteTable

__all__ = [
    "SIGNAL_KINDS",
    "ApiTable",
    "CircuitTable",
    "CompatTable",
    "ControlTable",
    "CredentialsTable",
    "FarmConfig",
    "HistoryTable",
    "IssuerTable",
    "KeyTable",
    "MeterTable",
    "MetricsTable",
    "MqttTable",
    "NotifyTable",
    "PollTable",
    "ProgrammeTable",
    "RegisterTable",
    "SettlementTable",
    "SiteTable",
    "StoreTable",
    "UnitTable",
    "WorkersTable",
]
