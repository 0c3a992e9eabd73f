"""Screen 4: what needs a response now, what is the response, what is hidden and why?"""

from __future__ import annotations

from rich.segment import Segment
from textual.app import ComposeResult
from textual.widget import Widget
from typing_extensions import override

from farmctl.ports.feed import AlarmView
from farmctl.tui.listed import ALARM_HEAD, alarm_item
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.lines import Lines, rule
from farmctl.tui.widgets.listing import Listing
from farmctl.tui.words import moment


class AlarmsPane(Pane):
    """All alarms, and everything about the one under the cursor."""

    def __init__(self) -> None:
        super().__init__(id="alarms")
        self._list = Listing("Alarms", ALARM_HEAD, "no alarm", id="alarms-list")
        self._detail = Lines(id="alarms-detail")
        self._sight: Sight | None = None

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._list
        yield self._detail

    @override
    def show(self, sight: Sight) -> None:
        """Active, returned, shelved, suppressed: counted in the title, all listed."""
        self._sight = sight
        palette, alarms = palette_of(self), sight.image.alarms
        counts = {
            "active": sum(a.state in ("UNACK", "ACK") for a in alarms),
            "returned": sum(a.state == "RTN_UNACK" for a in alarms),
            "shelved": sum(a.state == "SHELVED" for a in alarms),
            "suppressed": sum(a.state in ("SUPPRESSED", "OUT_OF_SERVICE") for a in alarms),
        }
        told = ", ".join(f"{count} {word}" for word, count in counts.items())
        flood = "  FLOOD: P3/P4 shown as counts" if sight.image.strip.flood else ""
        self._list.put([alarm_item(alarm, palette, sight.zone) for alarm in alarms], f"Alarms: {told}{flood}")
        self._tell()

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
    def copied(self) -> str:
        """The alarm, its place and its response."""
        alarm = self.chosen
        return "" if alarm is None else f"{alarm.alarm} {alarm.where} {alarm.detail}: {alarm.response}"

    def _tell(self) -> None:
        palette, alarm, zone = palette_of(self), self.chosen, self._sight.zone if self._sight else "UTC"
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
