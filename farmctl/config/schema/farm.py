"""The whole file, and its JSON schema."""

from __future__ import annotations

import json

from pydantic import Field

from farmctl.config.schema.circuits import CircuitTable, MeterTable
from farmctl.config.schema.kinds import Table
from farmctl.config.schema.notify import NotifyTable
from farmctl.config.schema.programme import ProgrammeTable
from farmctl.config.schema.records import HistoryTable, SettlementTable
from farmctl.config.schema.services import ApiTable, CredentialsTable, MetricsTable, StoreTable, WorkersTable
from farmctl.config.schema.signals import SignalTable
from farmctl.config.schema.site import ControlTable, PollTable, SiteTable

SCHEMA_ID = "farmctl-config-v1"


class FarmConfig(Table):
    """The configuration of one site (farm.toml)."""

    site: SiteTable
    """What the site is."""
    control: ControlTable = Field(default_factory=ControlTable)
    """How it is steered."""
    poll: PollTable = Field(default_factory=PollTable)
    """How its miners are asked."""
    circuit: tuple[CircuitTable, ...] = ()
    """The limit tree; without any the site is one circuit of its rated power."""
    meter: tuple[MeterTable, ...] = ()
    """Meters."""
    signal: tuple[SignalTable, ...] = ()
    """Grid signal sources; without any the site is its own master."""
    store: StoreTable = Field(default_factory=StoreTable)
    """Where the journal lives."""
    workers: WorkersTable = Field(default_factory=WorkersTable)
    """How several processes share the site."""
    history: HistoryTable = Field(default_factory=HistoryTable)
    """What is kept of every miner."""
    settlement: SettlementTable = Field(default_factory=SettlementTable)
    """What energy and hashes are worth."""
    metrics: MetricsTable = Field(default_factory=MetricsTable)
    """Where Prometheus scrapes."""
    api: ApiTable = Field(default_factory=ApiTable)
    """The control API."""
    notify: tuple[NotifyTable, ...] = ()
    """Who is told."""
    credentials: tuple[CredentialsTable, ...] = ()
    """Logins of the miners."""
    programme: ProgrammeTable | None = None
    """Headquarters: sites that share the figure of this one; left out: a site with miners of its own."""


def schema_text() -> str:
    """The JSON schema as it is shipped in configs/schemas/config.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return json.dumps({**schema, **FarmConfig.model_json_schema()}, indent=2, sort_keys=True) + "\n"
