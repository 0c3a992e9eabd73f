"""One key after another: what is typed ahead of the glass goes where the keys before it have sent the keyboard."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.timer import Timer
from typing_extensions import override

STUCK_S = 2.0
"""A key that is not through by then holds the others no longer."""


class OneKey(App[None]):
    """An app whose keys are handled strictly in turn.

    Textual hands a key to the widget that has the keyboard when the key arrives, but runs its binding only once the key
    has come up through that widget's and its parents' queues. On a busy host the letters of `:hold` are in the list's
    queue before `:` has opened the command line, and each is a key of the list; so is `Down` after `x`, which opens a
    menu.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ahead: deque[events.Key] = deque()
        self._turn = 0
        self._is_busy = False
        self._guard: Timer | None = None

    @override
    async def on_event(self, event: events.Event) -> None:
        """Hold a key while another is on its way."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._is_busy:
            self._ahead.append(event)
        else:
            await self._take(event)

    async def _take(self, key: events.Key) -> None:
        self._is_busy = True
        self._turn += 1
        way = (self.focused or self.screen).ancestors_with_self
        await super().on_event(key)
        if self._guard is not None:
            self._guard.stop()
        self._guard = self.set_timer(STUCK_S, partial(self._next, self._turn))
        self._follow(way, self._turn)

    def _follow(self, way: Sequence[DOMNode], turn: int) -> None:
        """Behind the key, through every queue that it comes up through; the app's is the last."""
        for place, node in enumerate(way):
            if node.call_later(self._follow, way[place + 1 :], turn):
                return
        # What the key has opened takes keys once it is mounted.
        self.screen.call_later(self.call_later, self._next, turn)

    async def _next(self, turn: int) -> None:
        if turn != self._turn or not self._is_busy:
            return
        self._is_busy = False
        if self._ahead:
            await self._take(self._ahead.popleft())
