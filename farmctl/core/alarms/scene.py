"""What the conditions are judged by: one cycle, after its decision."""

from __future__ import annotations

from dataclasses import dataclass

from farmctl.core.alarms.nouns import Suppress
from farmctl.core.alarms.yard import Yard
from farmctl.core.confirm import Seen
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory, Standing
from farmctl.core.meter_loop import SitePower
from farmctl.core.modes import LinkFacts
from farmctl.core.units import FloatColumn

WARM_MS = 1_200_000
"""Tuning after a start takes 5-20 minutes, by model; so long no hash rate is expected."""
MOVING_FRACTION = 0.01
WARMING_FRACTION = 0.10
ASLEEP_FRACTION = 0.5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scene:
    """One cycle; `memory` is the one after the step, so its `last_ms` is now."""

    view: FleetView
    memory: Memory
    site: SitePower
    facts: LinkFacts
    ceiling_w: float
    target_w: float = float("nan")
    """Where the meter should stand now, ramps included; NaN: not told."""
    seen: Seen | None = None
    """None: conditions about rows are left out."""
    yard: Yard | None = None
    """None: no common causes are looked for."""
    known: frozenset[str] = frozenset()
    """Places whose common cause is open already."""
    limit_c: FloatColumn | None = None
    """Heat at which each row protects itself, NaN unknown; None: not told of any."""
    commands: int = 0
    """Commands of the last minutes that were followed or not, and so many of them were not."""
    commands_failed: int = 0
    commands_worst: str = ""
    """Whose they were, mostly."""

    @property
    def now_ms(self) -> int:
        """The time of the cycle."""
        return self.memory.last_ms


def suppressions(scene: Scene) -> frozenset[Suppress]:
    """What the site is doing on purpose; rows that sleep or warm up are left out one by one besides."""
    rows, n = scene.memory.rows, max(len(scene.view.table), 1)
    awake = rows.wanted > 0
    warming = awake & (scene.now_ms - rows.on_since_ms < WARM_MS)
    states = {
        Suppress.MAINTENANCE: scene.view.maintenance,
        Suppress.CURTAILED: int((rows.wanted == 0).sum()) > ASLEEP_FRACTION * n,
        Suppress.RAMPING: int((rows.standing == Standing.PENDING).sum()) > MOVING_FRACTION * n,
        Suppress.WARM_UP: int(warming.sum()) > WARMING_FRACTION * n,
    }
    return frozenset(cause for cause, holds in states.items() if holds)
