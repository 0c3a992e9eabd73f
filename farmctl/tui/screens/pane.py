"""What the seven screens share: they are told a sight and show it when they are the one in front."""

from __future__ import annotations

from textual.containers import Vertical
from textual.widget import Widget

from farmctl.tui.sight import Sight


class Pane(Vertical):
    """One screen."""

    def show(self, sight: Sight) -> None:
        """Show the newest sight."""
        raise NotImplementedError

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
