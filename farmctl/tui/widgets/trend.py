"""Power against its target over time, in braille; four Sparklines cost twenty times as much."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from farmctl.tui.palette import palette_of
from farmctl.tui.trace import Chart, Trace, drawn
from farmctl.tui.widgets.lines import grounded, rule
from farmctl.tui.words import megawatts, span

AXIS = 8


class Trend(Widget):
    """A title, the chart, the time axis."""

    def __init__(self, trace: Trace, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._trace = trace
        self._chart: Chart | None = None
        self._drawn_for: tuple[float, int, int] | None = None

    def show(self) -> None:
        """Draw again if there is a newer sample or another size."""
        width, height = max(self.size.width - AXIS, 2), max(self.size.height - 2, 1)
        newest = self._trace.at_s[-1] if self._trace.at_s else 0.0
        if self._drawn_for != (newest, width, height):
            self._drawn_for = (newest, width, height)
            self._chart = drawn(self._trace, width, height)
            self.refresh()

    def on_resize(self) -> None:
        """Another size is another chart."""
        self.show()

    @override
    def render_line(self, y: int) -> Strip:
        """One line of the chart: the solid line over the dashed one."""
        palette, width, height = palette_of(self), self.size.width, self.size.height
        if y == 0:
            title = rule("Power MW: solid actual, dashed target", width)
            return grounded(self, Strip([Segment(title, palette.dim)]), width)
        if self._chart is None or y - 1 >= len(self._chart.actual):
            axis = f"-{span(self._trace.span_s())}".ljust(max(width - AXIS - 3, 0)) + "now"
            return grounded(self, Strip([Segment(" " * AXIS + axis, palette.dim)]), width)
        line = y - 1
        segments = [Segment(self._label(line, height - 2), palette.dim)]
        for solid, dashed in zip(self._chart.actual[line], self._chart.target[line], strict=True):
            segments.append(Segment(solid, palette.normal) if solid != " " else Segment(dashed, palette.target))
        return grounded(self, Strip(segments).simplify(), width)

    def _label(self, line: int, lines: int) -> str:
        chart = self._chart
        if chart is None or line not in (0, lines // 2, lines - 1):
            return " " * AXIS
        share = line / max(lines - 1, 1)
        return f"{megawatts(chart.high_kw - share * (chart.high_kw - chart.low_kw)):>{AXIS - 1}} "
