"""What the conditions are judged by: one cycle, after its decision."""

from __future__ import annotations

import math
from dataclasses import dataclass

from farmctl.core.alarms.yard import Yard
from farmctl.core.confirm import Seen
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.meter_loop import SitePower
from farmctl.core.modes import LinkFacts


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scene:
    """One cycle; `memory` is the one after the step, so its `last_ms` is now."""

    view: FleetView
    memory: Memory
    site: SitePower
    facts: LinkFacts
    ceiling_w: float
    target_w: float = math.nan
    seen: Seen | None = None
    """None: conditions about rows are left out."""
    yard: Yard | None = None
    """None: no common causes are looked for."""
    known: frozenset[str] = frozenset()
    """Places whose common cause is open already."""

    @property
    def now_ms(self) -> int:
        """The time of the cycle."""
        return self.memory.last_ms
