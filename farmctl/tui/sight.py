"""What every screen is told: the latest image, and how the person at the glass wants to see it."""

from __future__ import annotations

from dataclasses import dataclass

from farmctl.core.units import IntColumn
from farmctl.ports.feed import FleetImage, LinkState
from farmctl.ports.replay import Playhead
from farmctl.tui.trace import Trace

STALE_S = 3.0
"""No news for this long is a lost link (OPERATIONS section 3)."""
UP = LinkState(up=True, age_s=0.0, attempt=0, why="")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sight:
    """One picture for the screens."""

    image: FleetImage
    changed: IntColumn | None
    """Rows that differ from what was shown before; None: anything may."""
    trace: Trace
    link: LinkState
    age_s: float
    """Since the image arrived here."""
    zone: str
    """What times are shown in."""
    read_only: bool
    filter_text: str
    faults_only: bool
    frozen: str
    """Empty, `order` or `all`."""
    playhead: Playhead | None = None
    """Of a replay; None: this is the present."""

    @property
    def stale(self) -> bool:
        """What is shown is no longer what is; the past says so by itself."""
        return self.playhead is None and (not self.link.up or self.age_s > STALE_S)
