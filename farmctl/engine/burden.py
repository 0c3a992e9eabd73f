"""What rows may draw at worst, as their worker knows it: what a share must hold before anything more is raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from farmctl.core.fleet import NO_LADDER, UNKNOWN_STEP
from farmctl.core.model import Command
from farmctl.core.units import MS_PER_S, NEVER_MS, FloatColumn, IntColumn, MaskColumn
from farmctl.engine.fleet import FleetKeeper

STALE_S = 30.0
"""A miner that was asked so long after its last answer may have gone anywhere by itself."""
UNKNOWN_W = 4_000.0
"""A miner without any ladder counts as a large one."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A raise that was let through and is not seen yet."""

    step: int
    power_w: float
    at_ms: int


class Burden:
    """Worst draws by row; reads the columns of one keeper."""

    def __init__(self, keeper: FleetKeeper) -> None:
        self._keeper = keeper
        self._open: dict[int, _Open] = {}
        self._from_ms = np.full(len(keeper.table), NEVER_MS, dtype=np.int64)
        """Looks before this moment prove nothing: another worker held the row then."""

    def forget(self, rows: IntColumn) -> None:
        """These rows were claimed anew."""
        for row in rows.tolist():
            self._open.pop(row, None)
        self._from_ms[rows] = max(int(self._keeper.table.tried_ms.max(initial=NEVER_MS)), NEVER_MS)

    def is_known(self, rows: IntColumn) -> bool:
        """Every row was looked at since it was claimed, with success or without."""
        return bool((self._keeper.table.tried_ms[rows] > self._from_ms[rows]).all())

    def raised(self, commands: Sequence[Command]) -> None:
        """These were let through to the wire."""
        for command in commands:
            row = self._keeper.row_of[command.miner]
            self._open[row] = _Open(command.step, self._scaled_w(row, command), int(self._keeper.table.tried_ms[row]))

    def worst_w(self, rows: IntColumn, up: Sequence[Command] = ()) -> float:
        """Of these rows together, W, with the raises of `up` carried out."""
        worst_w = self._each_w(rows)
        place = {row: index for index, row in enumerate(rows.tolist())}
        for row, still in list(self._open.items()):
            if self._is_seen(row, still):
                del self._open[row]
            elif row in place:
                worst_w[place[row]] = max(worst_w[place[row]], still.power_w)
        for command in up:
            index = place[self._keeper.row_of[command.miner]]
            worst_w[index] = max(worst_w[index], self._scaled_w(int(rows[index]), command))
        return float(worst_w.sum())

    def beyond(self, rows: IntColumn, site_w: float) -> list[int]:
        """Rows to put to sleep so that the rest fits these rows' part of `site_w`, by nameplate, the best stay."""
        full_w, full_hs = self._full()
        all_w = float(full_w.sum())
        room_w = site_w * float(full_w[rows].sum()) / all_w if all_w > 0 else 0.0
        table = self._keeper.table
        order = rows[np.lexsort((table.miner_id[rows], -full_hs[rows] / full_w[rows], ~table.protected[rows]))]
        stays = np.cumsum(full_w[order]) <= room_w
        can = (table.ladder[order] != NO_LADDER) & (table.step[order] != 0)
        return [int(row) for row in order[~stays & can]]

    def _each_w(self, rows: IntColumn) -> FloatColumn:
        """Worst of each row: its step's draw where that is known and fresh, its last draw, else everything."""
        table, book = self._keeper.table, self._keeper.book
        full_w, _ = self._full()
        ladder, step = table.ladder[rows], table.step[rows]
        stepped = (ladder != NO_LADDER) & (step != UNKNOWN_STEP)
        nominal_w = np.full(len(rows), np.nan)
        nominal_w[stepped] = book.power_w[ladder[stepped], step[stepped]] * table.power_scale[rows][stepped]
        seen_w = table.power_w[rows]
        known_w = np.where(stepped, nominal_w, seen_w)
        stale: MaskColumn = ~(table.tried_ms[rows] - table.seen_ms[rows] <= STALE_S * MS_PER_S)
        worst: FloatColumn = np.where(np.isnan(known_w) | stale, full_w[rows], known_w)
        return worst

    def _full(self) -> tuple[FloatColumn, FloatColumn]:
        """Draw and hash rate of every row of the table at its top, W and H/s."""
        table, book = self._keeper.table, self._keeper.book
        full_w, full_hs = np.full(len(table), UNKNOWN_W), np.zeros(len(table))
        has = table.ladder != NO_LADDER
        top = book.steps[table.ladder[has]] - 1
        full_w[has] = book.power_w[table.ladder[has], top] * table.power_scale[has]
        full_hs[has] = book.hash_rate_hs[table.ladder[has], top]
        return full_w, full_hs

    def _scaled_w(self, row: int, command: Command) -> float:
        return command.point.power_w * float(self._keeper.table.power_scale[row])

    def _is_seen(self, row: int, still: _Open) -> bool:
        """Telemetry shows the step, or the device said no, since the raise was let through."""
        table = self._keeper.table
        shown = int(table.step[row]) == still.step and int(table.seen_ms[row]) > still.at_ms
        return shown or int(table.refused_ms[row]) > still.at_ms
