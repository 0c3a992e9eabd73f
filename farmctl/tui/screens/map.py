"""Screen 2: where is it bad? One cell per miner, one block of lines per container, in the order of rack and slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
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
from farmctl.tui.columns import BY_KEY, number_of
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Lines, grounded
from farmctl.tui.words import STATE_GLYPHS, UNKNOWN, clip, fixed, megawatts

NAME = 9
WHOLE = -1
"""The cursor is on the container as a whole."""
UNDERLINED = Style(underline=True)
Piece = tuple[int, int, int]
"""Rack, and the places of the first and the last (excluded) of its miners."""
METRICS = {"state": "", "temp": "Tmax C", "power": "W", "hash": "TH/s", "age": "age s"}
BOUNDS = {"temp": (50.0, 95.0), "power": (0.0, 6_000.0), "hash": (0.0, 300.0), "age": (0.0, 60.0)}
"""What the digits 0 to 9 span."""
COLUMN_OF = {"temp": "temp", "power": "power_w", "hash": "ths", "age": "age"}
LOUD = frozenset({"temp", "age"})
"""Metrics of which much is bad."""
HOT = 8
"""From this digit on a cell stands out."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """The miners of one container, in order."""

    name: str
    rows: IntColumn
    racks: tuple[tuple[str, int, int], ...]
    """Name, first and last place (excluded) of every rack."""


class HeatMap(ScrollView, can_focus=True):
    """Glyph by state or digit by metric; the cursor is on a container."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False, id="map.up"),
        Binding("down,j", "move(1)", show=False, id="map.down"),
        Binding("pageup", "move(-5)", show=False, id="map.page_up"),
        Binding("pagedown", "move(5)", show=False, id="map.page_down"),
        Binding("left", "rack(-1)", show=False, id="map.left"),
        Binding("right", "rack(1)", show=False, id="map.right"),
        Binding("m", "metric", "next metric", show=False, id="map.metric"),
    ]

    def __init__(self) -> None:
        super().__init__(id="map-cells")
        self.metric = "state"
        self.blocks: tuple[Block, ...] = ()
        self.cursor = 0
        self.rack = WHOLE
        """Which rack of the container the cursor is on."""
        self._image: FleetImage | None = None
        self._glyphs = np.empty(0, dtype="<U1")
        self._lines: list[tuple[int, tuple[Piece, ...]]] = []
        """Of every line: block, and the racks in it."""
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
        self.rack = WHOLE
        first = next((y for y, (block, _) in enumerate(self._lines) if block == self.cursor), 0)
        top = self.scroll_offset.y
        if not top <= first < top + self.size.height - 1:
            self.scroll_to(y=max(first - 1, 0), animate=False, immediate=True)
        self.refresh()
        self._tell_pane()

    def action_rack(self, by: int) -> None:
        """Go to another rack of the container, or back to all of it."""
        if self.blocks:
            self.rack = min(max(self.rack + by, WHOLE), len(self.blocks[self.cursor].racks) - 1)
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
        number, pieces = self._lines[at]
        block = self.blocks[number]
        here, first = number == self.cursor, at == 0 or self._lines[at - 1][0] != number
        name = clip(block.name or "(no cont)", NAME - 2) if first else " " * (NAME - 2)
        segments = [Segment(f"{'>' if here and first else ' '}{name} ", palette.strong if here else palette.dim)]
        for rack, start, stop in pieces:
            chosen = here and rack == self.rack
            segments += self._cells(block.rows[start:stop], palette.mark + UNDERLINED if chosen else None)
            segments.append(Segment(" "))
        return grounded(self, Strip(segments), width)

    def _cells(self, rows: IntColumn, over: Style | None) -> list[Segment]:
        """A rack's miners, equal styles in one segment; `over` marks the rack that the cursor is on."""
        segments, run, style = [], "", palette_of(self).normal
        for cell in self._glyphs[rows].tolist():
            wanted = self._style(cell)
            if wanted is not style and run:
                segments.append(Segment(run, style + over if over else style))
                run = ""
            style, run = wanted, run + cell
        return [*segments, Segment(run, style + over if over else style)]

    @property
    def _per_line(self) -> int:
        return max(self.size.width - NAME - 1, 8)

    def _style(self, cell: str) -> Style:
        palette = palette_of(self)
        if cell == STATE_GLYPHS["curtailed"]:
            return palette.curtailed
        if cell in "!x" or (cell.isdigit() and int(cell) >= HOT and self.metric in LOUD):
            return palette.abnormal
        return palette.dim if cell == UNKNOWN else palette.normal

    def _lay(self) -> None:
        image = self._image
        wanted = ("" if image is None else image.epoch, self._per_line)
        if image is None or self._laid_for == wanted:
            return
        self._laid_for = wanted
        self.blocks = _blocks(image)
        self._lines = [
            (number, pieces)
            for number, block in enumerate(self.blocks)
            for pieces in _packed(block.racks, self._per_line)
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
        rack = self._rack()
        box = next((box for box in self._sight.image.containers if box.name == name), None)
        told = ""
        if box is not None:
            states = " ".join(f"{word} {count}" for word, count in box.states.items() if count)
            told = f"n {box.miners}  {states}  max {fixed(box.hottest_c, 0)} C  {megawatts(box.power_kw)} MW"
        if rack:
            told = self._rack_told(self._sight.image)
        place = " > ".join(part for part in (name, rack) if part) or "no container"
        self._line.put(
            [
                (Segment(f" {place}  ", palette.strong), Segment(told, palette.normal)),
                (Segment(f" {metric}: {legend}", palette.dim),),
                (Segment(" m next metric, left right = racks, enter = its miners, x = orders about it", palette.dim),),
            ]
        )

    @override
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The containers."""
        return () if self._sight is None else [asdict(box) for box in self._sight.image.containers]

    @override
    def front(self) -> Widget:
        """The cells."""
        return self.cells

    @override
    def into(self) -> str:
        """The miners of the container."""
        name, rack = self._container(), self._rack()
        return f"cont={name} rack={rack}" if name and rack else f"cont={name}" if name else ""

    @override
    def copied(self) -> str:
        """The container."""
        return self._container()

    @override
    def place(self) -> str:
        """The container."""
        return self._container()

    def _rack(self) -> str:
        """The rack that the cursor is on; empty for the whole container."""
        cells = self.cells
        return cells.blocks[cells.cursor].racks[cells.rack][0] if cells.blocks and cells.rack != WHOLE else ""

    def _rack_told(self, image: FleetImage) -> str:
        cells = self.cells
        block = cells.blocks[cells.cursor]
        _, start, stop = block.racks[cells.rack]
        rows = block.rows[start:stop]
        states = " ".join(f"{word} {count}" for word, count in _counted(image, rows) if count)
        hot, power_w = number_of(image, "temperature_c")[rows], number_of(image, "power_w")[rows]
        hottest = float(np.nanmax(hot)) if np.isfinite(hot).any() else None
        return f"n {len(rows)}  {states}  max {fixed(hottest, 0)} C  {megawatts(float(np.nansum(power_w)) / 1_000)} MW"

    def _container(self) -> str:
        blocks = self.cells.blocks
        return blocks[self.cells.cursor].name if blocks else ""


def _legend() -> str:
    return " ".join(f"{glyph} {word}" for word, glyph in STATE_GLYPHS.items())


def _blocks(image: FleetImage) -> tuple[Block, ...]:
    containers = image.words.get("container")
    if containers is None or not containers.words:
        rows = np.arange(len(image.ids))
        return (Block(name="", rows=rows, racks=(("", 0, len(rows)),)),) if image.ids else ()
    keys = [_rank(image.words[name]) for name in ("slot", "rack") if name in image.words]
    names = np.array(containers.words, dtype=np.str_)
    rank = np.argsort(np.argsort(names))[containers.codes]
    order = np.lexsort((*keys, rank))
    cuts = np.flatnonzero(np.diff(rank[order])) + 1
    return tuple(
        Block(name=str(names[containers.codes[rows[0]]]), rows=rows, racks=_racks(image, rows))
        for rows in np.split(order, cuts)
        if len(rows)
    )


def _racks(image: FleetImage, rows: IntColumn) -> tuple[tuple[str, int, int], ...]:
    words = image.words.get("rack")
    if words is None or not words.words:
        return (("", 0, len(rows)),)
    codes = words.codes[rows]
    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(rows)]
    return tuple((words.words[codes[start]], start, stop) for start, stop in pairwise(cuts))


def _packed(racks: tuple[tuple[str, int, int], ...], width: int) -> list[tuple[Piece, ...]]:
    """Racks by line, as many whole ones as fit, one column between two; one that is wider than a line is cut."""
    lines: list[tuple[Piece, ...]] = []
    used = width
    for number, (_, first, last) in enumerate(racks):
        for start in range(first, last, width):
            stop = min(start + width, last)
            if used + 1 + stop - start > width:
                lines.append(((number, start, stop),))
                used = stop - start
            else:
                lines[-1] = (*lines[-1], (number, start, stop))
                used += 1 + stop - start
    return lines


def _counted(image: FleetImage, rows: IntColumn) -> list[tuple[str, int]]:
    """States and how many of these rows are in each."""
    words = image.words.get("state")
    if words is None:
        return []
    return list(zip(words.words, np.bincount(words.codes[rows], minlength=len(words.words)).tolist(), strict=True))


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
