"""Screen 4: what needs a response now, what is the response, what is hidden and why?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from rich.segment import Segment
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from typing_extensions import override

from farmctl.errors import FarmError
from farmctl.ports.feed import AlarmView
from farmctl.tui.asked import Asked
from farmctl.tui.listed import ALARM_HEAD, MOVE_HEAD, alarm_item, move_item
from farmctl.tui.modals.miner import told
from farmctl.tui.modals.order import Ask
from farmctl.tui.palette import Palette, palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Line, Lines, rule
from farmctl.tui.widgets.listing import Item, Listing
from farmctl.tui.words import moment

OPEN, SHELVED, HIDDEN = ("UNACK", "ACK", "RTN_UNACK"), ("SHELVED",), ("SUPPRESSED", "OUT_OF_SERVICE")
SECTIONS: dict[str, tuple[str, ...]] = {
    "Open": OPEN,
    "Returned": ("RTN_UNACK",),
    "Shelved": SHELVED,
    "Suppressed": HIDDEN,
    "All": (),
    "History": ("none",),
    "KPI": ("none",),
}
"""Section -> states that it lists; empty: every one."""


HISTORY = "/v1/alarms/history?limit=200"
HISTORY_S = 5.0
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
        self._moves = Asked(ask=ask, path=HISTORY, every_s=HISTORY_S)
        self._list = Listing("Alarms", ALARM_HEAD, EMPTY, id="alarms-list")
        self._detail = Lines(id="alarms-detail")
        self._sight: Sight | None = None

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._list
        yield self._detail

    def show(self, sight: Sight) -> None:
        """The chosen section; what the others hold stands in the title."""
        self._sight = sight
        palette, alarms = palette_of(self), sight.image.alarms
        inside = [alarm for alarm in alarms if _inside(alarm, self._section)]
        titles = (self._titled(name, sum(_inside(alarm, name) for alarm in alarms)) for name in SECTIONS)
        flood = "  FLOOD: P3/P4 shown as counts" if sight.image.strip.flood else ""
        items, head = [alarm_item(alarm, palette, sight.zone) for alarm in inside], ALARM_HEAD
        if self._section == "History":
            items, head = [*self._past(sight.zone)], MOVE_HEAD
        self._list.put(items, f"{'  '.join(titles)}{flood}", head)
        self._tell()

    def action_section(self, by: int) -> None:
        """Show the section beside."""
        names = list(SECTIONS)
        self._section = names[(names.index(self._section) + by) % len(names)]
        if self._section == "KPI":
            self._load()
        if self._section == "History" and self._moves.due():
            self._load_history()
        if self._sight is not None:
            self.show(self._sight)

    @work(exclusive=True)
    async def _load(self) -> None:
        try:
            self._stats = await self._ask("GET", "/v1/alarms/stats", None)
        except FarmError as error:
            self._stats = {"no answer": str(error)}
        self._tell()

    @work(exclusive=True, group="history")
    async def _load_history(self) -> None:
        await self._moves.fetch()
        if self._sight is not None:
            self.show(self._sight)

    def _past(self, zone: str) -> Iterator[Item]:
        """Every change of an alarm, newest first."""
        palette = palette_of(self)
        if self._moves.why:
            yield Item(key="history", parts=((f"  {self._moves.why}", palette.dim),))
        rows: Sequence[Mapping[str, Any]] = self._moves.answer.get("rows", ())
        for row in rows:
            yield move_item(row, palette, zone)

    def _titled(self, name: str, count: int) -> str:
        text = name if name in ("All", "History", "KPI") else f"{name} {count}"
        return f"[{text}]" if name == self._section else text

    def on_listing_cursor_moved(self) -> None:
        """Tell about the alarm under the cursor."""
        self._tell()

    @property
    def chosen(self) -> AlarmView | None:
        """The alarm under the cursor."""
        alarms = () if self._sight is None else self._sight.image.alarms
        return next((alarm for alarm in alarms if alarm.id == self._list.cursor_key), None)

    def in_sight(self) -> list[AlarmView]:
        """Alarms whose lines are on the screen."""
        keys = {item.key for item in self._list.in_sight()}
        alarms = () if self._sight is None else self._sight.image.alarms
        return [alarm for alarm in alarms if alarm.id in keys]

    @override
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The alarms."""
        if self._sight is None:
            return ()
        return [asdict(alarm) for alarm in self._sight.image.alarms if _inside(alarm, self._section)]

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
        if self._section == "History":
            rows: Sequence[Mapping[str, Any]] = self._moves.answer.get("rows", ())
            row = next((row for row in rows if f"{row['seq']}" == self._list.cursor_key), None)
            self._detail.put([] if row is None else [*_move_told(row, palette, self.size.width)])
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


def _move_told(row: Mapping[str, Any], palette: Palette, width: int) -> Iterator[Line]:
    """All of one change, which its line may be too narrow for."""
    yield (Segment(rule(str(row["alarm"]), width), palette.dim),)
    pairs = (("from", f"{row['before']} to {row['state']}"), ("value", row["detail"]), ("by", row["owner"]))
    for name, text in (*pairs, ("note", row["note"]), ("record", f"{row['seq']} of the journal")):
        if text:
            yield (Segment(f" {name:8}", palette.dim), Segment(str(text), palette.normal))


def _inside(alarm: AlarmView, section: str) -> bool:
    states = SECTIONS[section]
    return not states or alarm.state in states
