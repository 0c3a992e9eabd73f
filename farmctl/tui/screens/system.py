"""Screen 7: is what we see fresh, and which machines answer how late?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
from rich.segment import Segment
from textual import work
from textual.app import ComposeResult
from textual.widget import Widget
from typing_extensions import override

from farmctl.errors import FarmError
from farmctl.ports.feed import FleetImage
from farmctl.tui.columns import ages_s
from farmctl.tui.modals.order import Ask
from farmctl.tui.palette import Palette, palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Line, Lines, rule
from farmctl.tui.widgets.listing import Item, Listing
from farmctl.tui.words import STATE_GLYPHS, WORST_FIRST, clip, clock, fixed, percent, span

AGES_S = (5.0, 15.0, 60.0, 600.0)
MOST_MODELS = 12


class SystemPane(Pane):
    """Link, ages of the polls, states by model and firmware."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(id="system")
        self._ask = ask
        self._asked = False
        self._lines = Lines(id="system-lines")
        self._settings = Listing("Settings and where they come from", "", "asking the controller", id="system-config")

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._lines
        yield self._settings

    @override
    def show(self, sight: Sight) -> None:
        """Facts about the picture itself."""
        self._lines.put(list(_told(sight, palette_of(self), self.size.width)))
        if not self._asked:
            self._asked = True
            self._load()

    @override
    def front(self) -> Widget:
        """The settings."""
        return self._settings

    @override
    def copied(self) -> str:
        """The setting under the cursor."""
        return self._settings.cursor_key or ""

    @work(exclusive=True)
    async def _load(self) -> None:
        try:
            rows = (await self._ask("GET", "/v1/config", None))["rows"]
        except FarmError as error:
            self._settings.put((), f"Settings: {error}")
            return
        palette = palette_of(self)
        items = [
            Item(
                key=f"{row['key']} = {row['value']}",
                parts=(
                    (f" {row['key']:<34} {row['value']!s:<30} ", palette.normal),
                    (str(row["origin"]), palette.dim),
                ),
            )
            for row in rows
        ]
        self._settings.put(items, f"Settings {len(items)}, and where each comes from")


def _told(sight: Sight, palette: Palette, width: int) -> Iterator[Line]:
    """Link and ages side by side, then the models."""
    half = width // 2
    left, right = [*_link(sight, palette, half - 1)], [*_ages(sight.image, palette, width - half)]
    for one, other in zip_longest(left, right, fillvalue=()):
        used = sum(len(segment.text) for segment in one)
        yield (*one, Segment(" " * max(half - used, 1)), *other)
    yield (Segment(rule("Miners by model and state", width), palette.dim),)
    yield from _models(sight.image, palette)


def _link(sight: Sight, palette: Palette, width: int) -> Iterator[Line]:
    image, link, strip = sight.image, sight.link, sight.image.strip
    yield (Segment(rule("Link to the controller", width), palette.dim),)
    state = "up" if link.up else f"LOST for {span(link.age_s)}, try {link.attempt}: {link.why}"
    yield _pair("link", clip(state, width - 11), palette, palette.normal if link.up else palette.strong)
    yield _pair("picture", f"revision {image.rev}, {clock(image.at_ms)}Z, {sight.age_s:.1f} s here", palette)
    yield _pair("epoch", image.epoch, palette)
    yield _pair("signal", "never heard" if strip.signal_age_s is None else f"{span(strip.signal_age_s)} old", palette)
    yield _pair("meter", strip.meter_quality, palette)
    armed = "armed" if strip.armed else "OBSERVE: nothing is commanded"
    yield _pair("control", f"{strip.mode}, {armed}", palette)
    yield _pair("role", "read-only" if sight.read_only else "may order", palette)


def _pair(name: str, text: str, palette: Palette, style: object = None) -> Line:
    shown = palette.strong if style is palette.strong else palette.normal
    return (Segment(f" {name:10}", palette.dim), Segment(text, shown))


def _ages(image: FleetImage, palette: Palette, width: int) -> Iterator[Line]:
    yield (Segment(rule("Age of the last good poll", width), palette.dim),)
    ages = ages_s(image)
    total = max(len(ages), 1)
    known = ages[np.isfinite(ages)]
    low = 0.0
    for high in (*AGES_S, np.inf):
        count = int(((known >= low) & (known < high)).sum())
        name = f"{low:.0f}-{high:.0f} s" if np.isfinite(high) else f"over {low:.0f} s"
        yield _pair(name, f"{count:>7,}  {percent(count / total):>4}", palette)
        low = high
    yield _pair("never", f"{len(ages) - len(known):>7,}", palette)
    p99 = float(np.percentile(known, 99)) if len(known) else None
    yield _pair("p99", f"{fixed(p99, 1)} s", palette)


def _models(image: FleetImage, palette: Palette) -> Iterator[Line]:
    models, states = image.words.get("model"), image.words.get("state")
    if models is None or states is None or not models.words or not states.words:
        yield _pair("unknown", "", palette)
        return
    size = len(states.words)
    counts = np.bincount(models.codes * size + states.codes, minlength=len(models.words) * size)
    table = counts.reshape(len(models.words), size)
    shown = np.argsort(-table.sum(axis=1), kind="stable")[:MOST_MODELS].tolist()
    shown = [model for model in shown if table[model].sum()]
    yield (Segment(f" {'model':16}" + "".join(f"{word:>10}" for word in WORST_FIRST), palette.head),)
    for model in shown:
        row = [
            f"{STATE_GLYPHS[w]} {table[model, states.words.index(w)] if w in states.words else 0:,}"
            for w in WORST_FIRST
        ]
        name = models.words[model] or "unknown"
        yield (Segment(f" {name:16.16}" + "".join(f"{cell:>10}" for cell in row), palette.normal),)
