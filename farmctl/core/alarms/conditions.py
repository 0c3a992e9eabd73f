"""Which alarm conditions hold now; delays, acknowledgement and shelving are the board's affair."""

from __future__ import annotations

from farmctl.core.alarms.nouns import Condition, Truth
from farmctl.core.alarms.rows import row_conditions
from farmctl.core.alarms.scene import Scene
from farmctl.core.alarms.site import site_conditions
from farmctl.core.fleet import FleetView
from farmctl.core.memory import Memory
from farmctl.core.meter_loop import SitePower
from farmctl.core.modes import LinkFacts


def look(scene: Scene) -> tuple[Condition, ...]:
    """All conditions of one cycle, worst first, with those that are near or unknown."""
    found = [*site_conditions(scene), *row_conditions(scene)]
    return tuple(sorted(found, key=lambda condition: condition.priority))


def conditions(
    view: FleetView, memory: Memory, site: SitePower, facts: LinkFacts, ceiling_w: float
) -> tuple[Condition, ...]:
    """What holds now, without delays, worst first; a sleeping fleet that was told to sleep is nothing."""
    scene = Scene(view=view, memory=memory, site=site, facts=facts, ceiling_w=ceiling_w)
    return tuple(condition for condition in look(scene) if condition.truth is Truth.TRUE)
