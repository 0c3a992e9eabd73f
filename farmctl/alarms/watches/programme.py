"""Sites of a programme that are not heard."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farmctl.core.alarms import Condition
from farmctl.core.units import to_kw
from farmctl.ports.programme import ProgrammePicture


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeWatch:
    """One look at every site."""

    shown: Callable[[], ProgrammePicture | None]
    stale_s: float

    def look(self, now_ms: int) -> Sequence[Condition]:
        """site_silent, one for each site that is not heard."""
        del now_ms
        shown = self.shown()
        return tuple(
            Condition(alarm="site_silent", priority=2, where=site.name, detail=_told(site.age_s, site.worst_w))
            for site in (() if shown is None else (unit.site for unit in shown.units))
            if site.age_s > self.stale_s
        )


def _told(age_s: float, worst_w: float) -> str:
    since = f"silent for {age_s:.0f} s" if math.isfinite(age_s) else "never heard"
    return f"{since}, counts at {to_kw(worst_w):g} kW"
