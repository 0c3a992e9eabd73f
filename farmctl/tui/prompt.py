"""The line that asks: a filter or a command, with completion of its last word and a history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input
from typing_extensions import override

from farmctl.ports.feed import FleetImage
from farmctl.tui.typed import COMMANDS

FIELDS = (
    "state", "cont", "rack", "slot", "model", "fw", "circuit", "phase", "want", "reason", "fault", "pool", "owner",
    "driver", "tag", "t", "margin", "fan", "w", "ths", "jth", "age", "since",
)  # fmt: skip
IMAGE_NAMES = {"cont": "container", "fw": "firmware"}
REMEMBERED = 100
Words = Callable[[str], Iterable[str]]


class LastWord(Suggester):
    """Completes the last word of a line, else a whole line that begins like it."""

    def __init__(self, lines: Sequence[str], words: Words) -> None:
        """`words` gives the candidates for a last word."""
        super().__init__(use_cache=False, case_sensitive=True)
        self._lines = tuple(lines)
        self._words = words

    @override
    async def get_suggestion(self, value: str) -> str | None:
        head, gap, last = value.rpartition(" ")
        line = next((line for line in self._lines if line.startswith(value) and line != value), None)
        if line is not None or not last:
            return line
        word = next((word for word in self._words(last) if word.startswith(last) and word != last), None)
        return None if word is None else f"{head}{gap}{word}"


class Prompt(Input):
    """Up and down go through what was asked before; tab takes the completion."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "before(1)", show=False, id="prompt.before"),
        Binding("down", "before(-1)", show=False, id="prompt.after"),
        Binding("tab", "cursor_right", show=False, id="prompt.complete"),
    ]

    def __init__(self) -> None:
        super().__init__(id="ask")
        self.kind = ""
        """`/` asks for a filter, `:` for a command, `T` for a moment of the past."""
        self._asked: dict[str, list[str]] = {"/": [], ":": [], "T": []}
        self._back = 0

    def ask(self, kind: str, value: str, hint: str, image: FleetImage | None) -> None:
        """Come to the front and ask."""
        self.kind, self._back = kind, 0
        lines = [*self._asked[kind][::-1], *(COMMANDS if kind == ":" else ())]
        self.suggester = LastWord(lines, lambda last: candidates(kind, last, image))
        self.value, self.placeholder = value, f"{kind} {hint}"
        self.cursor_position = len(value)
        self.add_class("-on")
        # not `focus()`, which comes a message later: what is typed meanwhile would be keys of the list
        self.screen.set_focus(self)

    def remember(self, text: str) -> None:
        """Put a line into the history, once."""
        asked = self._asked[self.kind]
        if text in asked:
            asked.remove(text)
        asked.append(text)
        del asked[:-REMEMBERED]

    def close(self) -> None:
        """Go out of sight."""
        self.remove_class("-on")

    @property
    def open(self) -> bool:
        """It is asking."""
        return self.has_class("-on")

    def action_before(self, by: int) -> None:
        """One line back in the history, or forth."""
        asked = self._asked[self.kind]
        self._back = min(max(self._back + by, 0), len(asked))
        self.value = asked[-self._back] if self._back else ""
        self.cursor_position = len(self.value)


def candidates(kind: str, last: str, image: FleetImage | None) -> Iterable[str]:
    """What the last word may become: an option, a name of the site, a field or a field's value."""
    if kind == "T":
        yield from () if image is None else (event.id for event in image.events)
        return
    if kind == ":" and "=" not in last:
        yield from ("--to ", "--for ", "--reason ")
        if image is not None:
            yield from (circuit.name for circuit in image.circuits)
            yield from (order.id for order in image.strip.overrides)
        return
    inverse = "!" if last.startswith("!") else ""
    yield from (f"{inverse}{field}=" for field in FIELDS)
    field, sign, _ = last.removeprefix("!").partition("=")
    words = None if image is None or not sign else image.words.get(IMAGE_NAMES.get(field, field))
    if words is not None:
        yield from (f"{inverse}{field}={word}" for word in words.words if word)
