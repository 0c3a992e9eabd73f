"""Screen 2: where is it bad? One cell per miner, one block of lines per container, in the order of rack and slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from farmctl.core.units import IntColumn
from farmctl.ports.feed import FleetImage, Words
from farmctl.tui.columns import BY_KEY
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Lines, grounded
from farmctl.tui.words import STATE_GLYPHS, UNKNOWN, clip, fixed, megawatts

NAME = 9
METRICS = {"state": "", "temp": "Tmax C", "power": "W", "age": "age s"}
BOUNDS = {"temp": (50.0, 95.0), "power": (0.0, 6_000.0), "age": (0.0, 60.0)}
"""What the digits 0 to 9 span."""
COLUMN_OF = {"temp": "temp", "power": "power_w", "age": "age"}
HOT = 8
"""From this digit on a cell stands out."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """The miners of one container, in order."""

    name: str
    rows: IntColumn


class HeatMap(ScrollView, can_focus=True):
    """Glyph by state or digit by metric; the cursor is on a container."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False, id="map.up"),
        Binding("down,j", "move(1)", show=False, id="map.down"),
        Binding("pageup", "move(-5)", show=False, id="map.page_up"),
        Binding("pagedown", "move(5)", show=False, id="map.page_down"),
        Binding("m", "metric", "next metric", show=False, id="map.metric"),
    ]

    def __init__(self) -> None:
        super().__init__(id="map-cells")
        self.metric = "state"
        self.blocks: tuple[Block, ...] = ()
        self.cursor = 0
        self._image: FleetImage | None = None
        self._glyphs = np.empty(0, dtype="<U1")
        self._lines: list[tuple[int, int]] = []
        """Of every line: block, first miner in it."""
        self._laid_for: tuple[str, int] | None = None

    def show(self, image: FleetImage) -> None:
        """Paint the newest values."""
        self._image = image
        self._lay()
        self._glyphs = _glyphs(image, self.metric)
        self.refresh()

    def action_move(self, by: int) -> None:
        """Go to another container."""
        self.cursor = min(max(self.cursor + by, 0), max(len(self.blocks) - 1, 0))
        first = next((y for y, (block, _) in enumerate(self._lines) if block == self.cursor), 0)
        top = self.scroll_offset.y
        if not top <= first < top + self.size.height - 1:
            self.scroll_to(y=max(first - 1, 0), animate=False, immediate=True)
        self.refresh()
        self._tell_pane()

    def action_metric(self) -> None:
        """Show the next metric."""
        names = list(METRICS)
        self.metric = names[(names.index(self.metric) + 1) % len(names)]
        if self._image is not None:
            self.show(self._image)
        self._tell_pane()

    def on_resize(self) -> None:
        """Another width is another layout."""
        if self._image is not None:
            self.show(self._image)

    @override
    def render_line(self, y: int) -> Strip:
        """Part of one container."""
        width, palette = self.size.width, palette_of(self)
        at = y + self.scroll_offset.y
        if at >= len(self._lines):
            return grounded(self, Strip([]), width)
        number, first = self._lines[at]
        block = self.blocks[number]
        here = number == self.cursor
        name = clip(block.name or "(no cont)", NAME - 2) if first == 0 else " " * (NAME - 2)
        segments = [Segment(f"{'>' if here and first == 0 else ' '}{name} ", palette.strong if here else palette.dim)]
        cells = self._glyphs[block.rows[first : first + self._per_line]].tolist()
        run, style = "", palette.normal
        for cell in cells:
            wanted = self._style(cell)
            if wanted is not style and run:
                segments.append(Segment(run, style))
                run = ""
            style, run = wanted, run + cell
        segments.append(Segment(run, style))
        return grounded(self, Strip(segments), width)

    @property
    def _per_line(self) -> int:
        return max(self.size.width - NAME - 1, 8)

    def _style(self, cell: str) -> Style:
        palette = palette_of(self)
        if cell == STATE_GLYPHS["curtailed"]:
            return palette.curtailed
        if cell in "!x" or (cell.isdigit() and int(cell) >= HOT and self.metric != "power"):
            return palette.abnormal
        return palette.dim if cell == UNKNOWN else palette.normal

    def _lay(self) -> None:
        image = self._image
        wanted = ("" if image is None else image.epoch, self._per_line)
        if image is None or self._laid_for == wanted:
            return
        self._laid_for = wanted
        self.blocks = _blocks(image)
        per_line = self._per_line
        self._lines = [
            (number, first)
            for number, block in enumerate(self.blocks)
            for first in range(0, max(len(block.rows), 1), per_line)
        ]
        self.cursor = min(self.cursor, max(len(self.blocks) - 1, 0))
        self.virtual_size = Size(self.size.width, len(self._lines))

    def _tell_pane(self) -> None:
        pane = self.parent
        if isinstance(pane, MapPane):
            pane.tell()


class MapPane(Pane):
    """A line about the container under the cursor, and the cells."""

    def __init__(self) -> None:
        super().__init__(id="map")
        self._line = Lines(id="map-line")
        self.cells = HeatMap()
        self._sight: Sight | None = None

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._line
        yield self.cells

    @override
    def show(self, sight: Sight) -> None:
        """Newest values."""
        self._sight = sight
        self.cells.show(sight.image)
        self.tell()

    def tell(self) -> None:
        """Sum up the container under the cursor."""
        if self._sight is None:
            return
        palette, metric = palette_of(self), self.cells.metric
        low, high = BOUNDS.get(metric, (0.0, 0.0))
        legend = f"{METRICS[metric]} 0 = {low:.0f} ... 9 = {high:.0f}+" if metric != "state" else _legend()
        name = self._container()
        box = next((box for box in self._sight.image.containers if box.name == name), None)
        told = ""
        if box is not None:
            states = " ".join(f"{word} {count}" for word, count in box.states.items() if count)
            told = f"n {box.miners}  {states}  max {fixed(box.hottest_c, 0)} C  {megawatts(box.power_kw)} MW"
        self._line.put(
            [
                (Segment(f" {name or 'no container'}  ", palette.strong), Segment(told, palette.normal)),
                (Segment(f" m metric: {metric}   {legend}   enter = its miners", palette.dim),),
            ]
        )

    @override
    def front(self) -> Widget:
        """The cells."""
        return self.cells

    @override
    def into(self) -> str:
        """The miners of the container."""
        name = self._container()
        return f"cont={name}" if name else ""

    @override
    def copied(self) -> str:
        """The container."""
        return self._container()

    @override
    def place(self) -> str:
        """The container."""
        return self._container()

    def _container(self) -> str:
        blocks = self.cells.blocks
        return blocks[self.cells.cursor].name if blocks else ""


def _legend() -> str:
    return " ".join(f"{glyph} {word}" for word, glyph in STATE_GLYPHS.items())


def _blocks(image: FleetImage) -> tuple[Block, ...]:
    containers = image.words.get("container")
    if containers is None or not containers.words:
        return (Block(name="", rows=np.arange(len(image.ids))),) if image.ids else ()
    keys = [_rank(image.words[name]) for name in ("slot", "rack") if name in image.words]
    names = np.array(containers.words, dtype=np.str_)
    rank = np.argsort(np.argsort(names))[containers.codes]
    order = np.lexsort((*keys, rank))
    cuts = np.flatnonzero(np.diff(rank[order])) + 1
    return tuple(
        Block(name=str(names[containers.codes[rows[0]]]), rows=rows) for rows in np.split(order, cuts) if len(rows)
    )


def _rank(words: Words) -> IntColumn:
    names = np.array(words.words or ("",), dtype=np.str_)
    rank: IntColumn = np.argsort(np.argsort(names))[words.codes]
    return rank


def _glyphs(image: FleetImage, metric: str) -> np.ndarray:
    """A character per row."""
    if metric == "state":
        states = image.words.get("state")
        if states is None or not states.words:
            return np.full(len(image.ids), UNKNOWN)
        glyphs: np.ndarray = np.array([STATE_GLYPHS.get(word, UNKNOWN) for word in states.words])[states.codes]
        return glyphs
    values = BY_KEY[COLUMN_OF[metric]].rank(image)
    low, high = BOUNDS[metric]
    digit = np.clip(np.nan_to_num((values - low) / (high - low)) * 10, 0, 9).astype(np.int64)
    return np.where(np.isnan(values), UNKNOWN, np.array(list("0123456789"))[digit])
