"""The app: the keys and what they do, and the feed; it sees a Feed and nothing else of the controller."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input
from typing_extensions import override

from farmctl.errors import RefusedError
from farmctl.ports.feed import Feed, FleetImage, LinkState
from farmctl.tui import commanding
from farmctl.tui.acting import Acting
from farmctl.tui.chrome import live_keys
from farmctl.tui.columns import COLUMNS
from farmctl.tui.export import write_csv
from farmctl.tui.filtering import Filter
from farmctl.tui.glass import GlassScreen
from farmctl.tui.keys import BY_ACTION, KEYS, Key, bindings
from farmctl.tui.messages import LinkTold, OrderFailed, OrderTaken, PastTold, WhoTold
from farmctl.tui.modals.choices import ColumnsScreen, YesScreen
from farmctl.tui.modals.reading import MinerScreen, ReadScreen, help_lines
from farmctl.tui.orders import Draft
from farmctl.tui.palette import HMI_DARK, HMI_LIGHT
from farmctl.tui.settings import THEMES, Settings
from farmctl.tui.widgets.fleet_table import FleetTable

ORDERS_FOR = ("operator", "engineer")


class FarmApp(App[None], inherit_bindings=False):
    """The glass of one site."""

    CSS_PATH = "farmctl.tcss"
    TITLE = "farmctl"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (156, "-wide")]  # noqa: RUF012 - typed by Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012 - see above

    def __init__(
        self,
        feed: Feed,
        *,
        read_only: bool = False,
        settings: Settings | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now_s` is the local clock that ages are counted by."""
        super().__init__()
        self.feed = feed
        self.settings = settings or Settings()
        self.glass = GlassScreen(feed, now_s, dict(self.settings.keys), read_only=read_only)
        self.acting = Acting(self, feed)
        self.who = ""
        self._told_read_only = read_only
        self._trail: list[tuple[str, Filter]] = []

    @override
    def get_default_screen(self) -> Screen[None]:
        """The one screen."""
        return self.glass

    def on_mount(self) -> None:
        """Themes, keys, the feed."""
        self.register_theme(HMI_DARK)
        self.register_theme(HMI_LIGHT)
        self.theme = self.settings.theme
        self.set_keymap(dict(self.settings.keys))
        self.run_worker(self.feed.run(self._image_in, self._link_in), name="feed")
        self.acting.ask_who()
        self.acting.ask_past()

    # ------------------------------------------------------------ what the workers tell

    def _image_in(self, image: FleetImage) -> None:
        self.glass.take(image)

    def _link_in(self, link: LinkState) -> None:
        self.post_message(LinkTold(link))

    def on_link_told(self, message: LinkTold) -> None:
        """The picture stays, dimmed, with its age; nothing can be ordered until the link is back."""
        if message.link.up and not self.glass.link.up:
            self.acting.ask_who()
        self.glass.link = message.link
        self.glass.frame()

    def on_past_told(self, message: PastTold) -> None:
        """The trends begin before this glass was opened."""
        self.glass.trace.fill(message.past)

    def on_who_told(self, message: WhoTold) -> None:
        """A viewer looks; the controller would refuse anything else anyway."""
        self.who = message.name
        self.glass.read_only = self._told_read_only or message.role not in ORDERS_FOR
        self.glass.frame()
        self.refresh_bindings()

    def on_order_taken(self, message: OrderTaken) -> None:
        """Remember the line that does the same; the job's own progress comes with the images."""
        self.glass.commands[message.job_id] = message.draft.command
        self.glass.refuse("", "")

    def on_order_failed(self, message: OrderFailed) -> None:
        """Say what was refused and why."""
        self.notify(message.why, title=f"{message.what}: refused", severity="warning", markup=False)
        self.glass.refuse(message.what, message.why)

    # ------------------------------------------------------------ where to look

    def action_page(self, page: str) -> None:
        """Another screen."""
        glass = self.glass
        if page != glass.page:
            glass.before, glass.page = glass.page, page
        glass.show_page()

    def action_previous(self) -> None:
        """The screen before this one."""
        self.action_page(self.glass.before)

    def action_into(self) -> None:
        """Down: to the miners of what the cursor is on, from a miner to everything about it."""
        glass = self.glass
        miner_id = glass.miners.table.roster.cursor_id
        if glass.page == "miners":
            if miner_id is not None:
                self.show_miner(miner_id)
            return
        wanted = glass.pane.into()
        if wanted:
            self._trail.append((glass.page, glass.filter))
            glass.filter = Filter(text=wanted, chosen=False)
            self.action_page("miners")

    def action_up(self) -> None:
        """Close the question, else go back up."""
        glass = self.glass
        if glass.prompt.open:
            glass.prompt.close()
            glass.to_front()
        elif self._trail:
            page, glass.filter = self._trail.pop()
            self.action_page(page)

    def action_freeze_order(self) -> None:
        """Keep the order of the list."""
        self.glass.freeze("order")

    def action_freeze_all(self) -> None:
        """Keep the picture."""
        self.glass.freeze("all")

    def action_zone(self) -> None:
        """UTC or site time."""
        self.glass.utc = not self.glass.utc
        self.glass.show_again()

    def dress(self, theme: str) -> None:
        """Another theme. Raises RefusedError for an unknown one."""
        if theme not in THEMES:
            raise RefusedError(f"theme {theme!r}: expected one of {', '.join(THEMES)}")
        self.theme = theme
        self.glass.show_again()
        self.glass.refresh(layout=True)

    # ------------------------------------------------------------ the miners table

    def action_mark(self) -> None:
        """Mark the miner under the cursor and go on."""
        self.glass.miners.table.roster.toggle_mark()
        self.glass.miners.table.action_move(1)

    def action_mark_range(self) -> None:
        """Mark from the last mark, as listed, to the cursor."""
        table = self.glass.miners.table
        places = [place for miner in table.roster.marks if (place := table.roster.place_of(miner)) is not None]
        here = table.roster.place
        table.roster.mark_range(min(places, key=lambda place: abs(place - here), default=here), here)
        self.glass.show_again()

    def action_mark_all(self) -> None:
        """Mark everything that is listed."""
        self.glass.miners.table.roster.mark_all()
        self.glass.show_again()

    def action_faults(self) -> None:
        """Faults only, or all."""
        self.glass.turn_faults()

    def action_columns(self) -> None:
        """Choose columns."""

        def chosen(keys: tuple[str, ...] | None) -> None:
            if keys:
                self.glass.miners.table.choose(keys)

        self.push_screen(ColumnsScreen([column.key for column in self.glass.miners.table.columns]), chosen)

    def action_turn(self) -> None:
        """Turn the order round."""
        self._sort_by(self.glass.miners.table.roster.sort_key)

    def action_sort(self, by: int) -> None:
        """Sort by the column beside."""
        keys = [column.key for column in self.glass.miners.table.columns]
        now = self.glass.miners.table.roster.sort_key
        self._sort_by(keys[(keys.index(now) + by) % len(keys)] if now in keys else keys[0])

    def on_fleet_table_sort_asked(self, message: FleetTable.SortAsked) -> None:
        """A head was clicked."""
        self._sort_by(message.key)

    def _sort_by(self, key: str) -> None:
        roster = self.glass.miners.table.roster
        roster.descending = not roster.descending if roster.sort_key == key else False
        roster.sort_key = key
        self.glass.reorder()

    # ------------------------------------------------------------ asking and ordering

    def action_ack(self) -> None:
        """Acknowledge the alarm under the cursor."""
        alarm = self.glass.chosen_alarm
        if alarm is not None:
            self.acting.note(alarm, "ack")

    def action_shelve(self) -> None:
        """Shelve the alarm under the cursor."""
        alarm = self.glass.chosen_alarm
        if alarm is not None:
            self.acting.note(alarm, "shelve")

    def action_order_override(self) -> None:
        """Draft an override."""
        if self.glass.latest is not None:
            self.acting.draft(Draft(verb="override_set", circuit=self.glass.circuit), self.glass.latest)

    def action_order_menu(self) -> None:
        """Choose an order."""
        if self.glass.latest is not None:
            self.acting.menu(self.glass.latest, self.glass.circuit)

    def action_unshelve(self) -> None:
        """Take the alarm under the cursor off the shelf."""
        alarm = self.glass.chosen_alarm
        if alarm is not None and alarm.state == "SHELVED":
            self.acting.note(alarm, "unshelve")

    def action_ask_filter(self) -> None:
        """Type a filter."""
        hint = "state=fault model~S21 t>85 !cont=C041; empty lists all"
        self.glass.prompt.ask("/", self.glass.filter.text, hint, self.glass.latest)

    def action_ask_command(self) -> None:
        """Type a command."""
        self.glass.prompt.ask(":", "", "a verb of the CLI, such as curtail --to 20MW --for 90m", self.glass.latest)

    @on(Input.Submitted, "#ask")
    def _answered(self, event: Input.Submitted) -> None:
        prompt, text = self.glass.prompt, event.value.strip()
        try:
            if prompt.kind == "/":
                self.glass.filter_by(text)
                if text:
                    self.action_page("miners")
            elif text:
                commanding.run(text, self)
        except RefusedError as error:
            self.notify(str(error), severity="warning", markup=False)
            return
        if text:
            prompt.remember(text)
        prompt.close()
        if self.screen is self.glass:
            self.glass.to_front()

    def show_filtered(self, text: str) -> None:
        """The miners that fit a filter. Raises RefusedError for one that cannot be read."""
        self.glass.filter_by(text)
        self.action_page("miners")

    def show_view(self, name: str) -> None:
        """The miners of a saved view. Raises RefusedError for an unknown one."""
        views = self.settings.views
        if name not in views:
            known = ", ".join(views) or "none; they stand under [views] in tui.toml"
            raise RefusedError(f"view {name!r}: expected one of {known}")
        self.show_filtered(views[name])

    def show_miner(self, miner_id: str) -> None:
        """Everything about one miner."""
        self.push_screen(MinerScreen(miner_id, self.feed.ask))

    def order(self, draft: Draft) -> None:
        """The preview of an order. Raises RefusedError where nothing may be ordered."""
        if self.glass.read_only or self.glass.stale or self.glass.latest is None:
            raise RefusedError(f"{draft.title}: this glass is read-only or its picture is stale")
        self.acting.draft(draft, self.glass.latest)

    # ------------------------------------------------------------ taking along, and leaving

    def action_copy(self) -> None:
        """Copy through the terminal (OSC 52)."""
        text = self.glass.pane.copied()
        if text:
            self.copy_to_clipboard(text)
            self.notify(f"copied {len(text.splitlines())} line(s)")

    def action_grafana(self) -> None:
        """Open the site's dashboard, and copy its address for who looks over SSH."""
        address = self.settings.grafana
        if not address:
            self.notify('no dashboard known: grafana = "https://..." in tui.toml', severity="warning", markup=False)
            return
        self.copy_to_clipboard(address)
        self.open_url(address)
        self.notify(f"copied {address}", markup=False)

    def action_export(self) -> None:
        """Write what is listed to a file in the present folder."""
        roster = self.glass.miners.table.roster
        if roster.image is None:
            return
        try:
            path = write_csv(roster.image, roster.rows, COLUMNS)
        except OSError as error:
            self.notify(f"cannot write: {error}", severity="warning", markup=False)
            return
        self.notify(f"{len(roster.rows):,} miners written to {path}", markup=False)

    def action_help(self) -> None:
        """The keys that are live now."""
        active = self.glass.active_bindings.values()
        keys = live_keys((each.binding.key, each.binding.id or "", each.binding.description) for each in active)
        self.push_screen(ReadScreen(help_lines(keys)))

    def action_leave(self) -> None:
        """Leave; ask first while holding the lease."""
        lease = None if self.glass.latest is None else self.glass.latest.strip.lease
        if lease is None or lease.owner != self.who:
            self.exit()
            return

        def answered(yes: bool | None) -> None:  # noqa: FBT001 - the screen's answer
            if yes:
                self.exit()

        self.push_screen(
            YesScreen("You hold the control lease. Leave and keep it until it expires?", "Leave"), answered
        )

    @override
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """False hides, None greys."""
        key = BY_ACTION.get(action)
        return True if key is None else self.glass.enabled(key)

    @override
    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette holds what the keys hold."""
        for key in KEYS:
            if self.glass.enabled(key):
                yield SystemCommand(key.label, f"key {key.key}", self._runs(key))

    def _runs(self, key: Key) -> Callable[[], None]:
        def run() -> None:
            self.call_later(self.run_action, key.action)

        return run


async def run_tui(feed: Feed, *, read_only: bool, settings: Settings | None = None) -> None:
    """Show one site until the person leaves."""
    # A full collection over everything that was imported stopped the glass for 0.1-0.2 s, in the middle of a key.
    gc.freeze()
    await FarmApp(feed, read_only=read_only, settings=settings).run_async()
