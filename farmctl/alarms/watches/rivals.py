"""Two controllers that live at one site, as the broker shows them to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farmctl.core.alarms import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalWatch:
    """One look at what each source has heard on the site's own topic."""

    rivals: Callable[[], Sequence[tuple[str, str]]]
    """(source, controller id of the other one)."""

    def look(self, now_ms: int) -> Sequence[Condition]:
        """two_leaders."""
        del now_ms
        told = [f"{name} says ONLINE for this site on the broker of {source}" for source, name in self.rivals() if name]
        return (Condition(alarm="two_leaders", priority=1, where="site", detail="; ".join(told)),) if told else ()
