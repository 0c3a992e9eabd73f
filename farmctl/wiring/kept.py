"""The past as the workers' pages tell it, for the times that this process's own telemetry files know nothing of.

Whoever leads writes the files; the pages are everybody's. They know no meter, no target and no reasons.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import structlog
from typing_extensions import override

from farmctl.config.schema import FarmConfig
from farmctl.core.fleet import FleetTable
from farmctl.core.model import MinerState
from farmctl.core.units import HASHES_PER_TERAHASH, MS_PER_S, FloatColumn, IntColumn, MaskColumn
from farmctl.engine import pages
from farmctl.engine.fleet import FleetKeeper, Seat
from farmctl.errors import MalformedReplyError, StoreError
from farmctl.ports.history import History, HistoryLines
from farmctl.ports.store import InventoryRow
from farmctl.store.kept import KeptPage, kept_pages
from farmctl.store.telemetry.lines import stepped
from farmctl.store.telemetry.reading import SITE, SeriesName
from farmctl.wiring.fleet import shard_of

log = structlog.get_logger(__name__)

MOST_PAGES = 5_000
"""Some ten seconds of one core to unpack; a longer gap of many shards is filled from its begin on."""
SUMMED = frozenset({"power_w", "hash_ths", "running"})
SINGLE = frozenset({"power_w", "hash_ths", "temperature_c", "state", "step", "age_s"})
_RUNNING = (MinerState.HASHING, MinerState.THROTTLED)


class KnowsMiners(Protocol):
    """Where the inventory is."""

    async def inventory(self) -> Sequence[InventoryRow]:
        """Every miner."""
        ...


class KeptHistory(History):
    """Another history with its gaps filled from the database."""

    def __init__(self, history: History, config: FarmConfig, dsn: str, miners: KnowsMiners) -> None:
        self._history, self._config, self._dsn, self._miners = history, config, dsn, miners

    @override
    async def lines(self, series: Sequence[str], from_ms: int, to_ms: int, step_s: int | None) -> HistoryLines:
        """See History; where the database does not answer the gaps stay."""
        found = await self._history.lines(series, from_ms, to_ms, step_s)
        names = {text: SeriesName.of(text) for text in found.values}
        missing = [np.isnan(found.values[text]) for text, name in names.items() if _is_kept(name)]
        gap = np.flatnonzero(np.any(missing, axis=0)) if missing else np.zeros(0, dtype=np.int64)
        if not len(gap):
            return found
        begin_ms, end_ms = int(found.at_ms[gap[0]]), int(found.at_ms[gap[-1]]) + found.step_s * MS_PER_S
        try:
            kept = await kept_pages(self._dsn, begin_ms, end_ms, found.step_s, MOST_PAGES)
            rows = await self._miners.inventory() if kept else ()
        except StoreError as error:
            log.warning("kept_pages_not_read", error=str(error), effect="history has gaps")
            return found
        if not kept:
            return found
        filled = await asyncio.to_thread(self._filled, found, names, kept, rows)
        return HistoryLines(step_s=found.step_s, source=found.source, at_ms=found.at_ms, values=filled)

    def _filled(
        self, found: HistoryLines, names: Mapping[str, SeriesName], kept: Sequence[KeptPage],
        rows: Sequence[InventoryRow],
    ) -> dict[str, FloatColumn]:  # fmt: skip
        told = _Told(rows, self._config)
        for page in kept:
            told.take(page, found.step_s, [name for name in names.values() if _is_kept(name)])
        values = dict(found.values)
        for text, name in names.items():
            at_ms, figures = told.line(name)
            if len(at_ms):
                line = stepped(at_ms, figures, found.at_ms, found.step_s, name.column)
                values[text] = np.where(np.isnan(values[text]), line, values[text])
        return values


class _Told:
    """What pages say of the asked series, step by step."""

    def __init__(self, rows: Sequence[InventoryRow], config: FarmConfig) -> None:
        self._keeper = FleetKeeper()
        self._keeper.seat([Seat(row=row, ladder=None, node=0, group=0, commandable=False) for row in rows])
        self._rows = pages.rows_of(
            self._keeper, {row.miner_id: shard_of(config.workers.shard, row) for row in rows}
        )  # fmt: skip
        self._stale_ms = config.poll.seen_stale_s * MS_PER_S
        placed = [self._keeper.seat_of(row).row for row in range(len(self._keeper.table))]
        self._labels = {
            "cont": np.array([row.container or row.circuit or "-" for row in placed]),
            "owner": np.array([row.owner or "-" for row in placed]),
        }
        self._sums: dict[SeriesName, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        """Series -> step -> shard -> its part."""
        self._chosen: dict[tuple[SeriesName, str], IntColumn] = {}

    def take(self, page: KeptPage, step_s: int, names: Sequence[SeriesName]) -> None:
        """One page; one of miners that are not these any more is passed over."""
        rows = self._rows.get(page.shard)
        if rows is None:
            return
        try:
            pages.unpack(self._keeper, rows, page.packed)
        except MalformedReplyError:
            return
        step_ms = page.at_ms // (step_s * MS_PER_S) * step_s * MS_PER_S
        for name in names:
            mine = self._mine(name, page.shard)
            if len(mine):
                self._sums[name][step_ms][page.shard] = self._figure(name, mine, page.at_ms)

    def line(self, name: SeriesName) -> tuple[IntColumn, FloatColumn]:
        """Steps that every shard with miners of the subject has a page of: part of a sum would be a lie."""
        whole = sum(bool(len(self._mine(name, shard))) for shard in self._rows)
        steps = {at: parts for at, parts in self._sums[name].items() if len(parts) == whole}
        at_ms = sorted(steps)
        return np.array(at_ms, dtype=np.int64), np.array([sum(steps[at].values()) for at in at_ms], dtype=np.float64)

    def _mine(self, name: SeriesName, shard: str) -> IntColumn:
        """Rows of the series in this shard: looked for once, not at each of its thousand pages."""
        if (found := self._chosen.get((name, shard))) is None:
            rows = self._rows[shard]
            found = self._chosen[name, shard] = rows[self._of(name, rows)]
        return found

    def _of(self, name: SeriesName, rows: IntColumn) -> MaskColumn:
        if name.subject == SITE:
            return np.ones(len(rows), dtype=np.bool_)
        kind, colon, label = name.subject.partition(":")
        if colon and kind in self._labels:
            return np.asarray(self._labels[kind][rows] == label, dtype=np.bool_)
        return np.asarray(self._keeper.table.miner_id[rows] == name.subject, dtype=np.bool_)

    def _figure(self, name: SeriesName, rows: IntColumn, at_ms: int) -> float:
        table = self._keeper.table
        age_ms = at_ms - table.seen_ms[rows]
        fresh = (table.seen_ms[rows] >= 0) & (age_ms <= self._stale_ms)
        figures = np.where(fresh, _column(table, rows, name.column, age_ms), np.nan)
        return float(np.nansum(figures)) if name.summed else float(figures[0])


def _column(table: FleetTable, rows: IntColumn, column: str, age_ms: IntColumn) -> FloatColumn:
    match column:
        case "hash_ths":
            return np.asarray(table.hash_rate_hs[rows] / HASHES_PER_TERAHASH, dtype=np.float64)
        case "running":
            return np.isin(table.state[rows], _RUNNING).astype(np.float64)
        case "age_s":
            return np.asarray(age_ms / MS_PER_S, dtype=np.float64)
        case _:
            return np.asarray(getattr(table, column)[rows], dtype=np.float64)


def _is_kept(name: SeriesName) -> bool:
    return name.column in (SUMMED if name.summed else SINGLE)
