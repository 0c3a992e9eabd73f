"""Small questions: which action, which columns, which note, yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Button, Input, Label, OptionList, SelectionList, Static
from textual.widgets.option_list import Option
from typing_extensions import override

from farmctl.tui.columns import COLUMNS

Chosen = TypeVar("Chosen")
SHELVE_FOR = (
    ("15 minutes", "15m"),
    ("1 hour", "1h"),
    ("8 hours", "8h"),
    ("a shift, 12 hours", "12h"),
    ("until its condition is over", "once"),
)
ESCAPE = Binding("escape", "cancel", "Cancel")


@dataclass(frozen=True, slots=True)
class Choice(Generic[Chosen]):
    """One line of a menu."""

    text: str
    value: Chosen
    about: str = ""
    """Said below the list while the line is chosen, such as the CLI command that does the same."""
    why_not: str = ""
    """Why it may not be chosen now; empty where it may."""

    @property
    def line(self) -> str:
        """With the reason that greys it."""
        return f"{self.text}  ({self.why_not})" if self.why_not else self.text


class MenuScreen(ModalScreen[Chosen | None], Generic[Chosen]):
    """One of several; the first line is the harmless one, and what may not be chosen now says why."""

    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE]

    def __init__(self, title: str, choices: Sequence[Choice[Chosen]]) -> None:
        super().__init__()
        self._title = title
        self._choices = tuple(choices)

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="title", markup=False)
            options = (Option(choice.line, disabled=bool(choice.why_not)) for choice in self._choices)
            yield OptionList("Cancel", *options, markup=False)
            yield Static("", id="about", markup=False)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(None if event.option_index == 0 else self._choices[event.option_index - 1].value)

    @on(OptionList.OptionHighlighted)
    def _told(self, event: OptionList.OptionHighlighted) -> None:
        place = event.option_index - 1
        self.query_one("#about", Static).update("nothing is done" if place < 0 else self._choices[place].about)

    def action_cancel(self) -> None:
        """Nothing."""
        self.dismiss(None)


class Chooser(SelectionList[str]):
    """A list to tick; what is not chosen has no X, so that it is told without colours."""

    @override
    def render_line(self, y: int) -> Strip:
        """As Textual draws it, which shows the X of both."""
        line, number = super().render_line(y), self.scroll_offset.y + y
        if number >= self.option_count or self.get_option_at_index(number).value in self.selected:
            return line
        left, button, *rest = line
        return Strip([left, Segment(" ", button.style), *rest])


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
            yield Chooser(*((c.title, c.key, c.key in self._shown) for c in COLUMNS))

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
        self.set_focus(self.query_one(Input))
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
        self.set_focus(self.query_one(Input))

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
