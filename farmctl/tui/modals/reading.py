"""Things to read in front of a screen: the help, and everything about one miner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar
from urllib.parse import quote

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static
from typing_extensions import override

from farmctl.errors import FarmError
from farmctl.tui.modals.miner import TRENDS, miner_lines, trend_lines
from farmctl.tui.modals.order import Ask


class ReadScreen(ModalScreen[None]):
    """Lines that scroll; any of enter, escape and q closes them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q,question_mark", "close", "Close")]

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__()
        self._text = "\n".join(lines)

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        with VerticalScroll(classes="page"):
            yield Static(self._text, id="text", markup=False)

    def action_close(self) -> None:
        """Back to the screen."""
        self.dismiss(None)


class MinerScreen(ReadScreen):
    """One miner: what it is, what it does, what is wanted of it, and why."""

    def __init__(self, miner_id: str, ask: Ask) -> None:
        super().__init__([f"{miner_id}: asking the controller ..."])
        self._miner_id = miner_id
        self._ask = ask

    def on_mount(self) -> None:
        """Ask for it."""
        self._load()

    @work(exclusive=True)
    async def _load(self) -> None:
        text = self.query_one("#text", Static)
        place = f"/v1/miners/{quote(self._miner_id, safe='')}"
        try:
            found, why = await self._ask("GET", place, None), await self._ask("GET", f"{place}/why", None)
        except FarmError as error:
            text.update(f"{self._miner_id}: {error}")
            return
        lines = [*miner_lines(found, why), "", f"$ farmctl why {self._miner_id}"]
        text.update("\n".join(lines))
        try:
            names = ",".join(f"{self._miner_id}.{column}" for column in TRENDS)
            past = await self._ask("GET", f"/v1/history?series={quote(names, safe=',.')}&from=24h&step=1800", None)
        except FarmError:
            return  # a site that keeps no history shows none
        trends = [*trend_lines(past)]
        text.update("\n".join((lines[0], *trends, *lines[1:])))


def help_lines(keys: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Key and meaning of every binding that is live now."""
    yield "Keys on this screen (escape closes)"
    yield ""
    for key, text in keys:
        yield f"  {key:>10}  {text}"
    yield ""
    yield "  up down j k pageup pagedown home end   move; tab goes to the next list"
    yield "  filter: state=fault model~S21 t>85 cont=C041 !pool=eu1; ids take * and C010..C019"
