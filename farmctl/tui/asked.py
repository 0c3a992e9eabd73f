"""What a screen asks the controller for now and then, while it is the one in front."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from farmctl.errors import FarmError
from farmctl.tui.modals.order import Ask


@dataclass(slots=True, eq=False, kw_only=True)
class Asked:
    """One question, its newest answer, and why there is none."""

    ask: Ask
    path: str
    every_s: float
    now_s: Callable[[], float] = time.monotonic
    answer: Mapping[str, Any] = field(default_factory=dict)
    why: str = "asking the controller"
    """Empty once it has answered."""
    _asked_s: float | None = None

    def due(self) -> bool:
        """It is time to ask again; says so once."""
        now_s = self.now_s()
        if self._asked_s is not None and now_s - self._asked_s < self.every_s:
            return False
        self._asked_s = now_s
        return True

    async def fetch(self) -> None:
        """Ask; what was known stays where nobody answers."""
        try:
            self.answer = await self.ask("GET", self.path, None)
            self.why = ""
        except FarmError as error:
            self.why = str(error)
