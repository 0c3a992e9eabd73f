"""Which miners are listed, in what order, where the cursor is and what is marked; all by identity, never by place."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from farmctl.core.units import IntColumn, MaskColumn
from farmctl.ports.feed import FleetImage
from farmctl.tui.columns import BY_KEY

NOWHERE = -1


@dataclass(slots=True)
class Roster:
    """A view on one image after another: an index array, a cursor and marks that survive every new order."""

    image: FleetImage | None = None
    rows: IntColumn = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Row numbers in the order shown."""
    sort_key: str = "id"
    descending: bool = False
    cursor_id: str | None = None
    marks: set[str] = field(default_factory=set)
    _index: dict[str, int] | None = None
    """Id -> row, for one epoch, where the ids are not sorted; 50,000 entries would take 5 MB."""
    _place: int = 0
    """Where the cursor was last seen: it stays there if its miner leaves the list."""

    def take(self, image: FleetImage) -> None:
        """A new image; the order stays until `reorder`, but rows of another epoch mean nothing."""
        if self.image is None or self.image.epoch != image.epoch or len(self.image.ids) != len(image.ids):
            ordered = all(one < other for one, other in pairwise(image.ids))
            self._index = None if ordered else {miner: row for row, miner in enumerate(image.ids)}
            self.rows = np.arange(len(image.ids), dtype=np.int64)
        self.image = image

    def reorder(self, mask: MaskColumn | None) -> None:
        """Filter, then sort; equal values stay in the order of their ids."""
        if self.image is None:
            return
        place = self.place
        count = len(self.image.ids)
        rows = np.arange(count, dtype=np.int64) if mask is None else np.flatnonzero(mask)
        rank = BY_KEY[self.sort_key].rank(self.image)[rows]
        unknown = np.isnan(rank)
        order = np.argsort(-rank if self.descending else rank, kind="stable")
        # NaN is last either way: argsort puts it there for both signs.
        self.rows = rows[order] if unknown.any() or self.sort_key != "id" or self.descending else rows
        self._place = min(place, max(len(self.rows) - 1, 0))
        if self.place_of(self.cursor_id) is None:
            self.cursor_id = self.id_at(self._place)

    @property
    def place(self) -> int:
        """Where in the list the cursor is; the cursor follows its miner."""
        found = self.place_of(self.cursor_id)
        if found is not None:
            self._place = found
        return self._place

    def move_to(self, place: int) -> None:
        """Put the cursor on a place of the list."""
        self._place = min(max(place, 0), max(len(self.rows) - 1, 0))
        self.cursor_id = self.id_at(self._place)

    def id_at(self, place: int) -> str | None:
        """The miner at a place."""
        if self.image is None or not 0 <= place < len(self.rows):
            return None
        return self.image.ids[int(self.rows[place])]

    def row_of(self, miner_id: str | None) -> int | None:
        """A miner's row in the image."""
        if miner_id is None or self.image is None:
            return None
        if self._index is not None:
            return self._index.get(miner_id)
        row = bisect_left(self.image.ids, miner_id)
        return row if row < len(self.image.ids) and self.image.ids[row] == miner_id else None

    def place_of(self, miner_id: str | None) -> int | None:
        """A miner's place in the list; None where the filter hides it."""
        row = self.row_of(miner_id)
        if row is None:
            return None
        if self._place < len(self.rows) and self.rows[self._place] == row:
            return self._place
        found = np.flatnonzero(self.rows == row)
        return int(found[0]) if len(found) else None

    def toggle_mark(self) -> None:
        """Mark the miner under the cursor, or take its mark away."""
        if self.cursor_id is not None:
            self.marks ^= {self.cursor_id}

    def mark_range(self, first: int, last: int) -> None:
        """Mark every miner between two places, both included."""
        low, high = sorted((first, last))
        self.marks |= {miner for place in range(low, high + 1) if (miner := self.id_at(place)) is not None}

    def mark_all(self) -> None:
        """Mark every miner that is listed; if all are marked already, none."""
        if self.image is None:
            return
        listed = {self.image.ids[row] for row in self.rows.tolist()}
        self.marks = self.marks - listed if listed <= self.marks else self.marks | listed

    def marked_rows(self) -> IntColumn:
        """Rows of the marked miners, also of those that the filter hides."""
        found = (self.row_of(miner) for miner in self.marks)
        return np.array(sorted(row for row in found if row is not None), dtype=np.int64)
