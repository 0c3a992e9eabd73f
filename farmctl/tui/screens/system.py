"""Screen 7: are picture, pollers, commands, signals and clock healthy, what does the doctor find, who set what?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import Any, ClassVar

import numpy as np
from rich.segment import Segment
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from typing_extensions import override

from farmctl.errors import FarmError
from farmctl.ports.feed import FleetImage
from farmctl.tui.asked import Asked
from farmctl.tui.columns import ages_s
from farmctl.tui.modals.order import Ask
from farmctl.tui.palette import Palette, palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.screens.vitals import clients, commands, feeds, pair, pollers
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Line, Lines, rule
from farmctl.tui.widgets.listing import Item, Listing
from farmctl.tui.words import STATE_GLYPHS, WORST_FIRST, clip, clock, fixed, percent, span

AGES_S = (5.0, 15.0, 60.0, 600.0)
MOST_MODELS = 12
EVERY_S = 5.0
DETAIL = 2
TWO_COLUMNS = 98
"""Below this the screen is one column; a replay's border takes two."""
SECTIONS = ("Doctor", "Settings", "Models")
DOCTOR_RANK = {"fail": 0, "warn": 1, "ok": 2}
Doctor = Callable[[], Awaitable[Sequence[Mapping[str, str]]]]
"""The findings: check, level, found, fix."""


class SystemPane(Pane):
    """Facts about picture and controller above; the doctor's findings, the settings or the models below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "section(-1)", show=False, id="system.left"),
        Binding("right", "section(1)", show=False, id="system.right"),
    ]

    def __init__(self, ask: Ask, doctor: Doctor | None) -> None:
        super().__init__(id="system")
        self._vitals = Asked(ask=ask, path="/v1/system", every_s=EVERY_S)
        self._config = Asked(ask=ask, path="/v1/config", every_s=float("inf"))
        self._doctor = doctor
        self._findings: Sequence[Mapping[str, str]] = ()
        self._examined = "no doctor here" if doctor is None else "the doctor is asked"
        self._section = SECTIONS[0]
        self._sight: Sight | None = None
        self._lines = Lines(id="system-lines")
        self._list = Listing("", "", "", id="system-list")
        self._detail = Lines(id="system-detail")

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._lines
        yield self._list
        yield self._detail

    def on_mount(self) -> None:
        """The doctor comes once, the controller is asked every few seconds."""
        self._list.set_interval(EVERY_S, self._again)

    def show(self, sight: Sight) -> None:
        """Facts about the picture itself."""
        first, self._sight = self._sight is None, sight
        if first and self._doctor is not None:
            self._examine()
        self._again()
        self._tell()

    def action_section(self, by: int) -> None:
        """Show the section beside."""
        self._section = SECTIONS[(SECTIONS.index(self._section) + by) % len(SECTIONS)]
        self._tell()

    @override
    def front(self) -> Widget:
        """The list."""
        return self._list

    @override
    def copied(self) -> str:
        """The line under the cursor."""
        return self._list.cursor_key or ""

    @override
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The findings or the settings."""
        settings: Sequence[Mapping[str, object]] = self._config.answer.get("rows", ())
        return self._findings if self._section == SECTIONS[0] else settings

    def _again(self) -> None:
        """Ask what is due, while this is the screen in front."""
        if self.display and self._sight is not None and self.is_on_screen:
            for asked in (self._vitals, self._config):
                if asked.due():
                    self._load(asked)

    @work
    async def _load(self, asked: Asked) -> None:
        await asked.fetch()
        self._tell()

    @work(exclusive=True, group="doctor")
    async def _examine(self) -> None:
        if self._doctor is None:
            return
        try:
            self._findings = sorted(await self._doctor(), key=lambda row: DOCTOR_RANK.get(row["level"], 0))
            self._examined = ""
        except FarmError as error:
            self._examined = str(error)
        self._tell()

    def _tell(self) -> None:
        sight = self._sight
        if sight is None:
            return
        palette, width = palette_of(self), self.size.width
        self._lines.put(list(_told(sight, self._vitals.answer, self._vitals.why, palette, width)))
        bad = sum(row["level"] != "ok" for row in self._findings)
        counts = {"Doctor": f" {bad} of {len(self._findings)}" if self._findings else "", "Settings": "", "Models": ""}
        names = [f"[{n}{counts[n]}]" if n == self._section else f"{n}{counts[n]}" for n in SECTIONS]
        items: dict[str, Callable[[], Iterator[Item]]] = {
            "Doctor": self._found,
            "Settings": self._set,
            "Models": lambda: _models(sight.image, palette),
        }
        self._list.put([*items[self._section]()], f"{'  '.join(names)}  left and right show the others")
        self._tell_line()

    def on_listing_cursor_moved(self) -> None:
        """Another line."""
        self._tell_line()

    def _tell_line(self) -> None:
        """The whole of the line under the cursor, which may be too long for it."""
        key, palette, width = self._list.cursor_key or "", palette_of(self), max(self.size.width - 2, 20)
        fix = next((row["fix"] for row in self._findings if f"{row['check']}: {row['found']}" == key), "")
        text = f"{key}{f' -> {fix}' if fix else ''}"
        self._detail.put([(Segment(f" {line}", palette.normal),) for line in wrap(text, width)[:DETAIL]])

    def _found(self) -> Iterator[Item]:
        palette = palette_of(self)
        if self._examined:
            yield Item(key="doctor", parts=((f" {self._examined}", palette.dim),))
        for row in self._findings:
            style = palette.normal if row["level"] == "ok" else palette.abnormal
            fix = f"  -> {row['fix']}" if row["fix"] else ""
            head = f" {row['level']:<5}{clip(row['check'], 22)} "
            yield Item(
                key=f"{row['check']}: {row['found']}", parts=((head, style), (row["found"] + fix, palette.normal))
            )

    def _set(self) -> Iterator[Item]:
        palette = palette_of(self)
        if self._config.why:
            yield Item(key="config", parts=((f" {self._config.why}", palette.dim),))
        rows: Sequence[Mapping[str, Any]] = self._config.answer.get("rows", ())
        for row in rows:
            text, origin = f" {row['key']:<34} {row['value']!s:<30} ", (str(row["origin"]), palette.dim)
            yield Item(key=f"{row['key']} = {row['value']}", parts=((text, palette.normal), origin))


def _told(sight: Sight, told: Mapping[str, Any], why: str, palette: Palette, width: int) -> Iterator[Line]:
    """Two columns: the picture and the polls at the left, the controller at the right."""
    if width < TWO_COLUMNS:
        yield from _link(sight, palette, width)
        for part in (pollers, commands, feeds) if told else ():
            yield from part(told, palette, width)
        return
    half = width // 2
    left = [*_link(sight, palette, half - 1), *_ages(sight.image, palette, half - 1)]
    right: list[Line] = []
    if told:
        for lines in (pollers, commands, feeds):
            right += lines(told, palette, width - half)
        right += clients(told, palette, width - half, sight.zone)
    else:
        right += [(Segment(rule("The controller", width - half), palette.dim),), pair("", why, palette)]
    for one, other in zip_longest(left, right, fillvalue=()):
        used = sum(len(segment.text) for segment in one)
        yield (*one, Segment(" " * max(half - used, 1)), *other)


def _link(sight: Sight, palette: Palette, width: int) -> Iterator[Line]:
    image, link, strip = sight.image, sight.link, sight.image.strip
    yield (Segment(rule("Link to the controller", width), palette.dim),)
    state = "up" if link.up else f"LOST for {span(link.age_s)}, try {link.attempt}: {link.why}"
    yield pair("link", clip(state, width - 11), palette, loud=not link.up)
    yield pair("picture", f"revision {image.rev}, {clock(image.at_ms)}Z, {sight.age_s:.1f} s here", palette)
    yield pair("signal", "never heard" if strip.signal_age_s is None else f"{span(strip.signal_age_s)} old", palette)
    yield pair("meter", strip.meter_quality, palette)
    armed = "armed" if strip.armed else "OBSERVE: nothing is commanded"
    yield pair("control", f"{strip.mode}, {armed}", palette)
    if strip.crew is not None:
        workers = [member for member in strip.crew.members if member.role == "worker"]
        told = f"{strip.crew.leader}; {len(workers)} workers, {sum(m.shards for m in workers)} shards held"
        yield pair("led by", clip(told, width - 11), palette)
    yield pair("role", "read-only" if sight.read_only else "may order", palette)


def _ages(image: FleetImage, palette: Palette, width: int) -> Iterator[Line]:
    yield (Segment(rule("Age of the last good poll", width), palette.dim),)
    ages = ages_s(image)
    total = max(len(ages), 1)
    known = ages[np.isfinite(ages)]
    low = 0.0
    for high in (*AGES_S, np.inf):
        count = int(((known >= low) & (known < high)).sum())
        name = f"{low:.0f}-{high:.0f} s" if np.isfinite(high) else f"over {low:.0f} s"
        yield pair(name, f"{count:>7,}  {percent(count / total):>4}", palette)
        low = high
    yield pair("never", f"{len(ages) - len(known):>7,}", palette)
    p99 = float(np.percentile(known, 99)) if len(known) else None
    yield pair("p99", f"{fixed(p99, 1):>7} s", palette)


def _models(image: FleetImage, palette: Palette) -> Iterator[Item]:
    models, states = image.words.get("model"), image.words.get("state")
    if models is None or states is None or not models.words or not states.words:
        return
    size = len(states.words)
    counts = np.bincount(models.codes * size + states.codes, minlength=len(models.words) * size)
    table = counts.reshape(len(models.words), size)
    shown = np.argsort(-table.sum(axis=1), kind="stable")[:MOST_MODELS].tolist()
    head = f" {'model':16}" + "".join(f"{word:>11}" for word in WORST_FIRST)
    yield Item(key="model", parts=((head, palette.head),))
    for model in shown:
        if not table[model].sum():
            continue
        row = [
            f"{STATE_GLYPHS[w]} {table[model, states.words.index(w)] if w in states.words else 0:,}"
            for w in WORST_FIRST
        ]
        name = models.words[model] or "unknown"
        yield Item(key=name, parts=((f" {clip(name, 16)}" + "".join(f"{cell:>11}" for cell in row), palette.normal),))
