"""The one owner of the fleet's columns: readings in, frozen pictures out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from farmctl.core.fleet import NO_LADDER, UNKNOWN_STEP, FleetTable, LadderBook
from farmctl.core.model import Ladder, MinerId, MinerState, PowerSource
from farmctl.core.units import MS_PER_S, NEVER_MS
from farmctl.ports.devices import Reading
from farmctl.ports.store import InventoryRow

SCALE_WEIGHT = 0.2
SCALE_BOUNDS = (0.7, 1.3)
SCALE_GRAIN = 0.005
"""The learned scale moves in grains: a smaller one would reorder equal miners at every poll."""
SETTLED_S = 30.0
"""A reading teaches the scale only this long after the last command."""
HASH_GRAIN = 1e6
LASTING = frozenset({"miner_id", "node", "group", "tier", "protected"})
"""Columns that only `seat` writes, for a new table each time: they serve every picture as they are. The names alone are
128 of the 260 bytes of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Everything about a miner that does not come from polling."""

    row: InventoryRow
    ladder: Ladder | None
    node: int
    group: int
    commandable: bool


class FleetKeeper:
    """Columns with one writer. A row number holds until `seat` is called again."""

    def __init__(self) -> None:
        """Start without miners."""
        self.table = FleetTable.empty(0)
        self.book = LadderBook.of([])
        self.row_of: dict[MinerId, int] = {}
        self._seats: list[Seat] = []
        self._steps: list[Mapping[str, int]] = []
        self._watts: list[list[float]] = []
        self._full_hs: list[float] = []
        self._number: list[int] = []
        self._ladder_number: dict[Ladder, int] = {}
        self._maintained: frozenset[str] = frozenset()
        self._lasting: dict[str, np.ndarray] = {}

    def seat_of(self, row: int) -> Seat:
        """What the inventory says of a row."""
        return self._seats[row]

    def seat(self, seats: Sequence[Seat]) -> None:
        """Index the fleet anew; what was seen of a miner that stays is kept."""
        before, rows_before = self.table, self.row_of
        self._seats = sorted(seats, key=lambda s: s.row.miner_id)
        self.row_of = {seat.row.miner_id: row for row, seat in enumerate(self._seats)}
        self._ladder_number = {}
        for placed in self._seats:
            if placed.ladder is not None:
                self._ladder_number.setdefault(placed.ladder, len(self._ladder_number))
        self._stack()
        table = FleetTable.empty(len(self._seats))
        stay = [miner for miner in self.row_of if miner in rows_before]
        here = np.array([self.row_of[m] for m in stay], dtype=np.int64)
        there = np.array([rows_before[m] for m in stay], dtype=np.int64)
        for column in fields(FleetTable):
            getattr(table, column.name)[here] = getattr(before, column.name)[there]
        for row, seat in enumerate(self._seats):
            table.ladder[row] = NO_LADDER if seat.ladder is None else self._ladder_number[seat.ladder]
            table.miner_id[row] = seat.row.miner_id
            table.node[row] = seat.node
            table.group[row] = seat.group
            table.tier[row] = seat.row.tier
            table.protected[row] = seat.row.protected
            table.commandable[row] = seat.commandable
        self.table = table
        self._lasting = {name: getattr(table, name) for name in LASTING}
        for lasting in self._lasting.values():
            lasting.flags.writeable = False
        self._number = [int(number) for number in table.ladder]
        self._mark_maintained()

    def learn_ladder(self, row: int, ladder: Ladder) -> None:
        """A device published its own operating points."""
        old = self._seats[row]
        if old.ladder == ladder:
            return
        if ladder not in self._ladder_number:
            self._ladder_number[ladder] = len(self._ladder_number)
            self._stack()
        number = self._ladder_number[ladder]
        # Every miner tells its own copy of the same points: one is kept.
        self._seats[row] = replace(old, ladder=self.book.ladders[number])
        self.table.ladder[row] = self._number[row] = number

    def moved(self, row: int, *, host: str, ports: Mapping[str, int]) -> InventoryRow:
        """A miner answers at another place; what the inventory says of it from now on."""
        seat = self._seats[row]
        self._seats[row] = replace(seat, row=replace(seat.row, host=host, ports=dict(ports)))
        return self._seats[row].row

    def allow(self, row: int, *, commandable: bool) -> None:
        """A miner's identity was proved, or doubted."""
        self.table.commandable[row] = commandable

    def maintain(self, containers: Sequence[str]) -> None:
        """These containers, and no others, are in maintenance."""
        wanted = frozenset(containers)
        if wanted == self._maintained:
            return
        self._maintained = wanted
        self._mark_maintained()

    def seen(self, row: int, reading: Reading, now_ms: int) -> None:
        """Write one good poll; plain floats: a numpy function on one number costs more than the parse."""
        table = self.table
        number = self._number[row]
        power_w, source = reading.power_w, reading.power_source
        step = self._step(number, reading)
        # NaN, or 0 W beside hashes: a miner without a meter that says 0 has shed nothing.
        if power_w != power_w or (power_w == 0 and reading.hash_rate_hs > 0):  # noqa: PLR0124
            power_w, source = self._estimated_w(number, reading), PowerSource.NAMEPLATE
        elif step > 0:
            self._learn_scale(row, number, step, reading, now_ms)
        table.power_w[row] = _whole(power_w)
        table.power_source[row] = source
        table.hash_rate_hs[row] = _whole(reading.hash_rate_hs / HASH_GRAIN) * HASH_GRAIN
        table.temperature_c[row] = _whole(reading.temperature_c * 10.0) / 10.0
        table.step[row] = step
        table.state[row] = self._state(number, step, reading.state)
        table.uptime_s[row] = reading.uptime_s
        table.seen_ms[row] = now_ms
        table.tried_ms[row] = now_ms

    def missed(self, row: int, now_ms: int) -> None:
        """A poll failed; what was known stays, and ages."""
        self.table.tried_ms[row] = now_ms

    def sent(self, row: int, now_ms: int) -> None:
        """A command went to the wire."""
        self.table.sent_ms[row] = now_ms

    def travel_s(self, row: int, step: int) -> float:
        """How long an awake miner of this kind takes to a point, s; 0 where nothing is known of it."""
        number = self._number[row]
        if number == NO_LADDER:
            return 0.0
        return (self.book.down_s if step == 0 else self.book.trim_s).item(number)

    def drawn_w(self, row: int) -> float:
        """What a miner drew when it was last heard, W; NaN where that is unknown."""
        return self.table.power_w.item(row)

    def point_w(self, row: int, step: int) -> float:
        """What a miner draws at a point of its ladder, W; NaN where it has none."""
        number = self._number[row]
        if number == NO_LADDER:
            return math.nan
        watts = self._watts[number][step]
        return watts * self.table.power_scale.item(row) if step > 0 else watts

    def acked(self, row: int, now_ms: int) -> None:
        """The device said yes."""
        self.table.acked_ms[row] = now_ms

    def refused(self, row: int, now_ms: int) -> None:
        """The device said no, or nothing."""
        self.table.refused_ms[row] = now_ms

    def freeze(self) -> FleetTable:
        """A copy that nobody can write to."""
        moving = {
            column.name: _frozen(getattr(self.table, column.name))
            for column in fields(FleetTable)
            if column.name not in LASTING
        }
        return FleetTable(**moving, **self._lasting)

    def _mark_maintained(self) -> None:
        held = [seat.row.container in self._maintained for seat in self._seats]
        self.table.maintained[:] = np.array(held, dtype=np.bool_)

    def _stack(self) -> None:
        self.book = LadderBook.of(list(self._ladder_number))
        self._steps = [_settings(ladder) for ladder in self._ladder_number]
        self._watts = [[point.power_w for point in ladder.points] for ladder in self._ladder_number]
        self._full_hs = [ladder.points[-1].hash_rate_hs for ladder in self._ladder_number]

    def _step(self, number: int, reading: Reading) -> int:
        if number == NO_LADDER:
            return UNKNOWN_STEP
        if reading.state is MinerState.CURTAILED:
            return 0
        return self._steps[number].get(reading.setting or "", UNKNOWN_STEP)

    def _state(self, number: int, step: int, state: MinerState) -> MinerState:
        """Below its top step a hashing miner is throttled, whatever the firmware calls it."""
        below = number != NO_LADDER and 0 < step < len(self._watts[number]) - 1
        return MinerState.THROTTLED if below and state is MinerState.HASHING else state

    def _estimated_w(self, number: int, reading: Reading) -> float:
        """A device without a power figure: its ladder, scaled by the hash rate."""
        if number == NO_LADDER or math.isnan(reading.hash_rate_hs):
            return math.nan
        sleep_w, full_w, full_hs = self._watts[number][0], self._watts[number][-1], self._full_hs[number]
        if reading.state is MinerState.CURTAILED or full_hs <= 0:
            return sleep_w
        share = min(reading.hash_rate_hs / full_hs, SCALE_BOUNDS[1])
        return sleep_w + (full_w - sleep_w) * share

    def _learn_scale(self, row: int, number: int, step: int, reading: Reading, now_ms: int) -> None:
        if reading.state is not MinerState.HASHING and reading.state is not MinerState.THROTTLED:
            return
        sent_ms = self.table.sent_ms.item(row)
        if sent_ms != NEVER_MS and now_ms - sent_ms <= SETTLED_S * MS_PER_S:
            return
        old = self.table.power_scale.item(row)
        new = old + SCALE_WEIGHT * (reading.power_w / self._watts[number][step] - old)
        if abs(new - old) >= SCALE_GRAIN:
            grained = round(new / SCALE_GRAIN) * SCALE_GRAIN
            self.table.power_scale[row] = min(max(grained, SCALE_BOUNDS[0]), SCALE_BOUNDS[1])


def _frozen(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _whole(value: float) -> float:
    """Rounded to a whole number; what is not finite stays as it is."""
    return float(round(value)) if math.isfinite(value) else value


def _settings(ladder: Ladder) -> Mapping[str, int]:
    """Step of every setting a device may name; `full` and `percent:100` both mean the top."""
    steps = {point.setting: step for step, point in enumerate(ladder.points)}
    top = len(ladder.points) - 1
    return {**steps, "full": top, "percent:100": top}
