"""A short list with a cursor that follows its item: alarms, events, orders, circuits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from typing_extensions import override

from farmctl.tui.palette import Palette, palette_of
from farmctl.tui.widgets.lines import grounded, rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a list."""

    key: str
    """Identity: the cursor stays with it."""
    parts: tuple[tuple[str, Style], ...]


class Listing(ScrollView, can_focus=True):
    """A title, a head and lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False, id="list.up"),
        Binding("down,j", "move(1)", show=False, id="list.down"),
        Binding("pageup", "move(-10)", show=False, id="list.page_up"),
        Binding("pagedown", "move(10)", show=False, id="list.page_down"),
        Binding("home", "move(-1000000000)", show=False, id="list.first"),
        Binding("end", "move(1000000000)", show=False, id="list.last"),
    ]

    class CursorMoved(Message):
        """The cursor is on another item."""

    def __init__(self, title: str, head: str = "", empty: str = "none", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.title = title
        self.head = head
        self._empty = empty
        self._items: tuple[Item, ...] = ()
        self.cursor_key: str | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """What is listed."""
        return self._items

    @property
    def place(self) -> int:
        """Where the cursor is; the first item where its own has gone."""
        return next((n for n, item in enumerate(self._items) if item.key == self.cursor_key), 0)

    def in_sight(self) -> tuple[Item, ...]:
        """The items whose lines are on the screen."""
        top = self.scroll_offset.y
        return self._items[top : top + max(self.size.height - self._top, 0)]

    def put(self, items: Sequence[Item], title: str | None = None, head: str | None = None) -> None:
        """List these."""
        place = self.place
        fresh = tuple(items)
        same = fresh == self._items and title in (None, self.title) and head in (None, self.head)
        if same:
            return
        self._items = fresh
        self.title = self.title if title is None else title
        self.head = self.head if head is None else head
        if all(item.key != self.cursor_key for item in fresh):
            self.cursor_key = fresh[min(place, len(fresh) - 1)].key if fresh else None
        self.virtual_size = Size(self.size.width, len(fresh) + self._top)
        self.refresh()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        if not self._items:
            return
        place = min(max(self.place + by, 0), len(self._items) - 1)
        self.cursor_key = self._items[place].key
        room, top = max(self.size.height - self._top, 1), self.scroll_offset.y
        if place < top or place >= top + room:
            self.scroll_to(y=place if place < top else place - room + 1, animate=False, immediate=True)
        self.refresh()
        self.post_message(self.CursorMoved())

    def on_click(self, event: Click) -> None:
        """A line takes the cursor."""
        if event.y >= self._top:
            self.action_move(self.scroll_offset.y + event.y - self._top - self.place)

    @override
    def render_line(self, y: int) -> Strip:
        """The title, the head, or one item."""
        width, palette = self.size.width, palette_of(self)
        if y == 0:
            style = palette.strong if self.has_focus else palette.dim
            return grounded(self, Strip([Segment(rule(self.title, width), style)]), width)
        if y < self._top:
            return grounded(self, Strip([Segment(self.head.ljust(width), palette.head)]), width)
        place = self.scroll_offset.y + y - self._top
        if place >= len(self._items):
            text = f"  {self._empty}" if place == 0 else ""
            return grounded(self, Strip([Segment(text, palette.dim)]), width)
        item = self._items[place]
        segments = [Segment(text, style) for text, style in item.parts]
        if item.key == self.cursor_key and self.has_focus:
            segments = [Segment(text, style if loud else palette.cursor) for text, style, loud in _parts(item, palette)]
            segments.append(Segment(" " * width, palette.cursor))
        return grounded(self, Strip(segments), width)

    @property
    def _top(self) -> int:
        return 2 if self.head else 1


def _parts(item: Item, palette: Palette) -> Iterator[tuple[str, Style, bool]]:
    """Text, style, and whether the style stays under the cursor: an alarm keeps its colour."""
    for text, style in item.parts:
        yield text, style, any(style.color == alarm.color and alarm.color for alarm in palette.alarms)
