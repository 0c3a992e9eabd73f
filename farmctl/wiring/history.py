"""The past of the site: telemetry files for all that is kept in steps, the journal for the site at one second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from typing_extensions import override

from farmctl.config.schema import FarmConfig
from farmctl.core.units import FloatColumn
from farmctl.engine.historian import Grouping
from farmctl.ports.history import History, HistoryLines
from farmctl.ports.series import UNKNOWN, SitePart
from farmctl.ports.store import RecordKind
from farmctl.report import source
from farmctl.report.case import SiteFacts, facts_of
from farmctl.report.series import Page, joined, pages
from farmctl.report.source import Journal
from farmctl.store.places import Database
from farmctl.store.telemetry.layout import Tier, tiers
from farmctl.store.telemetry.lines import MOST_POINTS, FileHistory, stepped
from farmctl.store.telemetry.reading import SITE, NoSuchSeriesError, SeriesName
from farmctl.wiring.fleet import Fleet
from farmctl.wiring.kept import KeptHistory, KnowsMiners
from farmctl.wiring.stores import place_of

GHS_PER_THS = 1_000.0
_SITE_COLUMNS = {
    "power_w": ("device_w", 1.0),
    "meter_w": ("meter_w", 1.0),
    "target_w": ("target_w", 1.0),
    "hash_ths": ("hash_ghs", 1 / GHS_PER_THS),
    "running": ("hashing", 1.0),
}
_PART_COLUMNS = {
    "power_w": (SitePart.POWER_W, 1.0),
    "hash_ths": (SitePart.HASH_GHS, 1 / GHS_PER_THS),
    "meter_w": (SitePart.METER_W, 1.0),
}


class SiteHistory(History):
    """Fills the History port."""

    def __init__(self, files: FileHistory, journal: Journal, step_s: int) -> None:
        """`step_s` is the shortest step of the files."""
        self._files = files
        self._journal = journal
        self._step_s = step_s

    @override
    async def lines(self, series: Sequence[str], from_ms: int, to_ms: int, step_s: int | None) -> HistoryLines:
        """See History; a step below that of the files is read from the journal, for the site and its parts only."""
        if step_s is None or step_s >= self._step_s:
            return await self._files.lines(series, from_ms, to_ms, step_s)
        names = [SeriesName.of(text) for text in dict.fromkeys(series)]
        single = [name.subject for name in names if not name.summed]
        if single:
            raise NoSuchSeriesError(
                f"{single[0]}: single miners are kept every {self._step_s} s, got a step of {step_s} s"
            )
        if (to_ms - from_ms) / 1000 / step_s > MOST_POINTS:
            raise NoSuchSeriesError(f"expected at most {MOST_POINTS} points: a longer step or a shorter time")
        found = await source.window(self._journal, from_ms, to_ms, frozenset({RecordKind.SERIES}))
        read = pages(found.records)
        facts = await facts_of(self._journal, read)
        edges = np.arange(from_ms // (step_s * 1000) * step_s * 1000, to_ms, step_s * 1000, dtype=np.int64)
        values: dict[str, FloatColumn] = {}
        for name in names:
            at_ms, line = _line(read, facts, name, from_ms, to_ms)
            values[f"{name.subject}.{name.column}"] = stepped(at_ms, line, edges, step_s, "power_w")
        return HistoryLines(step_s=step_s, source="journal", at_ms=edges, values=values)


def _line(
    read: Sequence[Page], facts: Sequence[SiteFacts], name: SeriesName, from_ms: int, to_ms: int
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], FloatColumn]:
    if name.subject == SITE:
        column, scale = _SITE_COLUMNS[name.column]
        series = joined(read, from_ms, to_ms)
        values = series.site[column]
        return series.at_ms, np.where(values == UNKNOWN, np.nan, values * scale)
    if name.column not in _PART_COLUMNS:
        raise NoSuchSeriesError(f"{name.subject}: the journal keeps {', '.join(_PART_COLUMNS)} of it")
    kind, scale = _PART_COLUMNS[name.column]
    label, _, wanted = name.subject.partition(":")
    key = "container" if label == "cont" else "owner"
    times, lines = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for known in facts:
        rows = [index for index, part in enumerate(known.body["parts"]) if part[key] == wanted]
        for each in read:
            if each.facts == known.seq and rows:
                times.append(each.page.parts_at_ms)
                figures = each.page.parts[kind, rows, :]
                known_w = np.where(figures == UNKNOWN, np.nan, figures * scale)
                lines.append(known_w.sum(axis=0))
    return np.concatenate(times), np.concatenate(lines)


def history_tiers(config: FarmConfig) -> tuple[Tier, Tier, Tier]:
    """What is kept, by the configuration."""
    kept = config.history
    return tiers(kept.step_s, kept.keep_days, kept.keep_minute_days, kept.keep_quarter_months)


class Books(Journal, KnowsMiners, Protocol):
    """A journal with the inventory beside it."""


def site_history(config: FarmConfig, books: Books) -> History:
    """The past of a site, also without its controller."""
    folder: Path = config.store.dir
    history = SiteHistory(FileHistory(folder, history_tiers(config)), books, config.history.step_s)
    place = place_of(config)
    return KeptHistory(history, config, place.dsn, books) if isinstance(place, Database) else history


def grouping_of(fleet: Fleet) -> Grouping:
    """Containers and owners of the rows."""
    rows = [fleet.keeper.seat_of(number).row for number in range(len(fleet.keeper.table))]
    containers = [f"cont:{row.container or row.circuit or '-'}" for row in rows]
    owners = [f"owner:{row.owner or '-'}" for row in rows]
    names = tuple(sorted({*containers, *owners}))
    number = {name: index for index, name in enumerate(names)}
    return Grouping(
        names=names,
        container_of=np.array([number[name] for name in containers], dtype=np.int16),
        owner_of=np.array([number[name] for name in owners], dtype=np.int16),
    )
