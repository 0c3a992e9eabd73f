"""Screen 1: are we where the grid wants us, and what is wrong?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.segment import Segment
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from typing_extensions import override

from farmctl.tui.listed import ALARM_HEAD, alarm_item, bar
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.trace import Trace
from farmctl.tui.widgets.lines import Lines
from farmctl.tui.widgets.listing import Item, Listing
from farmctl.tui.widgets.trend import Trend
from farmctl.tui.words import clip, megawatts

HIDDEN = ("SHELVED", "SUPPRESSED", "OUT_OF_SERVICE")
NAME = 8
LEGEND, LEGIBLE = ": ■ hashing · curtailed ! fault x offline", 68


class OverviewPane(Pane):
    """Trend and containers above, alarms below."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(id="overview")
        self._trend = Trend(trace, id="overview-trend")
        self._containers = Listing("Containers", id="overview-containers", empty="no container known")
        self._alarms = Listing("Alarms", ALARM_HEAD, "no alarm", id="overview-alarms")
        self._do = Lines(id="overview-do")
        self._sight: Sight | None = None

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        with Horizontal(id="overview-top"):
            yield self._trend
            yield self._containers
        yield self._alarms
        yield self._do

    def show(self, sight: Sight) -> None:
        """Worst container first; alarms that want somebody."""
        self._sight = sight
        palette, image = palette_of(self), sight.image
        self._trend.show()
        worst = sorted(image.containers, key=lambda box: (-_bad(box.states), box.name))
        room = max(self._containers.size.width - NAME - 22, 8)
        self._containers.put(
            [
                Item(
                    key=box.name,
                    parts=(
                        (f" {clip(box.name, NAME)} ", palette.normal),
                        *bar(dict(box.states), palette, room),
                        (f" {megawatts(box.power_kw):>7}", palette.normal),
                        (f" {_bad(box.states):>4} bad", palette.abnormal if _bad(box.states) else palette.dim),
                    ),
                )
                for box in worst
            ],
            f"Containers {len(worst)}, worst first{LEGEND if self._containers.size.width >= LEGIBLE else ''}",
        )
        open_alarms = [alarm for alarm in image.alarms if alarm.state not in HIDDEN]
        hidden = len(image.alarms) - len(open_alarms)
        self._alarms.put(
            [alarm_item(alarm, palette, sight.zone) for alarm in open_alarms],
            f"Alarms {len(open_alarms)}, unacknowledged first{f'; {hidden} shelved or suppressed' if hidden else ''}",
        )

        self._tell()

    def on_listing_cursor_moved(self) -> None:
        """Another alarm has another response."""
        self._tell()

    def _tell(self) -> None:
        """The whole response to the alarm under the cursor, which its line may be too narrow for."""
        palette, alarms = palette_of(self), () if self._sight is None else self._sight.image.alarms
        alarm = next((alarm for alarm in alarms if alarm.id == self._alarms.cursor_key), None)
        if alarm is None:
            self._do.put(())
            return
        pairs = (("do", alarm.response, palette.strong), ("else", alarm.consequence, palette.normal))
        self._do.put([(Segment(f" {name:5}", palette.dim), Segment(text, style)) for name, text, style in pairs])

    @override
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The alarms."""
        return () if self._sight is None else [asdict(alarm) for alarm in self._sight.image.alarms]

    @override
    def front(self) -> Widget:
        """The alarms."""
        return self._alarms

    @override
    def into(self) -> str:
        """The miners of a container."""
        key = self._containers.cursor_key
        return f"cont={key}" if self._containers.has_focus and key else ""

    @override
    def place(self) -> str:
        """The container under the cursor."""
        return self._containers.cursor_key or "" if self._containers.has_focus else ""

    @override
    def copied(self) -> str:
        """The alarm or the container under the cursor."""
        listing = self._containers if self._containers.has_focus else self._alarms
        return listing.cursor_key or ""


def _bad(states: object) -> int:
    counts = dict(states) if isinstance(states, dict) else {}
    return sum(int(counts.get(word, 0)) for word in ("fault", "offline", "unknown"))
