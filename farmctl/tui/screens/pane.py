"""What the seven screens share: they are told a sight and show it when they are the one in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from textual.containers import Vertical
from textual.widget import Widget

from farmctl.tui.sight import Sight


class Screenful(Protocol):
    """One screen as the glass uses it; a Protocol, because Textual's metaclass leaves no room for an abstract base."""

    def show(self, sight: Sight) -> None:
        """Show the newest sight."""
        ...

    def front(self) -> Widget | None:
        """What gets the keyboard when the screen comes to the front."""
        ...

    def into(self) -> str:
        """The filter that shows the miners of what the cursor is on; empty for none."""
        ...

    def place(self) -> str:
        """The part of the site that the cursor is on; empty for none."""
        ...

    def copied(self) -> str:
        """What `y` copies."""
        ...

    def rows(self) -> Sequence[Mapping[str, object]]:
        """What is listed, for an export as JSON."""
        ...


class Pane(Vertical):
    """A screen that leads nowhere and copies nothing, until it says otherwise."""

    def front(self) -> Widget | None:
        """What gets the keyboard when the screen comes to the front."""
        return None

    def into(self) -> str:
        """The filter that shows the miners of what the cursor is on; empty for none."""
        return ""

    def place(self) -> str:
        """The part of the site that the cursor is on; empty for none."""
        return ""

    def copied(self) -> str:
        """What `y` copies."""
        return ""

    def rows(self) -> Sequence[Mapping[str, object]]:
        """What is listed, for an export as JSON."""
        return ()
