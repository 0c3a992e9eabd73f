"""The app: the keys and what they do, and the feed; it sees a Feed and nothing else of the controller."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import on
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input
from typing_extensions import override

from farmctl.errors import RefusedError
from farmctl.ports.feed import Feed, LinkState
from farmctl.ports.replay import PastFeed
from farmctl.tui import commanding
from farmctl.tui.acting import Acting
from farmctl.tui.chrome import live_keys
from farmctl.tui.filtering import Filter
from farmctl.tui.glass import GlassScreen
from farmctl.tui.keys import BY_ACTION, BY_PAGE, KEYS, PROGRAMME, Key, bindings
from farmctl.tui.messages import LinkTold, OrderFailed, OrderTaken, PastTold, ReplayOpened, WhoTold
from farmctl.tui.modals.choices import YesScreen
from farmctl.tui.modals.reading import MinerScreen, ReadScreen, help_lines
from farmctl.tui.one_key import OneKey
from farmctl.tui.orders import Draft
from farmctl.tui.palette import HMI_DARK, HMI_LIGHT
from farmctl.tui.rewind import Opener, PastKeys, open_replay
from farmctl.tui.screens.system import Doctor
from farmctl.tui.settings import THEMES, Settings
from farmctl.tui.table_keys import TableKeys
from farmctl.tui.taking import Taking

ORDERS_FOR = ("operator", "engineer")


class FarmApp(TableKeys, PastKeys, OneKey, inherit_bindings=False):
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
        past: Opener | None = None,
        player: PastFeed | None = None,
        doctor: Doctor | None = None,
    ) -> None:
        """`now_s` is the local clock that ages are counted by; `past` finds recordings; `player`: `feed` is one."""
        super().__init__()
        self.settings = settings or Settings()
        self.live = GlassScreen(
            feed, now_s, dict(self.settings.keys), read_only=read_only, player=player, doctor=doctor
        )
        self.glass = self.live
        """What is in front: the present, or a replay before it."""
        self.acting = Acting(self, feed)
        self.taking = Taking(self)
        self.who = ""
        self.role = ""
        self._now_s = now_s
        self._past = past
        self._told_read_only = read_only
        self._trail: list[tuple[str, Filter]] = []

    @override
    def get_default_screen(self) -> Screen[None]:
        """The present; a replay comes in front of it."""
        return self.live

    def on_mount(self) -> None:
        """Themes, keys, the feed."""
        self.register_theme(HMI_DARK)
        self.register_theme(HMI_LIGHT)
        self.theme = self.settings.theme
        self.set_keymap(dict(self.settings.keys))
        self.run_worker(self.live.feed.run(self.live.take, self._link_in), name="feed")
        self.acting.ask_who()
        self.acting.ask_past()

    # ------------------------------------------------------------ what the workers tell

    def _link_in(self, link: LinkState) -> None:
        self.post_message(LinkTold(link))

    def on_link_told(self, message: LinkTold) -> None:
        """The picture stays, dimmed, with its age; nothing can be ordered until the link is back."""
        if message.link.up and not self.live.link.up:
            self.acting.ask_who()
        self.live.link = message.link
        self.live.frame()

    def on_past_told(self, message: PastTold) -> None:
        """The trends begin before this glass was opened."""
        self.live.trace.fill(message.past)

    def on_who_told(self, message: WhoTold) -> None:
        """A viewer looks; the controller would refuse anything else anyway."""
        self.who, self.role = message.name, message.role
        self.live.read_only = self._told_read_only or message.role not in ORDERS_FOR or self.live.player is not None
        self.live.frame()
        self.refresh_bindings()

    def on_order_taken(self, message: OrderTaken) -> None:
        """Remember the line that does the same; the job's own progress comes with the images."""
        if message.job_id:
            self.live.commands[message.job_id] = message.draft.command
        else:
            self.notify(f"taken: {message.draft.command}", markup=False)
        self.live.refuse("", "")

    def on_order_failed(self, message: OrderFailed) -> None:
        """Say what was refused and why."""
        self.notify(message.why, title=f"{message.what}: refused", severity="warning", markup=False)
        self.glass.refuse(message.what, message.why)

    # ------------------------------------------------------------ where to look

    def action_page(self, page: str) -> None:
        """Another screen."""
        glass = self.glass
        if not glass.enabled(BY_PAGE[page]):
            here = (
                "headquarters, whose sites have the miners" if glass.headquarters else "a site with miners of its own"
            )
            self.notify(f"there is no screen {page} here: this is {here}")
            return
        if page != glass.page:
            glass.before, glass.page = glass.page, page
        glass.show_page()

    def action_previous(self) -> None:
        """The screen before this one."""
        self.action_page(self.glass.before)

    def action_into(self) -> None:
        """Down: to the miners of what the cursor is on, from a miner to everything about it."""
        glass = self.glass
        if glass.page == PROGRAMME:
            self.show_miner(glass.programme.copied())
            return
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

    # ------------------------------------------------------------ the past

    def action_replay(self) -> None:
        """Ask for a moment of the past; in a replay, back to now."""
        if self.glass is not self.live:
            self._leave_replay()
            return
        event = self.glass.pane.copied() if self.glass.page == "events" else ""
        known = self.glass.latest is not None and any(event == each.id for each in self.glass.latest.events)
        hint = "an event's id, 16:32 (UTC), 10m (ago); empty: from the first moment recorded"
        self.glass.prompt.ask("T", event if known else "", hint, self.glass.latest)

    def show_past(self, wanted: str) -> None:
        """Replay an event or a moment. Raises RefusedError where no recording is within reach."""
        open_replay(self, self._past, wanted)

    def on_replay_opened(self, message: ReplayOpened) -> None:
        """A glass of the past in front of the live one, which goes on behind it."""
        self._leave_replay()
        glass = GlassScreen(message.feed, self._now_s, dict(self.settings.keys), read_only=True, player=message.feed)
        glass.page = self.live.page
        self.glass = glass
        self.push_screen(glass)
        self.run_worker(message.feed.run(glass.take, lambda _: None), name="replay", group="replay")

    def _leave_replay(self) -> None:
        if self.glass is not self.live:
            self.workers.cancel_group(self, "replay")
            self.glass = self.live
            self.pop_screen()
            self.live.show_again()

    # ------------------------------------------------------------ asking and ordering

    def action_ack(self) -> None:
        """Acknowledge the alarm under the cursor."""
        self._note("ack", ("UNACK", "RTN_UNACK"))

    def action_ack_page(self) -> None:
        """Acknowledge every alarm whose line is on the screen."""
        waiting = [alarm for alarm in self.glass.alarms.in_sight() if alarm.state in ("UNACK", "RTN_UNACK")]
        if waiting:
            self.acting.note_page(waiting)
        else:
            self.notify("no alarm on this screen waits for an acknowledgement")

    def action_shelve(self) -> None:
        """Shelve the alarm under the cursor."""
        self._note("shelve", ("UNACK", "ACK", "RTN_UNACK"))

    def action_unshelve(self) -> None:
        """Take the alarm under the cursor off the shelf."""
        self._note("unshelve", ("SHELVED",))

    def _note(self, verb: str, states: tuple[str, ...]) -> None:
        alarm, image = self.glass.chosen_alarm, self.glass.latest
        if alarm is None or image is None:
            self.notify("no alarm under the cursor")
        elif alarm.state in states:
            self.acting.note(alarm, verb, image)
        else:
            self.notify(f"{alarm.alarm} is {alarm.state}: nothing to {verb}", markup=False)

    def action_order_override(self) -> None:
        """Draft an override."""
        if self.glass.latest is not None:
            self.acting.draft(Draft(verb="override_set", circuit=self.glass.circuit), self.glass.latest)

    def action_order_menu(self) -> None:
        """Choose an order; who may give none sees them greyed."""
        image = self.glass.latest
        if image is not None:
            self.acting.menu(image, self.glass.hand(self.role))

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
            elif prompt.kind == "T":
                self.show_past(text)
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
        """Everything about one miner; at headquarters, about one site."""
        if self.glass.headquarters:
            self.push_screen(ReadScreen(self.glass.programme.told(miner_id)))
            return
        self.push_screen(MinerScreen(miner_id, self.glass.feed.ask))

    def order(self, draft: Draft) -> None:
        """The preview of an order. Raises RefusedError where nothing may be ordered."""
        why = self.glass.hand(self.role).bars(draft) or ("it takes an operator" if self.glass.read_only else "")
        if why or self.glass.latest is None:
            raise RefusedError(f"{draft.title}: {why or 'there is no picture yet'}")
        self.acting.draft(draft, self.glass.latest)

    # ------------------------------------------------------------ taking along, and leaving

    def action_copy(self) -> None:
        """Copy what the cursor is on."""
        self.taking.copy(self.glass)

    def action_grafana(self) -> None:
        """Open the site's dashboard."""
        self.taking.dashboard(self.settings.grafana)

    def action_export(self) -> None:
        """Write what is seen to a file."""
        self.taking.export(self.glass)

    def action_help(self) -> None:
        """The keys that are live now."""
        active = self.glass.active_bindings.values()
        keys = live_keys((each.binding.key, each.binding.id or "", each.binding.description) for each in active)
        self.push_screen(ReadScreen(help_lines(keys)))

    def action_leave(self) -> None:
        """Leave: a replay first, then the glass; ask before that while holding the lease."""
        if self.glass is not self.live:
            self._leave_replay()
            return
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
        key = BY_PAGE.get(str(parameters[0])) if action == "page" else BY_ACTION.get(action)
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


async def run_tui(
    feed: Feed,
    *,
    read_only: bool,
    settings: Settings | None = None,
    past: Opener | None = None,
    player: PastFeed | None = None,
    doctor: Doctor | None = None,
) -> None:
    """Show one site, or with `player` a stretch of its past, until the person leaves."""
    # A full collection over everything that was imported stopped the glass for 0.1-0.2 s, in the middle of a key.
    gc.freeze()
    app = FarmApp(feed, read_only=read_only, settings=settings, past=past, player=player, doctor=doctor)
    await app.run_async()
