"""Screen 3: which machines are not normal, and why?"""

from __future__ import annotations

import re

import numpy as np
from rich.segment import Segment
from textual.app import ComposeResult
from textual.widget import Widget
from typing_extensions import override

from farmctl.core.units import HASHES_PER_TERAHASH, IntColumn
from farmctl.tui.columns import BY_KEY, number_of
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.fleet_table import FleetTable
from farmctl.tui.widgets.lines import Lines
from farmctl.tui.words import hash_rate, megawatts


class MinersPane(Pane):
    """A line that sums up what is listed, and the table."""

    def __init__(self) -> None:
        super().__init__(id="miners")
        self._summary = Lines(id="miners-summary")
        self.table = FleetTable(id="miners-table")
        self.table.moved = self.sum_up
        self._sight: Sight | None = None

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._summary
        yield self.table

    def show(self, sight: Sight) -> None:
        """Newer values in the present order."""
        self._sight = sight
        self.table.show(sight.image, sight.changed)
        self.sum_up()

    def sum_up(self) -> None:
        """Tell what is listed, what is hidden and why, where the cursor is, what is marked."""
        sight, roster = self._sight, self.table.roster
        if sight is None:
            return
        palette, image = palette_of(self), sight.image
        listed, total = len(roster.rows), len(image.ids)
        crumbs = " > ".join((image.strip.site, *re.findall(r"(?:^| )(?:circuit|cont|rack)=(\S+)", sight.filter_text)))
        wanted = " ".join(("FAULTS ONLY" if sight.faults_only else "", sight.filter_text)).strip()
        marked = roster.marked_rows()
        frozen = {"order": "ORDER FROZEN ", "all": "PICTURE FROZEN "}.get(sight.frozen, "")
        column = BY_KEY[roster.sort_key]
        self._summary.put(
            [
                (
                    Segment(f" {frozen}", palette.banner if frozen else palette.normal),
                    Segment(f"{crumbs}  ", palette.normal),
                    Segment(f"/{wanted} " if wanted else "all miners ", palette.strong),
                    Segment(f"{roster.place + 1 if listed else 0}/{listed:,}", palette.normal),
                    Segment(f" of {total:,}", palette.dim),
                    Segment(f" ({total - listed:,} hidden, f shows)" if sight.faults_only else "", palette.dim),
                    Segment(
                        f"  {_sum_mw(sight, roster.rows)} MW  {_sum_hash(sight, roster.rows)}",
                        palette.normal,
                    ),
                    Segment(
                        f"  marked {len(marked):,}, {_sum_mw(sight, marked)} MW" if len(marked) else "",
                        palette.strong,
                    ),
                    Segment(f"  by {column.title}{' down' if roster.descending else ''}", palette.dim),
                )
            ]
        )

    @override
    def front(self) -> Widget:
        """The table."""
        return self.table

    @override
    def copied(self) -> str:
        """The marked miners, else the one under the cursor."""
        roster = self.table.roster
        return "\n".join(sorted(roster.marks)) or roster.cursor_id or ""


def _sum_mw(sight: Sight, rows: IntColumn) -> str:
    return megawatts(float(np.nansum(number_of(sight.image, "power_w")[rows])) / 1_000)


def _sum_hash(sight: Sight, rows: IntColumn) -> str:
    return hash_rate(float(np.nansum(number_of(sight.image, "hash_rate_hs")[rows])) / HASHES_PER_TERAHASH)
