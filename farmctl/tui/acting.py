"""Asking and ordering: every way to the controller, each of them through a screen that a person has to confirm."""

from __future__ import annotations

import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from textual.app import App

from farmctl.errors import FarmError
from farmctl.ports.feed import AlarmView, Feed, FleetImage, SiteMovedError
from farmctl.tui.menu import Hand, orders_now
from farmctl.tui.messages import OrderFailed, OrderTaken, PastTold, WhoTold
from farmctl.tui.modals.choices import MenuScreen, Note, NoteScreen
from farmctl.tui.modals.order import OrderScreen, Ready
from farmctl.tui.orders import Draft, ends_at

WHAT = {"ack": "Acknowledge", "shelve": "Shelve", "unshelve": "Take off the shelf"}
ONCE = "once"


@dataclass(frozen=True, slots=True, eq=False)
class Acting:
    """What leads to an order."""

    app: App[None]
    feed: Feed

    def ask_who(self) -> None:
        """Learn who we are and what we may do."""
        self._in_background(self._who())

    def ask_past(self) -> None:
        """Learn what the trends show before this glass was opened."""
        self._in_background(self._past())

    def menu(self, image: FleetImage, hand: Hand) -> None:
        """Choose an order, perhaps about what the cursor is on, then see its preview."""

        def chosen(draft: Draft | None) -> None:
            if draft is not None:
                self.draft(draft, image)

        title = "Actions: each one shows a preview first"
        self.app.push_screen(MenuScreen(title, orders_now(image, hand)), chosen)

    def draft(self, draft: Draft, image: FleetImage, told: str = "") -> None:
        """See the preview of an order, then perhaps send it; `told`: why it must be seen once more."""

        def answered(ready: Ready | None) -> None:
            if ready is not None:
                self._in_background(self._send(ready, image))

        self.app.push_screen(OrderScreen(draft, image, self.feed.ask, told), answered)

    def note(self, alarm: AlarmView, verb: str, image: FleetImage) -> None:
        """Acknowledge an alarm, shelve it or take it off the shelf."""
        shelving = verb == "shelve"
        if shelving and alarm.priority == 1:
            self.app.post_message(OrderFailed(f"shelve {alarm.alarm}", "a P1 cannot be shelved: respond to it"))
            return
        title = f"{WHAT[verb]} {alarm.alarm} at {alarm.where}"

        def answered(note: Note | None) -> None:
            if note is not None:
                until = ends_at(note.lasting, image) if note.lasting not in ("", ONCE) else note.lasting
                self._in_background(self._tell_alarms([alarm], verb, note.reason, until))

        self.app.push_screen(NoteScreen(title, shelving=shelving), answered)

    def note_page(self, alarms: Sequence[AlarmView]) -> None:
        """Acknowledge what is on the screen, and nothing that is not."""

        def answered(note: Note | None) -> None:
            if note is not None:
                self._in_background(self._tell_alarms(alarms, "ack", note.reason, ""))

        self.app.push_screen(
            NoteScreen(f"Acknowledge the {len(alarms)} alarms on this screen", shelving=False), answered
        )

    async def _who(self) -> None:
        try:
            me = await self.feed.ask("GET", "/v1/whoami")
        except FarmError:
            return  # the link's own state tells that nobody answers; asked again when it is back
        self.app.post_message(WhoTold(str(me.get("name", "")), str(me.get("role", ""))))

    async def _past(self) -> None:
        try:
            told = await self.feed.ask("GET", "/v1/history?series=site.power_w,site.target_w&from=2h")
        except FarmError:
            return  # a site that keeps no history has trends from now on
        lines = {line["name"].rpartition(".")[2]: line["values"] for line in told.get("series", ())}
        if {"power_w", "target_w"} <= lines.keys():
            self.app.post_message(PastTold({"at_ms": told["at_ms"], **lines}))

    async def _send(self, ready: Ready, image: FleetImage) -> None:
        """One order; the key lets a broken link repeat it without harm."""
        draft = ready.draft
        request = draft.request(image)
        order = request.body
        if "verb" in order:
            order["idempotency_key"] = str(uuid.uuid4())
            if ready.rev is not None:
                order["if_rev"] = ready.rev
        try:
            answer = await self._asked(draft.command, request.method, request.path, order)
        except SiteMovedError as error:
            told = f"Not sent, the site has moved since the preview: {error}"
            self.app.call_later(self.draft, replace(draft, confirm=""), image, told)
            return
        if answer is not None:
            self.app.post_message(OrderTaken(draft, str(answer.get("job", ""))))

    async def _tell_alarms(self, alarms: Sequence[AlarmView], verb: str, reason: str, until: str) -> None:
        told: dict[str, object] = {"reason": reason, **({"until": until} if until else {})}
        for alarm in alarms:
            await self._asked(f"{verb} {alarm.alarm}", "POST", f"/v1/alarms/{quote(alarm.id, safe='')}/{verb}", told)

    async def _asked(
        self, what: str, method: str, path: str, content: Mapping[str, object] | None
    ) -> dict[str, Any] | None:
        try:
            return await self.feed.ask(method, path, content)
        except SiteMovedError:
            raise
        except FarmError as error:
            self.app.post_message(OrderFailed(what, str(error)))
            return None

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        self.app.run_worker(work, group="orders")
