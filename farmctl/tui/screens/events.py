"""Screen 6: what the grid asked for, and who ordered what with which result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from textual.app import ComposeResult
from textual.widget import Widget
from typing_extensions import override

from farmctl.tui.listed import EVENT_HEAD, JOB_HEAD, event_item, job_item
from farmctl.tui.palette import palette_of
from farmctl.tui.screens.pane import Pane
from farmctl.tui.sight import Sight
from farmctl.tui.widgets.listing import Listing


class EventsPane(Pane):
    """Events above, orders below."""

    def __init__(self) -> None:
        super().__init__(id="events")
        self._events = Listing("Events", EVENT_HEAD, "the grid has asked for nothing", id="events-list")
        self._sight: Sight | None = None
        self._jobs = Listing("Orders", JOB_HEAD, "nobody has ordered anything", id="events-jobs")

    @override
    def compose(self) -> ComposeResult:
        """Lay out."""
        yield self._events
        yield self._jobs

    def show(self, sight: Sight) -> None:
        """Every event that is remembered, every order."""
        self._sight = sight
        palette, image = palette_of(self), sight.image
        self._events.put([event_item(e, palette, sight.zone) for e in image.events], f"Events {len(image.events)}")
        self._jobs.put(
            [job_item(job, palette, sight.zone) for job in image.jobs], f"Orders {len(image.jobs)}, newest first"
        )

    @override
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The events, or the orders where they have the keyboard."""
        if self._sight is None:
            return ()
        image = self._sight.image
        return [asdict(row) for row in (image.jobs if self._jobs.has_focus else image.events)]

    @override
    def front(self) -> Widget:
        """The events."""
        return self._events

    @override
    def copied(self) -> str:
        """The event or order under the cursor."""
        return (self._jobs if self._jobs.has_focus else self._events).cursor_key or ""
