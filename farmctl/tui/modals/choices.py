"""Small questions: which action, which columns, which note, yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, OptionList, SelectionList
from textual.widgets.option_list import Option
from typing_extensions import override

from farmctl.ports.feed import OverrideView, StripView
from farmctl.tui.columns import COLUMNS
from farmctl.tui.orders import TITLES, Draft
from farmctl.tui.words import megawatts

SHELVE_FOR = (("15 minutes", "15m"), ("1 hour", "1h"), ("8 hours", "8h"))
ESCAPE = Binding("escape", "cancel", "Cancel")


def orders_now(strip: StripView, circuit: str = "") -> tuple[tuple[str, Draft], ...]:
    """What can be ordered in this state of the site, and of the circuit under the cursor."""
    hold = Draft(verb="override_set", circuit=circuit)
    stop = replace(hold, to="0MW", lasting="30m")
    held = ((f"Stop {circuit} for a time", stop), (f"Hold {circuit} at a power for a time", hold)) if circuit else ()
    release = Draft(verb="resume") if strip.stop_all else Draft(verb="stop_all")
    return (
        ("Hold the whole site at a power for a time (override)", Draft(verb="override_set")),
        *held,
        (TITLES[release.verb], release),
        *(
            (
                _release(order),
                Draft(verb="override_release", override_id=order.id),
            )
            for order in strip.overrides
        ),
    )


def _release(order: OverrideView) -> str:
    what = f"{order.selector or 'the site'} at {megawatts(order.target_kw)} MW"
    return f"Release {order.id}: {order.owner} holds {what} ({order.reason})"


class MenuScreen(ModalScreen[Draft | None]):
    """The action menu; choosing one only opens its preview."""

    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE]

    def __init__(self, choices: Sequence[tuple[str, Draft]]) -> None:
        super().__init__()
        self._choices = tuple(choices)

    @override
    def compose(self) -> ComposeResult:
        """Lay out; the first line is the harmless one."""
        with Vertical(classes="dialog"):
            yield Label("Actions: each one shows a preview first", classes="title")
            yield OptionList("Cancel", *(Option(text) for text, _ in self._choices), markup=False)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(None if event.option_index == 0 else self._choices[event.option_index - 1][1])

    def action_cancel(self) -> None:
        """Nothing."""
        self.dismiss(None)


class ColumnsScreen(ModalScreen[tuple[str, ...] | None]):
    """The column chooser."""

    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE, Binding("enter", "take", "Show these", priority=True)]

    def __init__(self, shown: Sequence[str]) -> None:
        super().__init__()
        self._shown = set(shown)

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        with Vertical(classes="dialog"):
            yield Label("Columns: space chooses, enter shows them", classes="title")
            yield SelectionList[str](*((c.title, c.key, c.key in self._shown) for c in COLUMNS))

    def action_take(self) -> None:
        """In the order of the table."""
        chosen = set(self.query_one(SelectionList).selected)
        self.dismiss(tuple(column.key for column in COLUMNS if column.key in chosen))

    def action_cancel(self) -> None:
        """As before."""
        self.dismiss(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person says to an alarm."""

    reason: str
    lasting: str
    """Of a shelving: `1h`; empty for an acknowledgement."""


class NoteScreen(ModalScreen[Note | None]):
    """A reason for an acknowledgement or a shelving; Enter in the field sends it."""

    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE]

    def __init__(self, title: str, *, shelving: bool) -> None:
        super().__init__()
        self._title = title
        self._shelving = shelving

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="title", markup=False)
            if self._shelving:
                yield OptionList(*(Option(text, id=f"for-{key}") for text, key in SHELVE_FOR))
            yield Input(placeholder="reason, enter sends it" if self._shelving else "note, enter sends it")

    def on_mount(self) -> None:
        """Typing goes into the reason."""
        self.query_one(Input).focus()
        if self._shelving:
            self.query_one(OptionList).highlighted = 1

    @on(Input.Submitted)
    def _sent(self, event: Input.Submitted) -> None:
        reason = event.value.strip()
        if self._shelving and not reason:
            self.notify("shelving needs a reason", severity="warning")
            return
        place = self.query_one(OptionList).highlighted if self._shelving else None
        self.dismiss(Note(reason=reason, lasting="" if place is None else SHELVE_FOR[place][1]))

    @on(OptionList.OptionSelected)
    def _span_chosen(self) -> None:
        self.query_one(Input).focus()

    def action_cancel(self) -> None:
        """Nothing."""
        self.dismiss(None)


class YesScreen(ModalScreen[bool]):
    """A question with Cancel focused."""

    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE]

    def __init__(self, question: str, yes: str) -> None:
        super().__init__()
        self._question = question
        self._yes = yes

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="title", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button(self._yes, id="yes")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_cancel(self) -> None:
        """No."""
        self.dismiss(False)  # noqa: FBT003 - the screen's answer is a yes or a no
