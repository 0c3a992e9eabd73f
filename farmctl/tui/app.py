"""The app: strip above, one of seven screens, what was ordered and the keys below; it sees a Feed and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from rich.segment import Segment
from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.events import Key as KeyPressed
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input
from typing_extensions import override

from farmctl.errors import FarmError
from farmctl.ports.feed import Feed, FleetImage, LinkState
from farmctl.tui.acting import Acting
from farmctl.tui.columns import COLUMNS
from farmctl.tui.filtering import Filter
from farmctl.tui.intake import Arrived, Intake
from farmctl.tui.keys import BY_ACTION, KEYS, PAGES, bindings
from farmctl.tui.listed import job_line
from farmctl.tui.messages import LinkTold, OrderFailed, OrderTaken
from farmctl.tui.modals.reading import KEY_NAMES, MinerScreen, ReadScreen, help_lines
from farmctl.tui.palette import HMI_DARK, HMI_LIGHT, app_palette
from farmctl.tui.screens.alarms import AlarmsPane
from farmctl.tui.screens.events import EventsPane
from farmctl.tui.screens.map import MapPane
from farmctl.tui.screens.miners import MinersPane
from farmctl.tui.screens.overview import OverviewPane
from farmctl.tui.screens.pane import Pane
from farmctl.tui.screens.power import PowerPane
from farmctl.tui.screens.system import SystemPane
from farmctl.tui.sight import UP, Sight
from farmctl.tui.trace import Trace
from farmctl.tui.widgets.fleet_table import FleetTable
from farmctl.tui.widgets.lines import Lines
from farmctl.tui.widgets.strip import strip_lines
from farmctl.tui.words import span

FLUSH_S = 0.25
"""Newer images are painted at most four times a second (OPERATIONS section 4.5)."""
KEY_REST_S = 3.0
"""No list is sorted again so soon after a key, nor more often than that."""
LOUD = 2
"""Alarms down to this priority ring once."""
OPEN = ("UNACK",)


class FarmApp(App[None], inherit_bindings=False):
    """The glass of one site."""

    CSS_PATH = "farmctl.tcss"
    TITLE = "farmctl"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-narrow"), (100, "-normal"), (156, "-wide")]

    def __init__(
        self,
        feed: Feed,
        *,
        read_only: bool = False,
        keymap: Mapping[str, str] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keymap` gives other keys to binding ids; `now_s` is the local clock that ages are counted by."""
        super().__init__()
        self.feed = feed
        self.read_only = read_only
        self.who = ""
        self.latest: FleetImage | None = None
        self.filter = Filter()
        self.acting = Acting(self)
        self.page = PAGES[0]
        self.frozen = ""
        self._shown: FleetImage | None = None
        self._link: LinkState = UP
        self._at_s = 0.0
        self._now_s = now_s
        self._intake = Intake(now_s)
        self._trace = Trace()
        self._key_s = self._ordered_s = -KEY_REST_S
        self._before = self.page
        self._trail: list[tuple[str, Filter]] = []
        self._utc = True
        self._rung: set[str] | None = None
        self._keys_of = dict(keymap or {})
        self.table = MinersPane()
        self.alarms = AlarmsPane()

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Lines(id="strip")
        yield Lines(id="banner")
        with ContentSwitcher(initial=self.page, id="body"):
            yield OverviewPane(self._trace)
            yield MapPane()
            yield self.table
            yield self.alarms
            yield PowerPane(self._trace)
            yield EventsPane()
            yield SystemPane()
        yield Input(id="ask", select_on_focus=False)
        yield Lines(id="log")
        yield Lines(id="keys")

    def on_mount(self) -> None:
        """Themes, keys, the feed, the timers."""
        self.register_theme(HMI_DARK)
        self.register_theme(HMI_LIGHT)
        self.theme = HMI_DARK.name
        self.set_keymap(self._keys_of)
        self.run_worker(self.feed.run(self._image_in, self._link_in), name="feed")
        self.acting.ask_who()
        self.set_interval(FLUSH_S, self._flush)
        self.set_interval(1.0, self._paint_strip)
        self._paint_strip()
        self._to_front()

    # ------------------------------------------------------------ what comes in

    def _image_in(self, image: FleetImage) -> None:
        self._intake.put(image)
        if self.latest is None:
            self.call_next(self._flush)

    def _link_in(self, link: LinkState) -> None:
        self.post_message(LinkTold(link))

    def on_link_told(self, message: LinkTold) -> None:
        """The picture stays, dimmed, with its age; nothing can be ordered until the link is back."""
        back = message.link.up and not self._link.up
        self._link = message.link
        if back:
            self.acting.ask_who()
        self._paint_strip()
        self.refresh_bindings()

    def _flush(self) -> None:
        arrived = self._intake.take()
        if arrived is None:
            return
        self.latest, self._at_s = arrived.image, arrived.at_s
        self._trace.add(arrived.image)
        self.filter.settle(len(arrived.image.ids))
        self._ring(arrived.image)
        if self.frozen != "all":
            self._show(arrived)
        self._paint_strip()

    def _show(self, arrived: Arrived | None = None) -> None:
        """Show the screen in front; without an arrival, all of it again."""
        if arrived is not None or self.frozen != "all":
            self._shown = self.latest
        image = self._shown
        if image is None:
            return
        first = self.table.table.roster.image is None
        changed = None if arrived is None or first else arrived.changed
        pane = self.pane
        if pane is self.table:
            if first or changed is None:
                self.table.table.show(image, None)
            if first or self._may_reorder():
                self.reorder()
        pane.show(self._sight(image, changed))

    def reorder(self) -> None:
        """Filter and sort the miners anew."""
        image = self._shown
        if image is not None:
            self.table.table.roster.take(image)
            self.table.table.reorder(self.filter.mask(image, self.feed))
            self._ordered_s = self._now_s()

    def _may_reorder(self) -> bool:
        now_s = self._now_s()
        rested = now_s - max(self._key_s, self._ordered_s) >= KEY_REST_S
        return rested and not self.frozen and (self.filter.active or self.table.table.roster.sort_key != "id")

    def _sight(self, image: FleetImage, changed: object = None) -> Sight:
        return Sight(
            image=image,
            changed=changed,  # type: ignore[arg-type]
            trace=self._trace,
            link=self._link,
            age_s=self._now_s() - self._at_s,
            zone=self.zone,
            read_only=self.read_only,
            filter_text=self.filter.text,
            faults_only=self.filter.faults_only,
            frozen=self.frozen,
        )

    def _ring(self, image: FleetImage) -> None:
        loud = {a.id: a for a in image.alarms if a.priority <= LOUD and a.state in OPEN}
        fresh = set() if self._rung is None else loud.keys() - self._rung
        self._rung = set(loud)
        for alarm in (loud[key] for key in sorted(fresh)):
            self.bell()
            self.notify(f"{alarm.where}: {alarm.detail}. {alarm.response}", title=f"P{alarm.priority} {alarm.alarm}")
