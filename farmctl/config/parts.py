"""The tables that could be read, each on its own, so that one bad table hides no fault of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from farmctl.config.document import Document
from farmctl.config.explain import did_you_mean, explain, unknown_key
from farmctl.config.fault import Fault
from farmctl.config.schema import (
    SIGNAL_KINDS,
    ApiTable,
    CircuitTable,
    ControlTable,
    CredentialsTable,
    FarmConfig,
    HistoryTable,
    MeterTable,
    MetricsTable,
    NotifyTable,
    PollTable,
    ProgrammeTable,
    SettlementTable,
    SiteTable,
    StoreTable,
    WorkersTable,
)
from farmctl.config.schema.kinds import Table
from farmctl.config.schema.signals import AnySignal

Places = Mapping[str, Path | None]
"""Validation context: `BASE_DIR` and `CREDENTIALS_DIR`."""

_SPARE = {("circuit", "rating_kw"), ("circuit", "meter")}
"""Keys that may be left out without making a fault of something that is none."""

TableT = TypeVar("TableT", bound=Table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Names that live outside the configuration; None: not checked here."""

    drivers: frozenset[str] | None = None
    policies: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What could be read, if need be without its faulty keys; list items keep their number in the file."""

    document: Document
    site: SiteTable | None
    control: ControlTable | None
    poll: PollTable | None
    store: StoreTable | None
    workers: WorkersTable | None
    history: HistoryTable | None
    settlement: SettlementTable | None
    metrics: MetricsTable | None
    api: ApiTable | None
    programme: ProgrammeTable | None = None
    circuits: dict[int, CircuitTable] = field(default_factory=dict)
    meters: dict[int, MeterTable] = field(default_factory=dict)
    signals: dict[int, AnySignal] = field(default_factory=dict)
    notify: dict[int, NotifyTable] = field(default_factory=dict)
    credentials: dict[int, CredentialsTable] = field(default_factory=dict)

    def names(self, section: str, key: str = "name") -> list[tuple[int, str]]:
        """(number, name) of every item of a list of tables, also of those with faults."""
        items = self.document.values.get(section)
        tables = [item if isinstance(item, dict) else {} for item in items] if isinstance(items, list) else []
        named = ((number, table.get(key)) for number, table in enumerate(tables))
        return [(number, name) for number, name in named if isinstance(name, str)]

    def config(self) -> FarmConfig | None:
        """The whole, where no table that must be there is absent."""
        tables: dict[str, object] = {
            "site": self.site,
            "control": self.control,
            "poll": self.poll,
            "store": self.store,
            "workers": self.workers,
            "history": self.history,
            "settlement": self.settlement,
            "metrics": self.metrics,
            "api": self.api,
        }
        if any(table is None for table in tables.values()):
            return None
        lists = {
            "circuit": tuple(self.circuits.values()),
            "meter": tuple(self.meters.values()),
            "signal": tuple(self.signals.values()),
            "notify": tuple(self.notify.values()),
            "credentials": tuple(self.credentials.values()),
        }
        return FarmConfig.model_validate({**tables, **lists, "programme": self.programme})


def read_parts(document: Document, places: Places) -> tuple[Parts, list[Fault]]:
    """Validate every table; a fault in one leaves the others readable."""
    reader = _Reader(document, places)
    parts = Parts(
        document=document,
        site=reader.table("site", SiteTable),
        control=reader.table("control", ControlTable),
        poll=reader.table("poll", PollTable),
        store=reader.table("store", StoreTable),
        workers=reader.table("workers", WorkersTable),
        history=reader.table("history", HistoryTable),
        settlement=reader.table("settlement", SettlementTable),
        metrics=reader.table("metrics", MetricsTable),
        api=reader.table("api", ApiTable),
        programme=reader.table("programme", ProgrammeTable) if "programme" in document.values else None,
        circuits=reader.tables("circuit", CircuitTable),
        meters=reader.tables("meter", MeterTable),
        signals=reader.signals(),
        notify=reader.tables("notify", NotifyTable),
        credentials=reader.tables("credentials", CredentialsTable),
    )
    return parts, [*reader.faults, *_strangers(document)]


class _Reader:
    """Validates table by table and keeps what was wrong."""

    def __init__(self, document: Document, places: Places) -> None:
        self.document = document
        self.faults: list[Fault] = []
        self._places = places

    def table(self, name: str, model: type[TableT]) -> TableT | None:
        if name not in self.document.values and FarmConfig.model_fields[name].is_required():
            self.faults.append(self.document.fault((name,), f"missing; expected a table [{name}]"))
            return None
        return self._read((name,), model, self.document.values.get(name, {}))

    def tables(self, name: str, model: type[TableT]) -> dict[int, TableT]:
        items = self.document.values.get(name, [])
        if not isinstance(items, list):
            self.faults.append(self.document.fault((name,), f"expected tables, each headed [[{name}]]"))
            return {}
        read = ((number, self._read((name, number), model, item)) for number, item in enumerate(items))
        return {number: table for number, table in read if table is not None}

    def signals(self) -> dict[int, AnySignal]:
        """Signal sources, each by the model of its kind."""
        items = self.document.values.get("signal", [])
        if not isinstance(items, list):
            self.faults.append(self.document.fault(("signal",), "expected tables, each headed [[signal]]"))
            return {}
        read = {}
        for number, item in enumerate(items):
            kind = item.get("kind", "mqtt") if isinstance(item, dict) else "mqtt"
            if not isinstance(kind, str) or kind not in SIGNAL_KINDS:
                known = ", ".join(f'"{name}"' for name in SIGNAL_KINDS)
                hint = did_you_mean(kind, SIGNAL_KINDS) if isinstance(kind, str) else ""
                self.faults.append(self.document.fault(("signal", number, "kind"), f"expected one of {known}{hint}"))
                continue
            table = self._read(("signal", number), SIGNAL_KINDS[kind], item)
            if table is not None:
                read[number] = table
        return read

    def _read(self, path: tuple[str | int, ...], model: type[TableT], value: object) -> TableT | None:
        if not isinstance(value, dict):
            self.faults.append(self.document.fault(path, "expected a table"))
            return None
        try:
            return model.model_validate(value, context=dict(self._places))
        except ValidationError as error:
            self.faults.extend(explain(error, path, self.document))
            return self._salvaged(path, model, value, error)

    def _salvaged(
        self, path: tuple[str | int, ...], model: type[TableT], value: dict[str, object], error: ValidationError
    ) -> TableT | None:
        """The table without its faulty keys, so that the rest is still compared; None where they matter to that."""
        spare = set()
        for detail in error.errors(include_url=False):
            key = detail["loc"][0] if detail["loc"] else ""
            if len(detail["loc"]) != 1 or not (detail["type"] == "extra_forbidden" or (path[0], key) in _SPARE):
                return None
            spare.add(key)
        rest = {key: item for key, item in value.items() if key not in spare}
        return model.model_validate(rest, context=dict(self._places))


def _strangers(document: Document) -> Iterator[Fault]:
    for name, value in document.values.items():
        if name not in FarmConfig.model_fields:
            if isinstance(value, dict | list):
                hint = did_you_mean(name, FarmConfig.model_fields)
                yield document.fault((name,), f"unknown table{hint}")
            else:
                yield unknown_key((name,), document)
