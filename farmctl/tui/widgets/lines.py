"""Text that is painted line by line: no markup, no layout, no cost when nothing changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

Line = tuple[Segment, ...]


class Lines(Widget):
    """A fixed block of lines, each cut or padded to the width."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: tuple[Line, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def put(self, lines: Sequence[Sequence[Segment]]) -> None:
        """Show these lines; only those that differ are painted again."""
        fresh = tuple(tuple(line) for line in lines)
        before, self._lines = self._lines, fresh
        for y in range(max(len(before), len(fresh))):
            if (before[y] if y < len(before) else None) != (fresh[y] if y < len(fresh) else None):
                self.refresh(Region(0, y, self.size.width, 1))

    @override
    def render_line(self, y: int) -> Strip:
        """Paint one line on the widget's ground."""
        line = self._lines[y] if y < len(self._lines) else ()
        return grounded(self, Strip(line), self.size.width)


def grounded(widget: Widget, strip: Strip, width: int) -> Strip:
    """The strip at exactly a width, on the widget's own ground and text colours."""
    base = widget.visual_style.rich_style
    return strip.adjust_cell_length(width).apply_style(base)


def rule(title: str, width: int) -> str:
    """A panel's head: its title in a line."""
    return f"── {title} ".ljust(width, "─")[:width]
