"""The command line of the glass: the CLI's verbs, some of them screens, the rest orders with their preview."""

from __future__ import annotations

import shlex
from typing import Protocol

from farmctl.errors import RefusedError
from farmctl.tui.orders import Draft
from farmctl.tui.typed import drafted

SCREENS = {
    "status": "overview", "miners": "miners", "alarms": "alarms", "events": "events", "jobs": "events",
    "circuits": "power", "override": "power", "containers": "map", "racks": "map", "doctor": "system",
    "sites": "programme",
}  # fmt: skip
"""Verbs that list something, and the screen that shows it."""


class Glass(Protocol):
    """What a command may do."""

    def action_leave(self) -> None:
        """Leave."""
        ...

    def action_page(self, page: str) -> None:
        """Show a screen."""
        ...

    def show_filtered(self, text: str) -> None:
        """Show the miners that fit. Raises RefusedError."""
        ...

    def show_view(self, name: str) -> None:
        """Show a saved view. Raises RefusedError for an unknown one."""
        ...

    def show_miner(self, miner_id: str) -> None:
        """Everything about one miner."""
        ...

    def dress(self, theme: str) -> None:
        """Another theme. Raises RefusedError for an unknown one."""
        ...

    def show_past(self, wanted: str) -> None:
        """Replay an event or a moment. Raises RefusedError where no recording is within reach."""
        ...

    def order(self, draft: Draft) -> None:
        """Show the preview of an order. Raises RefusedError where nothing may be ordered."""
        ...


def run(text: str, glass: Glass) -> None:
    """Do what a line says. Raises RefusedError for an unknown verb, and for an order that may not be given now."""
    line = text.strip().removeprefix("farmctl ").strip()
    try:
        words = shlex.split(line)
    except ValueError as error:
        message = f"command {line!r}: {error}"
        raise RefusedError(message) from None
    match words:
        case ["quit" | "q"]:
            glass.action_leave()
        case ["view", name]:
            glass.show_view(name)
        case ["theme", name]:
            glass.dress(name)
        case ["replay", *wanted] | ["events", "replay", *wanted]:
            glass.show_past(" ".join(wanted))
        case ["miners", "list", "-l" | "--filter", *terms]:
            glass.show_filtered(" ".join(terms))
        case ["miners", "get" | "describe", miner_id] | ["why", miner_id]:
            glass.show_miner(miner_id)
        case [verb, *rest] if verb in SCREENS and (not rest or rest[0] in ("list", "stats", "get")):
            glass.action_page(SCREENS[verb])
        case _:
            glass.order(drafted(line))
