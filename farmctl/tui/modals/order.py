"""An order with its preview: nothing is sent before the preview, the reason and, where it is large, the site's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static
from typing_extensions import override

from farmctl.errors import FarmError
from farmctl.ports.feed import FleetImage
from farmctl.tui.orders import SIZED, TIMED, Draft, OrderTextError
from farmctl.tui.preview import UNPLANNED, Preview, explained, previewed

Ask = Callable[[str, str, Mapping[str, object] | None], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An order that a person has seen, explained and confirmed."""

    draft: Draft
    rev: int | None
    """Revision that the preview was made on."""


class OrderScreen(ModalScreen[Ready | None]):
    """Fields, preview, confirmation; Cancel has the keyboard at first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", id="order.cancel")]

    def __init__(self, draft: Draft, image: FleetImage, ask: Ask, told: str = "") -> None:
        """`told`: why the order is here once more."""
        super().__init__()
        self._told = told
        self._draft = draft
        self._image = image
        self._ask = ask
        self._seen: tuple[Draft, Preview] | None = None

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        draft = self._draft
        with Vertical(classes="dialog"):
            yield Label(draft.title, classes="title", markup=False)
            if self._told:
                yield Static(self._told, classes="told", markup=False)
            if draft.verb in SIZED:
                yield from _field("power", Input(draft.to, placeholder="20MW, or 85% of the rated power", id="to"))
            if draft.verb in TIMED:
                yield from _field("for", Input(draft.lasting or "1h", placeholder="90m, 2h", id="lasting"))
            yield from _field("reason", Input(draft.reason, placeholder="why; it stands in the journal", id="reason"))
            yield Static("Preview shows what it would do; nothing is sent before that.", id="plan", markup=False)
            yield from _field("confirm", Input(placeholder="", id="confirm"), "-hidden")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Preview", id="preview")
                yield Button("Send", id="send", disabled=True)

    def on_mount(self) -> None:
        """Cancel is what Enter hits; a draft that is complete is previewed at once."""
        self.set_focus(self.query_one("#cancel", Button))
        if self._draft.to or self._draft.verb not in SIZED:
            self._preview()

    def action_cancel(self) -> None:
        """Nothing is sent."""
        self.dismiss(None)

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#preview")
    @on(Input.Submitted)
    def _preview_asked(self) -> None:
        self._preview()

    @on(Input.Changed)
    def _changed(self) -> None:
        self._weigh()

    @on(Button.Pressed, "#send")
    def _send(self) -> None:
        if self._seen is not None and self._sendable():
            self.dismiss(Ready(draft=self._typed(), rev=self._seen[1].rev))

    @work(exclusive=True)
    async def _preview(self) -> None:
        plan, draft = self.query_one("#plan", Static), self._typed()
        self._seen = None
        self._weigh()
        try:
            request = draft.request(self._image)
            if draft.verb in UNPLANNED:
                seen = explained(draft, self._image)
            else:
                plan.update("asking the controller ...")
                answer = await self._ask(request.method, request.path, {**request.body, "dry_run": True})
                seen = previewed(draft, answer["plan"])
        except OrderTextError as error:
            plan.update(str(error))
            return
        except FarmError as error:
            plan.update(f"no preview: {error}")
            return
        self._seen = (draft, seen)
        plan.update("\n".join((*seen.lines, "", f"$ {self._typed().command}")))
        confirm = self.query_one("#confirm", Input)
        confirm.placeholder = f"large change: type {seen.confirm} to confirm"
        self.query_one("#confirm-field").set_class(not seen.confirm, "-hidden")
        self._weigh()

    def _typed(self) -> Draft:
        def field(name: str) -> str:
            return next((box.value.strip() for box in self.query(f"#{name}").results(Input)), "")

        return replace(
            self._draft,
            to=field("to"),
            lasting=field("lasting"),
            reason=field("reason"),
            confirm=field("confirm") if self._seen is not None and self._seen[1].confirm else "",
        )

    def _sendable(self) -> bool:
        """What was previewed is what is typed, there is a reason, and the name is right."""
        if self._seen is None:
            return False
        (shown, preview), typed = self._seen, self._typed()
        same = (shown.to, shown.lasting) == (typed.to, typed.lasting)
        return same and bool(typed.reason) and typed.confirm == preview.confirm

    def _weigh(self) -> None:
        self.query_one("#send", Button).disabled = not self._sendable()


def _field(name: str, box: Input, classes: str = "") -> ComposeResult:
    """A named field."""
    with Horizontal(id=f"{box.id}-field", classes=f"field {classes}"):
        yield Label(name)
        yield box
