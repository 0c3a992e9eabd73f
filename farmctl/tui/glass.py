"""The one screen behind everything: what it is told, how the person wants to see it, and the painting of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from rich.segment import Segment
from textual.app import ComposeResult
from textual.events import Key as KeyPressed
from textual.screen import Screen
from textual.widgets import ContentSwitcher
from typing_extensions import override

from farmctl.core.units import IntColumn
from farmctl.errors import RefusedError
from farmctl.ports.feed import AlarmView, Feed, FleetImage, LinkState
from farmctl.ports.replay import PastFeed
from farmctl.tui.chrome import WAITING, banner, keys_line, last_order, terminal_title, title
from farmctl.tui.filtering import Filter
from farmctl.tui.intake import Arrived, Intake
from farmctl.tui.keys import PAGES, PROGRAMME, Key
from farmctl.tui.menu import STALE, Hand, selector_of
from farmctl.tui.palette import app_palette
from farmctl.tui.prompt import Prompt
from farmctl.tui.screens.alarms import AlarmsPane
from farmctl.tui.screens.events import EventsPane
from farmctl.tui.screens.map import MapPane
from farmctl.tui.screens.miners import MinersPane
from farmctl.tui.screens.overview import OverviewPane
from farmctl.tui.screens.pane import Screenful
from farmctl.tui.screens.power import PowerPane
from farmctl.tui.screens.programme import ProgrammePane
from farmctl.tui.screens.system import Doctor, SystemPane
from farmctl.tui.sight import UP, Sight
from farmctl.tui.trace import Trace
from farmctl.tui.widgets.lines import Lines
from farmctl.tui.widgets.strip import strip_lines

FLUSH_S = 0.25
"""Newer images are painted at most four times a second (OPERATIONS section 4.5)."""
KEY_REST_S = 3.0
"""No list is sorted again so soon after a key, nor more often than that."""
LOUD = 2
"""Alarms down to this priority ring once."""
REFUSAL_S = 15.0


class GlassScreen(Screen[None]):
    """Strip, banner, seven screens and that of headquarters, last order, keys."""

    def __init__(
        self,
        feed: Feed,
        now_s: Callable[[], float],
        keymap: Mapping[str, str],
        *,
        read_only: bool,
        player: PastFeed | None = None,
        doctor: Doctor | None = None,
    ) -> None:
        """`player` is the same feed, where it is one of the past; `doctor` examines site and host."""
        super().__init__(classes="" if player is None else "-replay")
        self.feed = feed
        self.player = player
        self.latest: FleetImage | None = None
        self.read_only = read_only or player is not None
        self.page = PAGES[0]
        self.before = PAGES[0]
        """The page that `-` goes back to."""
        self.filter = Filter()
        self.frozen = ""
        self.utc = True
        self.commands: dict[str, str] = {}
        """Job -> the CLI line that orders the same."""
        self.trace = Trace()
        self.overview = OverviewPane(self.trace)
        self.map = MapPane()
        self.miners = MinersPane()
        self.alarms = AlarmsPane(feed.ask)
        self.power = PowerPane(self.trace, feed.ask)
        self.events = EventsPane()
        self.system = SystemPane(feed.ask, doctor)
        self.programme = ProgrammePane(feed.ask)
        self.prompt = Prompt()
        self.link: LinkState = UP
        self._keymap_given = keymap
        self._now_s = now_s
        self._intake = Intake(now_s)
        self._shown: FleetImage | None = None
        self._at_s = now_s()
        self._touched_s = self._ordered_s = -KEY_REST_S
        self._rung: set[str] | None = None
        self._refused = ("", -REFUSAL_S)
        self._was_stale = True
        self._titled = ""

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Lines(id="strip")
        yield Lines(id="banner")
        with ContentSwitcher(initial=self.page, id="body"):
            yield self.overview
            yield self.map
            yield self.miners
            yield self.alarms
            yield self.power
            yield self.events
            yield self.system
            yield self.programme
        yield self.prompt
        yield Lines(id="log")
        yield Lines(id="keys")

    def on_mount(self) -> None:
        """The timers."""
        self.set_interval(FLUSH_S, self.flush)
        self.set_interval(1.0, self.frame)
        self.frame()
        self.to_front()

    def on_resize(self) -> None:
        """Another width is another strip."""
        self.call_after_refresh(self.show_again)

    def on_key(self, _: KeyPressed) -> None:
        """Lists rest for a while after a key."""
        self._touched_s = self._now_s()

    # ------------------------------------------------------------ what comes in

    def take(self, image: FleetImage) -> None:
        """A newer image; the first one is painted at once."""
        self._intake.put(image)
        if self.latest is None:
            self.call_next(self.flush)

    def refuse(self, what: str, why: str) -> None:
        """Say what was refused and why."""
        self._refused = (f"REFUSED {what}: {why}" if what else "", self._now_s())
        self.frame()

    def flush(self) -> None:
        """Show what has come since the last time."""
        arrived = self._intake.take()
        if arrived is None:
            return
        first, self.latest, self._at_s = self.latest is None, arrived.image, arrived.at_s
        if first and self.headquarters and self.page == PAGES[0] and self.player is None:
            self.page = PROGRAMME
            self.show_page()
        if self.player is not None:
            self.trace.retell(self.player.trend())
        else:
            self.trace.add(arrived.image)
            self._ring(arrived.image)
        if self.frozen != "all":
            self._show_arrived(arrived)
        self.frame()

    def _ring(self, image: FleetImage) -> None:
        loud = {alarm.id: alarm for alarm in image.alarms if alarm.priority <= LOUD and alarm.state == "UNACK"}
        fresh = set[str]() if self._rung is None else loud.keys() - self._rung
        self._rung = set(loud)
        for key in sorted(fresh):
            alarm = loud[key]
            self.app.bell()
            text = f"{alarm.where}: {alarm.detail}. {alarm.response}"
            self.notify(text, title=f"P{alarm.priority} {alarm.alarm}", markup=False)

    # ------------------------------------------------------------ what is shown

    @property
    def pane(self) -> Screenful:
        """The screen in front."""
        screens: tuple[Screenful, ...] = (
            self.overview, self.map, self.miners, self.alarms, self.power, self.events, self.system, self.programme,
        )  # fmt: skip
        return screens[(*PAGES, PROGRAMME).index(self.page)]

    @property
    def headquarters(self) -> bool:
        """This controller has sites and no miners of its own."""
        return self.latest is not None and self.latest.strip.sites > 0

    @property
    def stale(self) -> bool:
        """What is shown is no longer what is; before the first picture nothing is."""
        return self.latest is None or self._sight(self.latest).stale

    def _show_arrived(self, arrived: Arrived) -> None:
        self._shown = arrived.image
        if self.pane is self.miners:
            self._show_miners(arrived.changed)
        else:
            # The miners are out of sight and catch up when they come to the front.
            self.pane.show(self._sight(arrived.image, arrived.changed))

    def _show_miners(self, changed: IntColumn | None) -> None:
        image = self._shown
        if image is None:
            return
        before = self.miners.table.roster.image
        self.miners.show(self._sight(image, changed))
        rested = self._now_s() - max(self._touched_s, self._ordered_s) >= KEY_REST_S
        moving = bool(self.filter.text) or self.filter.faults_only(image) or self.miners.table.roster.sort_key != "id"
        if before is None or before.epoch != image.epoch or (rested and moving and not self.frozen):
            self.reorder()

    def reorder(self) -> None:
        """Filter and sort the miners anew; a filter that cannot be read any more is dropped."""
        image = self._shown
        if image is None:
            return
        try:
            mask = self.filter.mask(image, self.feed)
        except RefusedError as error:
            self.notify(str(error), severity="warning", markup=False)
            self.filter, mask = Filter(), None
        self.miners.table.reorder(mask)
        self.miners.show(self._sight(image))
        self._ordered_s = self._now_s()

    def show_page(self) -> None:
        """Bring the chosen screen to the front with the newest picture."""
        self.query_one("#body", ContentSwitcher).current = self.page
        if self.frozen != "all":
            self._shown = self.latest
        image = self._shown
        if image is not None and self.pane is self.miners:
            self.miners.show(self._sight(image))
            self.reorder()
        elif image is not None:
            self.call_after_refresh(self.pane.show, self._sight(image))
        self.frame()
        self.to_front()
        self.refresh_bindings()

    def to_front(self) -> None:
        """Give the keyboard to the screen's main list."""
        front = self.pane.front()
        if front is not None:
            self.set_focus(front)

    def frame(self) -> None:
        """Paint strip, banner, last order and keys."""
        palette = app_palette(self.app)
        strip, line = self.query_one("#strip", Lines), self.query_one("#banner", Lines)
        refused, at_s = self._refused
        if self.latest is None:
            why = f": {self.link.why}" if self.link.why else ""
            strip.put(((), (Segment(WAITING + why, palette.normal),)))
        else:
            sight = self._sight(self.latest)
            strip.put(strip_lines(sight, palette, self.size.width))
            told = banner(sight, palette)
            line.set_class(bool(told), "-on")
            line.put((told,))
            self.query_one("#body").set_class(sight.stale, "-stale")
            fresh = refused if self._now_s() - at_s < REFUSAL_S else ""
            told_title = title(self.latest)
            if told_title != self._titled and not self.app.is_headless:
                self._titled = told_title
                self.app.sub_title = told_title
                terminal_title(self.app, told_title)
            self.query_one("#log", Lines).put((last_order(sight, self.commands, fresh, palette),))
        if self.stale != self._was_stale:
            self._was_stale = self.stale
            self.refresh_bindings()
        self.query_one("#keys", Lines).put(
            (keys_line(self.page, self._keymap_given, self.enabled, palette, self.size.width),)
        )

    def _sight(self, image: FleetImage, changed: IntColumn | None = None) -> Sight:
        return Sight(
            image=image,
            changed=changed,
            trace=self.trace,
            link=self.link,
            age_s=max(self._now_s() - self._at_s, 0.0),
            zone="UTC" if self.utc else image.strip.timezone,
            read_only=self.read_only,
            filter_text=self.filter.text,
            faults_only=self.filter.faults_only(image),
            frozen=self.frozen,
            playhead=None if self.player is None else self.player.playhead,
        )

    def show_again(self) -> None:
        """Paint everything anew, for another size, theme or zone."""
        image = self._shown
        if image is not None:
            self.pane.show(self._sight(image))
        self.frame()

    def freeze(self, what: str) -> None:
        """`order` keeps the lists as they are sorted, `all` keeps the picture; the same again thaws."""
        self.frozen = "" if self.frozen == what else what
        if self.frozen != "all":
            self._shown = self.latest
        self.show_again()

    def filter_by(self, text: str, chosen: bool | None = None) -> None:  # noqa: FBT001 - None: the fleet decides
        """Another filter. Raises RefusedError for a text that cannot be read, and keeps the old one."""
        wanted = Filter(text=text, chosen=chosen)
        if self.latest is not None and text:
            self.feed.matching(self.latest, text)
        self.filter = wanted
        self.reorder()

    def turn_faults(self) -> None:
        """Faults only, or all."""
        self.filter = replace(self.filter, chosen=not self.filter.faults_only(self._shown))
        self.reorder()

    @property
    def chosen_alarm(self) -> AlarmView | None:
        """The alarm that a key is about."""
        key = self.pane.copied() if self.page == "overview" else ""
        image = self.latest
        if self.page == "alarms" or image is None:
            return self.alarms.chosen
        return next((alarm for alarm in image.alarms if alarm.id == key), None)

    @property
    def circuit(self) -> str:
        """The circuit that the cursor is on, such as a container; empty for none."""
        place, image = self.pane.place(), self.latest
        known = image is not None and any(node.name == place and node.parent for node in image.circuits)
        return place if known else ""

    @property
    def shown(self) -> FleetImage | None:
        """What is on the screen; older than the latest while the picture is frozen."""
        return self._shown

    def hand(self, role: str) -> Hand:
        """What an order would be about, and why none may be given now."""
        why = "this is the past" if self.player is not None else STALE if self.stale else ""
        why = why or ("this glass is read-only" if self.read_only and role != "viewer" else "")
        place, image, roster = self.pane.place(), self.latest, self.miners.table.roster
        boxes = () if image is None else image.containers
        exact = not self.filter.faults_only(self._shown)
        chosen, selector = selector_of(roster, self.filter.text, exact=exact) if self.page == "miners" else (0, "")
        return Hand(
            role=role,
            blocked=why,
            circuit=self.circuit,
            container=next((box.name for box in boxes if box.name == place.partition("/")[0]), ""),
            chosen=chosen,
            selector=selector,
        )

    def enabled(self, key: Key) -> bool | None:
        """False hides, None greys: what orders is greyed for viewers and while the picture is stale."""
        if self.page not in key.pages or (key.past and self.player is None):
            return False
        if key.at and key.at != ("sites" if self.headquarters else "miners"):
            return False
        return None if key.orders and (self.read_only or self.stale) else True
