"""Screen 4: what needs a response now, what is the response, what is hidden and why?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rich.segment import Segment
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from typing_extensions import override

from farmctl.errors import FarmError
from farmctl.ports.feed import AlarmView
from farmctl.tui.listed import ALARM_HEAD, alarm_item
from farmctl.tui.modals.miner import told
from farmctl.tui.modals.order import Ask
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Lines, rule
from farmctl.tui.widgets.listing import Listing
from farmctl.tui.words import moment

OPEN, SHELVED, HIDDEN = ("UNACK", "ACK", "RTN_UNACK"), ("SHELVED",), ("SUPPRESSED", "OUT_OF_SERVICE")
SECTIONS: dict[str, tuple[str, ...]] = {
    "Open": OPEN, "Returned": ("RTN_UNACK",), "Shelved": SHELVED, "Suppressed": HIDDEN, "All": (), "KPI": ("none",),
}  # fmt: skip
"""Section -> states that it lists; empty: every one."""


EMPTY = "none here; left and right show the other sections"


class AlarmsPane(Pane):
    """Alarms by section, and everything about the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "section(-1)", show=False, id="alarms.left"),
        Binding("right", "section(1)", show=False, id="alarms.right"),
    ]

    def __init__(self, ask: Ask) -> None:
        super().__init__(id="alarms")
        self._ask = ask
        self._section = "Open"
        self._stats: Mapping[str, Any] = {}
        self._list = Listing("Alarms", ALARM_HEAD, EMPTY, id="alarms-list")
        self._detail = Lines(id="alarms-detail")
        self._sight: Sight | None = None

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._list
        yield self._detail

    @override
    def show(self, sight: Sight) -> None:
        """The chosen section; what the others hold stands in the title."""
        self._sight = sight
        palette, alarms = palette_of(self), sight.image.alarms
        inside = [alarm for alarm in alarms if _inside(alarm, self._section)]
        titles = (self._titled(name, sum(_inside(alarm, name) for alarm in alarms)) for name in SECTIONS)
        flood = "  FLOOD: P3/P4 shown as counts" if sight.image.strip.flood else ""
        self._list.put([alarm_item(alarm, palette, sight.zone) for alarm in inside], f"{'  '.join(titles)}{flood}")
        self._tell()

    def action_section(self, by: int) -> None:
        """Show the section beside."""
        names = list(SECTIONS)
        self._section = names[(names.index(self._section) + by) % len(names)]
        if self._section == "KPI":
            self._load()
        if self._sight is not None:
            self.show(self._sight)

    @work(exclusive=True)
    async def _load(self) -> None:
        try:
            self._stats = await self._ask("GET", "/v1/alarms/stats", None)
        except FarmError as error:
            self._stats = {"no answer": str(error)}
        self._tell()

    def _titled(self, name: str, count: int) -> str:
        text = name if name in ("All", "KPI") else f"{name} {count}"
        return f"[{text}]" if name == self._section else text

    def on_listing_cursor_moved(self) -> None:
        """Tell about the alarm under the cursor."""
        self._tell()

    @property
    def chosen(self) -> AlarmView | None:
        """The alarm under the cursor."""
        alarms = () if self._sight is None else self._sight.image.alarms
        return next((alarm for alarm in alarms if alarm.id == self._list.cursor_key), None)

    @override
    def front(self) -> Widget:
        """The list."""
        return self._list

    @override
    def into(self) -> str:
        """The miners of the place that the alarm names."""
        alarm, sight = self.chosen, self._sight
        if alarm is None or sight is None:
            return ""
        if any(box.name == alarm.where for box in sight.image.containers):
            return f"cont={alarm.where}"
        return f"circuit={alarm.where}" if any(c.name == alarm.where for c in sight.image.circuits) else ""

    @override
    def place(self) -> str:
        """The place of the alarm."""
        return "" if self.chosen is None else self.chosen.where

    @override
    def copied(self) -> str:
        """The alarm, its place and its response."""
        alarm = self.chosen
        return "" if alarm is None else f"{alarm.alarm} {alarm.where} {alarm.detail}: {alarm.response}"

    def _tell(self) -> None:
        palette, alarm, zone = palette_of(self), self.chosen, self._sight.zone if self._sight else "UTC"
        if self._section == "KPI":
            stats = [(Segment(f" {line}", palette.normal),) for line in told(self._stats) if "schema" not in line]
            self._detail.put([(Segment(rule("How the alarms do", self.size.width), palette.dim),), *stats])
            return
        head = (Segment(rule("Response" if alarm is None else alarm.alarm, self.size.width), palette.dim),)
        if alarm is None:
            self._detail.put([head])
            return
        pairs = (
            ("do", alarm.response),
            ("cause", alarm.cause),
            ("else", alarm.consequence),
            ("runbook", alarm.runbook),
            ("who", " ".join(part for part in (alarm.owner, alarm.note) if part)),
            ("until", moment(alarm.shelved_until, zone) if alarm.shelved_until else ""),
            ("data", "" if alarm.valid else "not valid now: the state is held"),
        )
        lines = [
            (Segment(f" {name:8}", palette.dim), Segment(text, palette.strong if name == "do" else palette.normal))
            for name, text in pairs
            if text
        ]
        self._detail.put([head, *lines])


def _inside(alarm: AlarmView, section: str) -> bool:
    states = SECTIONS[section]
    return not states or alarm.state in states
