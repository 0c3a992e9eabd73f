"""The miners table: 50,000 live rows on the Line API, because DataTable takes seconds per update at that size."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from typing_extensions import override

from farmctl.core.units import IntColumn, MaskColumn
from farmctl.ports.feed import FleetImage
from farmctl.tui.columns import BY_KEY, Column, ages_s, shown_at, word_of
from farmctl.tui.palette import palette_of
from farmctl.tui.roster import Roster
from farmctl.tui.widgets.lines import grounded
from farmctl.tui.words import STATE_GLYPHS, UNKNOWN, clip

HEADER = 1
GUTTER = 3
"""Mark, state glyph, gap."""
STALE_S = 15.0
SCROLLED = 3
"""A cursor that leaves the screen scrolls it by one part of this many."""


class FleetTable(ScrollView, can_focus=True):
    """Rows of a roster; knows what is visible and paints only that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False, id="table.up"),
        Binding("down,j", "move(1)", show=False, id="table.down"),
        Binding("pageup", "page(-1)", show=False, id="table.page_up"),
        Binding("pagedown", "page(1)", show=False, id="table.page_down"),
        Binding("home", "move(-1000000000)", show=False, id="table.first"),
        Binding("end", "move(1000000000)", show=False, id="table.last"),
        Binding("left", "scroll_left", show=False, id="table.left"),
        Binding("right", "scroll_right", show=False, id="table.right"),
    ]

    class SortAsked(Message):
        """A column's head was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.roster = Roster()
        self.columns: tuple[Column, ...] = shown_at(0)
        self._chosen = False
        self._cells: tuple[tuple[Column, np.ndarray | None], ...] = ()
        self._ages = np.empty(0)
        self.moved: Callable[[], None] = lambda: None
        """Called with every move of the cursor: by message, the summary would be painted one frame late."""

    def show(self, image: FleetImage, changed: IntColumn | None) -> None:
        """Show newer values in the same order; `changed` None: anything may have."""
        self.roster.take(image)
        self._bind()
        self._fit()
        if changed is None:
            self.refresh()
            return
        top = self.scroll_offset.y
        visible = self.roster.rows[top : top + self.size.height]
        for place in np.flatnonzero(np.isin(visible, changed)).tolist():
            self._refresh_place(top + place)

    def reorder(self, mask: MaskColumn | None) -> None:
        """A new filter or order; the cursor stays on its miner and the miner stays in sight."""
        inside = self._in_sight(self.roster.place)
        self.roster.reorder(mask)
        self._fit()
        if inside:
            self._follow()
        self.refresh()

    def choose(self, keys: tuple[str, ...]) -> None:
        """Show these columns."""
        self.columns = tuple(BY_KEY[key] for key in keys if key in BY_KEY) or self.columns
        self._chosen = True
        self._bind()
        self._fit()
        self.refresh()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        before = self.roster.place
        self.roster.move_to(before + by)
        self._follow()
        self._refresh_place(before)
        self._refresh_place(self.roster.place)
        self.moved()

    def action_page(self, by: int) -> None:
        """Move the cursor by a screen."""
        self.action_move(by * max(self.size.height - HEADER - 1, 1))

    def on_resize(self) -> None:
        """Another width shows other columns, unless a person has chosen them."""
        if not self._chosen:
            self.columns = shown_at(self.size.width)
            self._bind()
            self._fit()

    def on_click(self, event: Click) -> None:
        """A row takes the cursor; a head sorts."""
        if event.y >= HEADER:
            self.action_move(self.scroll_offset.y + event.y - HEADER - self.roster.place)
            return
        x = event.x + self.scroll_offset.x - GUTTER
        for column in self.columns:
            if 0 <= x < column.width:
                self.post_message(self.SortAsked(column.key))
                return
            x -= column.width + 1

    @override
    def render_line(self, y: int) -> Strip:
        """The head, or one miner."""
        width, left = self.size.width, self.scroll_offset.x
        place = self.scroll_offset.y + y - HEADER
        strip = self._head() if y < HEADER else self._row(place)
        return grounded(self, strip.crop(left, left + width), width)

    def _head(self) -> Strip:
        palette, roster = palette_of(self), self.roster
        titles = []
        for column in self.columns:
            arrow = ("v" if roster.descending else "^") if column.key == roster.sort_key else ""
            title = clip(f"{column.title}{arrow}", column.width)
            titles.append(title.rstrip().rjust(column.width) if column.right else title)
        return Strip([Segment(" " * GUTTER + " ".join(titles), palette.head)])

    def _row(self, place: int) -> Strip:
        roster, image = self.roster, self.roster.image
        if image is None or not 0 <= place < len(roster.rows):
            return Strip([])
        row = int(roster.rows[place])
        palette = palette_of(self)
        miner_id, state = image.ids[row], word_of(image, "state", row)
        stale = not bool(self._ages[row] <= STALE_S)
        style = palette.dim if stale and state not in ("fault", "offline") else palette.state(state)
        text = " ".join(self._cell(column, numbers, row) for column, numbers in self._cells)
        glyph = UNKNOWN if stale and state != "offline" else STATE_GLYPHS.get(state, UNKNOWN)
        marked = miner_id in roster.marks
        if miner_id == roster.cursor_id:
            cursor = palette.cursor if self.has_focus else palette.idle_cursor
            return Strip([Segment(f"{'*' if marked else ' '}{glyph} {text}", cursor + Style(bold=marked))])
        return Strip([Segment("*" if marked else " ", palette.mark), Segment(f"{glyph} {text}", style)])

    def _cell(self, column: Column, numbers: np.ndarray | None, row: int) -> str:
        image = self.roster.image
        if numbers is not None:
            return column.shown(float(numbers[row])).rjust(column.width)[: column.width]
        if image is None:
            return " " * column.width
        return clip(word_of(image, column.word, row) if column.word else image.ids[row], column.width)

    def _bind(self) -> None:
        image = self.roster.image
        if image is None:
            return
        self._cells = tuple((c, None if c.number is None else c.number(image)) for c in self.columns)
        self._ages = ages_s(image)

    def _fit(self) -> None:
        width = GUTTER + sum(column.width + 1 for column in self.columns)
        size = Size(width, len(self.roster.rows) + HEADER)
        if size != self.virtual_size:
            self.virtual_size = size

    def _in_sight(self, place: int) -> bool:
        top = self.scroll_offset.y
        return top <= place < top + max(self.size.height - HEADER - self.scrollbar_size_horizontal, 1)

    def _follow(self) -> None:
        """Scroll so that the cursor is in sight, by a part of the screen: a scroll paints every line, a move two."""
        place, top = self.roster.place, self.scroll_offset.y
        room = max(self.size.height - HEADER - self.scrollbar_size_horizontal, 1)
        if place < top:
            self.scroll_to(y=max(min(place, top - room // SCROLLED), 0), animate=False, immediate=True)
        elif place >= top + room:
            self.scroll_to(y=max(place - room + 1, top + room // SCROLLED), animate=False, immediate=True)

    def _refresh_place(self, place: int) -> None:
        y = place - self.scroll_offset.y + HEADER
        if HEADER <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))
