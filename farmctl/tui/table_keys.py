"""The keys of the miners table: marks, columns, order."""

from __future__ import annotations

from farmctl.tui.glass import GlassScreen
from farmctl.tui.modals.choices import ColumnsScreen
from farmctl.tui.widgets.fleet_table import FleetTable


class TableKeys:
    """A part of the app: Textual looks for what a key does on the app itself."""

    glass: GlassScreen

    def action_mark(self) -> None:
        """Mark the miner under the cursor and go on."""
        self.glass.miners.table.roster.toggle_mark()
        self.glass.miners.table.action_move(1)

    def action_mark_range(self) -> None:
        """Mark from the last mark, as listed, to the cursor."""
        table = self.glass.miners.table
        places = [place for miner in table.roster.marks if (place := table.roster.place_of(miner)) is not None]
        here = table.roster.place
        table.roster.mark_range(min(places, key=lambda place: abs(place - here), default=here), here)
        self.glass.show_again()

    def action_mark_all(self) -> None:
        """Mark everything that is listed."""
        self.glass.miners.table.roster.mark_all()
        self.glass.show_again()

    def action_faults(self) -> None:
        """Faults only, or all."""
        self.glass.turn_faults()

    def action_columns(self) -> None:
        """Choose columns."""

        def chosen(keys: tuple[str, ...] | None) -> None:
            if keys:
                self.glass.miners.table.choose(keys)

        self.glass.app.push_screen(ColumnsScreen([column.key for column in self.glass.miners.table.columns]), chosen)

    def action_turn(self) -> None:
        """Turn the order round."""
        self._sort_by(self.glass.miners.table.roster.sort_key)

    def action_sort(self, by: int) -> None:
        """Sort by the column beside."""
        keys = [column.key for column in self.glass.miners.table.columns]
        now = self.glass.miners.table.roster.sort_key
        self._sort_by(keys[(keys.index(now) + by) % len(keys)] if now in keys else keys[0])

    def on_fleet_table_sort_asked(self, message: FleetTable.SortAsked) -> None:
        """A head was clicked."""
        self._sort_by(message.key)

    def _sort_by(self, key: str) -> None:
        roster = self.glass.miners.table.roster
        roster.descending = not roster.descending if roster.sort_key == key else False
        roster.sort_key = key
        self.glass.reorder()
