"""Screen 8, at headquarters: is every site where its share wants it, how fresh is what we know, and why that share?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.segment import Segment
from textual import work
from textual.app import ComposeResult
from textual.widget import Widget
from typing_extensions import override

from farmctl.tui.asked import Asked
from farmctl.tui.modals.order import Ask
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.sited import detail_lines, head, in_order, site_item, site_lines, summary_lines
from farmctl.tui.widgets.lines import Lines
from farmctl.tui.widgets.listing import Listing

EVERY_S = 1.0


class ProgrammePane(Pane):
    """The figure above, the sites in the middle, everything about the one under the cursor below."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(id="programme")
        self._sites = Asked(ask=ask, path="/v1/sites", every_s=EVERY_S)
        self._sight: Sight | None = None
        self._sums = Lines(id="programme-sums")
        self._list = Listing("Sites", " ", "no site known yet", id="programme-sites")
        self._about = Lines(id="programme-about")

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._sums
        yield self._list
        yield self._about

    def show(self, sight: Sight) -> None:
        """What was answered last; asked again once a second."""
        self._sight = sight
        if self._sites.due():
            self._load()
        self._tell()

    def on_listing_cursor_moved(self) -> None:
        """Another site."""
        self._tell()

    def _tell(self) -> None:
        palette, told = palette_of(self), self._sites.answer
        rows, width = in_order(told.get("rows", ())), self._list.size.width
        if self._sites.why:
            self._sums.put(((Segment(f" {self._sites.why}", palette.strong),),))
        else:
            self._sums.put([*summary_lines(told, palette)])
        self._list.put([site_item(row, palette, width) for row in rows], f"Sites {len(rows)}, worst first", head(width))
        chosen = self._row(self.copied())
        self._about.put(() if chosen is None else [*detail_lines(chosen, palette, width)])

    @work(exclusive=True)
    async def _load(self) -> None:
        await self._sites.fetch()
        self._tell()

    def told(self, name: str) -> Iterator[str]:
        """Everything about a site of that name, or that there is none."""
        row = self._row(name)
        return iter((f"{name or 'nothing'}: no site of this programme",)) if row is None else site_lines(row)

    def _row(self, name: str) -> Mapping[str, Any] | None:
        return next((row for row in self._sites.answer.get("rows", ()) if row["name"] == name), None)

    @override
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The sites, as headquarters tells them."""
        return tuple(self._sites.answer.get("rows", ()))

    @override
    def front(self) -> Widget:
        """The sites."""
        return self._list

    @override
    def copied(self) -> str:
        """The site under the cursor."""
        return self._list.cursor_key or ""
